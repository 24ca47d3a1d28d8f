"""The state dict of the public PyTorch kMaX-DeepLab (a detectron2 project) and ours, both ways.

The two hold the same tensors under other names; only the axial attention's projection is a 1-d convolution there and
a 2-d one here. So one function says it all: our name -> theirs (``kmax_names``). Pixel statistics and index tables are
not stored there. The class names are not in the file either: they come from the data set's categories.
"""

import re
from dataclasses import replace

import torch
from torch import Tensor

from pantile.contracts.errors import UserError
from pantile.contracts.taxonomy import Taxonomy
from pantile.convert.kmax_names import original_name
from pantile.convert.sizes import size_of
from pantile.models import KMaXConfig, create_model

COUNTER = ".num_batches_tracked"
CENTERS = "sem_seg_head.predictor._cluster_centers.weight"
CLASSES = "sem_seg_head.predictor._predcitor._transformer_class_head.conv.weight"  # their spelling
RESNETS = {6: "resnet50", 23: "resnet101"}  # blocks of the third stage
CONVNEXTS = {  # width, blocks of the third stage
    (96, 9): "convnext_tiny",
    (96, 27): "convnext_small",
    (128, 27): "convnext_base",
    (192, 27): "convnext_large",
}


def is_kmax(foreign: dict[str, Tensor]) -> bool:
    """Whether a state dict is of the original kMaX-DeepLab."""
    return CENTERS in foreign


def kmax_classes(foreign: dict[str, Tensor]) -> int:
    """K, without no-object."""
    return size_of(foreign, CLASSES, 0) - 1


def import_kmax(
    foreign: dict[str, Tensor], taxonomy: Taxonomy, base: KMaXConfig
) -> tuple[KMaXConfig, dict[str, Tensor]]:
    """An original state dict as ours.

    Args:
        taxonomy: of the data set that the checkpoint was trained on, in its order.
        base: settings that the file does not tell (drop paths, pixel statistics), those of its own recipe.

    Returns:
        The config of the network in the file, and the state dict of ``create_model(config, len(taxonomy))``.

    Raises:
        UserError: tensors are missing, left over or of another shape, or the class count is another.
    """
    config = infer_config(foreign, base)
    classes = kmax_classes(foreign)
    if classes != len(taxonomy):
        raise UserError(
            f"It has {classes} classes, the categories are {len(taxonomy)}; give the categories of its data set."
        )
    with torch.device("meta"):
        expected = create_model(config, classes).state_dict()
    names = {name: original_name(name, config) for name in expected}
    # Converted TensorFlow files come without the batch counters, which inference does not read.
    missing = [theirs for theirs in names.values() if theirs not in foreign and not theirs.endswith(COUNTER)]
    known = set(names.values())
    surplus = [n for n in foreign if n.startswith(("backbone.", "sem_seg_head.")) and n not in known]
    # Index tables of relative positions are derived, not learned.
    surplus = [n for n in surplus if not n.endswith(("_relative_index", "_indices"))]
    if missing or surplus:
        raise UserError(
            f"{len(missing)} tensors are missing (first: {missing[0] if missing else '-'}) and {len(surplus)} "
            f"are unknown (first: {surplus[0] if surplus else '-'}); only kMaX-DeepLab with ResNet-50 or ConvNeXt "
            "is supported."
        )
    state = {}
    for name, theirs in names.items():
        tensor = foreign.get(theirs, torch.zeros((), dtype=torch.int64))
        if tensor.numel() != expected[name].numel():
            raise UserError(
                f"{theirs} has shape {tuple(tensor.shape)}, expected {tuple(expected[name].shape)} up to ones."
            )
        state[name] = tensor.reshape(expected[name].shape).to(expected[name].dtype)
    return config, state


def export_kmax(config: KMaXConfig, state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Our state dict in the original layout.

    Raises:
        UserError: a backbone that the original does not have.
    """
    if not config.backbone.startswith(("resnet", "convnext")):
        raise UserError(f"The original kMaX-DeepLab has no {config.backbone} backbone to export to.")
    return {original_name(name, config): _original_shape(name, tensor) for name, tensor in state.items()}


def _original_shape(name: str, tensor: Tensor) -> Tensor:
    return tensor.squeeze(-1) if name.endswith("_axis.qkv.conv.weight") else tensor


def kmax_backbone(foreign: dict[str, Tensor]) -> str:
    """timm's name of the backbone.

    Raises:
        UserError: it is neither a ResNet-50 or -101 nor a ConvNeXt of the published sizes.
    """
    if "backbone.stem.conv1.weight" in foreign:
        depth = sum(bool(re.match(r"backbone\.res4\.\d+\.conv1\.weight", name)) for name in foreign)
        if depth in RESNETS:
            return RESNETS[depth]
    if "backbone.downsample_layers.0.0.weight" in foreign:
        width = size_of(foreign, "backbone.downsample_layers.0.0.weight", 0)
        depth = sum(bool(re.match(r"backbone\.stages\.2\.\d+\.gamma", name)) for name in foreign)
        if (width, depth) in CONVNEXTS:
            return CONVNEXTS[width, depth]
    raise UserError("The backbone is neither ResNet-50 nor ConvNeXt; only these are supported.")


def infer_config(foreign: dict[str, Tensor], base: KMaXConfig) -> KMaXConfig:
    """Sizes of the network in a file, from the shapes of its tensors."""
    decoder, predictor = "sem_seg_head.pixel_decoder.", "sem_seg_head.predictor."

    def count(pattern: str) -> int:
        return len({m[1] for m in (re.match(pattern, name) for name in foreign) if m})

    stages = count(rf"{re.escape(decoder)}_stages\.(\d+)\.")
    blocks = tuple(count(rf"{re.escape(decoder)}_stages\.{i}\._blocks\.(\d+)\.") for i in range(stages))
    layers = count(rf"{re.escape(predictor)}_kmax_transformer_layers\.(\d+)\.")
    if layers % 3:
        raise UserError(f"It has {layers} transformer layers, which three strides cannot share.")
    auxiliary = f"{predictor}_auxiliary_semantic_predictor."
    head = "none"
    if any(name.startswith(auxiliary) for name in foreign):
        head = "aspp" if f"{auxiliary}_aspp._aspp_conv0.conv.weight" in foreign else "plain"
    return replace(
        base,
        backbone=kmax_backbone(foreign),
        pretrained=False,
        num_queries=size_of(foreign, CENTERS, 1),
        decoder_blocks=blocks,
        transformer_layers=(layers // 3,) * 3,
        auxiliary_head=head,
    )
