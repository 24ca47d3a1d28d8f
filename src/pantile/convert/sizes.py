"""How large a network is, told by the names and shapes of its tensors in a foreign state dict."""

import re
from dataclasses import dataclass

from torch import Tensor

from pantile.contracts.errors import UserError
from pantile.convert.huggingface_names import COUNTER

RESNETS = {  # (has bottlenecks, blocks of the third stage) -> timm name
    (False, 2): "resnet18",
    (False, 6): "resnet34",
    (True, 6): "resnet50",
    (True, 23): "resnet101",
    (True, 36): "resnet152",
}
SWINS = {  # (width, blocks of the third stage) -> size in timm's name
    (96, 6): "tiny",
    (96, 18): "small",
    (128, 18): "base",
    (192, 18): "large",
}
PUBLISHED_FOR = {7: "window7_224", 12: "window12_384"}  # window -> how timm calls it

#: timm names that other projects have counterparts of, and those of them with three convolutions in the stem
BACKBONES = {
    *RESNETS.values(),
    *(f"swin_{size}_patch4_{window}" for size in SWINS.values() for window in PUBLISHED_FOR.values()),
}
DEEP_STEM = {"resnet50s", "resnet101s", "resnet152s"}


@dataclass(frozen=True)
class BackboneNames:
    """Where a layout keeps what tells backbones apart.

    Attributes:
        resnet_stem: first kernel of a ResNet.
        deep_stem: a kernel that only deep stems have.
        resnet_block: pattern of the kernels of the third stage; group 1 is the block, group 2 the kernel.
        last_kernel: what group 2 is for the third kernel of a bottleneck.
        swin_stem: first kernel of a Swin.
        swin_block: pattern of the tables of relative positions in the third stage; group 1 is the block.
    """

    resnet_stem: str
    deep_stem: str
    resnet_block: str
    last_kernel: str
    swin_stem: str
    swin_block: str


ORIGINAL_BACKBONE = BackboneNames(
    resnet_stem="backbone.stem.conv1.weight",
    deep_stem="backbone.stem.conv3.weight",
    resnet_block=r"backbone\.res4\.(\d+)\.conv(\d)\.weight",
    last_kernel="3",
    swin_stem="backbone.patch_embed.proj.weight",
    swin_block=r"backbone\.layers\.2\.blocks\.(\d+)\.attn\.relative_position_bias_table",
)


def huggingface_backbone(swin: str, table: str) -> BackboneNames:
    """
    Args:
        swin: what lies between the encoder and its Swin.
        table: name of the relative position bias in a block.
    """
    root = "model.pixel_level_module.encoder."
    return BackboneNames(
        resnet_stem=f"{root}embedder.embedder.convolution.weight",
        deep_stem="",
        resnet_block=re.escape(root) + r"encoder\.stages\.2\.layers\.(\d+)\.layer\.(\d)\.convolution\.weight",
        last_kernel="2",
        swin_stem=f"{root}{swin}embeddings.patch_embeddings.projection.weight",
        swin_block=re.escape(f"{root}{swin}") + rf"encoder\.layers\.2\.blocks\.(\d+)\.{re.escape(table)}",
    )


def known_backbone(name: str, deep_stem: bool) -> str:
    """A timm name without its tag.

    Args:
        deep_stem: whether a stem of three convolutions has a counterpart, too.

    Raises:
        UserError: the other project has no such backbone.
    """
    base = name.partition(".")[0]
    if base not in (BACKBONES | DEEP_STEM if deep_stem else BACKBONES):
        raise UserError(
            f"model.backbone: {base} has no counterpart in the other project; only ResNet-18 to -152 and Swin-T, -S, "
            "-B and -L have one."
        )
    return base


def backbone_name(foreign: dict[str, Tensor], names: BackboneNames) -> str:
    """timm's name of the backbone.

    Raises:
        UserError: it is neither a ResNet nor a Swin of the published sizes.
    """
    if names.resnet_stem in foreign:
        found = [m for m in (re.fullmatch(names.resnet_block, name) for name in foreign) if m]
        key = (any(m[2] == names.last_kernel for m in found), len({m[1] for m in found}))
        if key in RESNETS:
            return RESNETS[key] + ("s" if names.deep_stem in foreign else "")
    if names.swin_stem in foreign:
        tables = [tensor for name, tensor in foreign.items() if re.fullmatch(names.swin_block, name)]
        key = (size_of(foreign, names.swin_stem, 0), len(tables))
        windows = {(2 * window - 1) ** 2: name for window, name in PUBLISHED_FOR.items()}
        if key in SWINS and len(tables[0]) in windows:
            return f"swin_{SWINS[key]}_patch4_{windows[len(tables[0])]}"
    raise UserError(
        "The backbone is neither a ResNet (18, 34, 50, 101, 152) nor a Swin-T, -S, -B or -L with window 7 or 12; "
        "only these can be converted."
    )


def has_no_counter(foreign: dict[str, Tensor]) -> bool:
    """Whether batch norms are frozen where frozen ones do not count batches: in the original repositories."""
    return not any(name.endswith(COUNTER) for name in foreign)


def counts_no_batch(foreign: dict[str, Tensor]) -> bool:
    """Whether batch norms are frozen where all of them have a counter: at Hugging Face."""
    return not any(bool(tensor > 0) for name, tensor in foreign.items() if name.endswith(COUNTER))


def size_of(foreign: dict[str, Tensor], name: str, dim: int) -> int:
    """
    Raises:
        UserError: there is no such tensor, or it has fewer dimensions.
    """
    if name not in foreign:
        raise UserError(f"{name} is missing, from which a size of the network is read; is it another architecture?")
    if foreign[name].ndim <= dim:
        raise UserError(f"{name} has shape {tuple(foreign[name].shape)}, expected {dim + 1} dimensions or more.")
    return foreign[name].shape[dim]


def count_of(foreign: dict[str, Tensor], prefix: str) -> int:
    """How many numbers follow ``prefix`` in the names."""
    pattern = re.compile(re.escape(prefix) + r"(\d+)\.")
    return len({m[1] for m in map(pattern.match, foreign) if m})
