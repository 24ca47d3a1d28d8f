"""State dicts of the original Panoptic FCN (a detectron2 project) and of its Intra-Batch Supervision fork, both ways.

Colours. The original reads images as BGR and subtracts (123.675, 116.28, 103.53) from the channels in that order, so
what is meant for red is taken from blue; deviations are not divided by. Its weights expect just that. Ours read RGB, so
the first kernel's input channels are flipped, and the mean becomes (103.53, 116.28, 123.675): the kernel meets the same
numbers.

The backbone halves the size in the first convolution of a block (``stride_in_1x1``). Classes have no names in the file:
things and stuff are those of the taxonomy, in its order, and how many channels there are says how regions are laid out.
"""

from dataclasses import replace

import torch
from torch import Tensor

from pantile.contracts.errors import UserError
from pantile.contracts.taxonomy import Taxonomy
from pantile.convert.class_names import KNOWN
from pantile.convert.detectron2_names import backbone_rules
from pantile.convert.huggingface_names import Rules, pair_names, rename_to_ours, rename_to_theirs
from pantile.convert.sizes import ORIGINAL_BACKBONE, backbone_name, has_no_counter, size_of
from pantile.models import PanopticFCN, PanopticFCNConfig

IMAGE_MEAN = (103.53, 116.28, 123.675)  # of our R, G, B
IMAGE_STD = (1.0, 1.0, 1.0)
STEM = "backbone.model.conv1.weight"
BODY = "backbone.bottom_up."
THINGS, STUFF = "position_head.out_inst.weight", "position_head.out_sem.weight"
_ENCODER = "feature_encoder.encode_head.encode_head_head_"
_NOT_LEARNED = ("pixel_mean", "pixel_std")


def is_panoptic_fcn(foreign: dict[str, Tensor]) -> bool:
    """Whether a state dict is of the original Panoptic FCN."""
    return THINGS in foreign and STUFF in foreign


def import_panoptic_fcn(
    foreign: dict[str, Tensor], taxonomy: Taxonomy, base: PanopticFCNConfig | None = None
) -> tuple[PanopticFCNConfig, dict[str, Tensor]]:
    """An original state dict as ours.

    Args:
        taxonomy: classes in the order of the channels.
        base: what the file does not tell (candidates); None is the default.

    Returns:
        The config of the network, and the state dict of ``PanopticFCN(config, K, is_thing)``.

    Raises:
        UserError: names a tensor that is missing, left over or of another shape, or says that the backbone is unknown
            or the taxonomy another.
    """
    config = _infer(foreign, taxonomy, base or PanopticFCNConfig())
    with torch.device("meta"):
        expected = PanopticFCN(config, len(taxonomy), taxonomy.is_thing("cpu").tolist()).state_dict()
    used = {name: tensor for name, tensor in foreign.items() if name not in _NOT_LEARNED}
    state = rename_to_ours(used, pair_names(expected, _rules(config)), expected)
    return config, state | {STEM: state[STEM].flip(1)}


def export_panoptic_fcn(config: PanopticFCNConfig, state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Our state dict under the original's names, for BGR images.

    Raises:
        UserError: a network or an input that the original does not have.
    """
    wanted = {"image_mean": IMAGE_MEAN, "image_std": IMAGE_STD, "levels": 5, "in_channels": 3, "stride_in_1x1": True}
    for name, value in wanted.items():
        given = getattr(config, name)
        if (tuple(given) if isinstance(value, tuple) else given) != value:
            raise UserError(
                f"model.{name} is {given}, the original Panoptic FCN has {value} only; weights that were trained "
                "otherwise cannot be written in its layout."
            )
    flipped = state | {STEM: state[STEM].flip(1)}
    return rename_to_theirs(flipped, pair_names(flipped, _rules(config)))


def panoptic_fcn_classes(foreign: dict[str, Tensor]) -> Taxonomy:
    """The known data set whose things and regions are as many as the channels.

    Raises:
        UserError: there is none.
    """
    things, regions = size_of(foreign, THINGS, 0), size_of(foreign, STUFF, 0)
    for taxonomy in KNOWN.values():
        stuff = len(taxonomy.stuff_indices)
        if len(taxonomy.thing_indices) == things and stuff and regions in (1 + stuff, len(taxonomy)):
            return taxonomy
    raise UserError(
        f"It has {things} thing channels and {regions} stuff channels, which is no known data set; give --categories."
    )


def panoptic_fcn_recipe(foreign: dict[str, Tensor], taxonomy: Taxonomy) -> str:
    """The recipe that has its merging, sizes and candidates: its data set's, COCO's for others."""
    data_set = {19: "cityscapes", 65: "mapillary"}.get(len(taxonomy))
    if data_set is not None:
        return f"panoptic_fcn_r50_{data_set}"
    star = "star_" if f"{_ENCODER}1.dcnv2.weight" in foreign else ""
    return f"panoptic_fcn_r50_{star}3x_coco"


def _infer(foreign: dict[str, Tensor], taxonomy: Taxonomy, base: PanopticFCNConfig) -> PanopticFCNConfig:
    deformable = f"{_ENCODER}1.dcnv2.weight" in foreign
    body = {f"backbone.{n.removeprefix(BODY)}": t for n, t in foreign.items() if n.startswith(BODY)}
    return replace(
        base,
        backbone=backbone_name(body, ORIGINAL_BACKBONE),
        pretrained=False,
        backbone_weights=None,
        frozen_batch_norm=has_no_counter(body),
        stride_in_1x1=True,
        in_channels=3,
        image_mean=IMAGE_MEAN,
        image_std=IMAGE_STD,
        channels=size_of(foreign, THINGS, 1),
        embed_channels=size_of(foreign, f"{_ENCODER}3{'.dcnv2' if deformable else ''}.weight", 0),
        deformable_encoder=deformable,
        levels=5,
        thing_regions=_thing_regions(foreign, taxonomy),
    )


def _thing_regions(foreign: dict[str, Tensor], taxonomy: Taxonomy) -> str:
    """How the stuff channels are laid out.

    Raises:
        UserError: in no way that fits the taxonomy.
    """
    things, regions = size_of(foreign, THINGS, 0), size_of(foreign, STUFF, 0)
    own, stuff = len(taxonomy.thing_indices), len(taxonomy.stuff_indices)
    if things != own or regions not in (1 + stuff, len(taxonomy)):
        raise UserError(
            f"It has {things} thing channels and {regions} stuff channels, which do not fit {own} things and {stuff} "
            "stuff classes; give the categories of its data set."
        )
    return "together" if regions == 1 + stuff else "by_class"


def _rules(config: PanopticFCNConfig) -> Rules:
    body = [
        (pattern, tuple(BODY + name.removeprefix("backbone.") for name in names))
        for pattern, names in backbone_rules(config.backbone)
    ]
    return body + _pyramid_rules() + _head_rules(config.deformable_encoder)


def _pyramid_rules() -> Rules:
    rules: Rules = []
    for index in range(4):
        rules += [
            (rf"pyramid\.laterals\.{index}\.", (f"backbone.fpn_lateral{index + 2}.",)),
            (rf"pyramid\.outputs\.{index}\.", (f"backbone.fpn_output{index + 2}.",)),
        ]
        for step in range(max(index, 1)):  # every second of theirs is a resize
            ours, theirs = rf"semantic_pyramid\.branches\.{index}\.{step}\.", f"semantic_fpn.p{index + 2}.{2 * step}."
            rules += [(rf"{ours}0\.", (theirs,)), (rf"{ours}1\.", (f"{theirs}norm.",))]
    return rules + [(rf"pyramid\.coarser\.{index}\.", (f"backbone.top_block.p{index + 6}.",)) for index in range(2)]


def _head_rules(deformable_encoder: bool) -> Rules:
    rules: Rules = [
        (r"position_head\.things\.", ("position_head.out_inst.",)),
        (r"position_head\.stuff\.", ("position_head.out_sem.",)),
        (r"kernel_head\.out\.", ("kernel_head.out_conv.",)),
        (r"(thing|stuff)_generator\.", (r"\1_generator.embed_extractor.",)),
    ]
    stacks = (
        (r"position_head\.hidden", "position_head.position_head.position_head_head_", True),
        (r"kernel_head\.hidden", "kernel_head.kernel_head.kernel_head_head_", False),
        ("encoder", _ENCODER, deformable_encoder),
    )
    for ours, prefix, deformable in stacks:
        for index in range(3):
            theirs = f"{prefix}{index + 1}."
            conv = f"{theirs}dcnv2." if deformable else theirs
            rules += [
                (rf"{ours}\.{index}\.0\.offset\.", (f"{theirs}offset_mask_conv.",)),
                (rf"{ours}\.{index}\.0\.", (conv,)),
                (rf"{ours}\.{index}\.1\.", (f"{conv}norm.",)),
            ]
    return rules
