"""State dicts of the original repositories, which are detectron2 projects: what Mask2Former and MaskFormer share.

Beside the network's tensors they hold the class weights of the loss and, below Swin, the index tables of its windows.
Both are left out on the way in and made anew on the way out.
"""

import math

import torch
from timm.models.swin_transformer import get_relative_position_index
from torch import Tensor

from pantile.convert.huggingface_names import (
    INDEX,
    Pairs,
    Rules,
    below,
    pair_names,
    rename_to_ours,
    rename_to_theirs,
)
from pantile.convert.sizes import DEEP_STEM, known_backbone

LOSS_WEIGHTS = "criterion.empty_weight"
NO_OBJECT_WEIGHT = 0.1
PREDICTOR = "sem_seg_head.predictor."
PIXEL_DECODER = "sem_seg_head.pixel_decoder."
TABLE = "relative_position_bias_table"

_SWIN: Rules = [
    (r"model\.patch_embed\.", ("patch_embed.",)),
    (r"model\.layers\.(\d+)\.blocks\.", (r"layers.\1.blocks.",)),
]
for stage in range(4):  # theirs downsamples after a stage, timm before the next
    _SWIN += [
        (rf"model\.layers\.{stage + 1}\.downsample\.", (f"layers.{stage}.downsample.",)),
        (rf"norms\.res{stage + 2}\.", (f"norm{stage}.",)),
    ]
_STEM: Rules = [(r"model\.conv1\.", ("stem.conv1.",)), (r"model\.bn1\.", ("stem.conv1.norm.",))]
_DEEP_STEM: Rules = [
    (r"model\.conv1\.0\.", ("stem.conv1.",)),
    (r"model\.conv1\.1\.", ("stem.conv1.norm.",)),
    (r"model\.conv1\.3\.", ("stem.conv2.",)),
    (r"model\.conv1\.4\.", ("stem.conv2.norm.",)),
    (r"model\.conv1\.6\.", ("stem.conv3.",)),
    (r"model\.bn1\.", ("stem.conv3.norm.",)),
]
_STAGES: Rules = []
for stage in range(1, 5):
    block = rf"model\.layer{stage}\.(\d+)\."
    _STAGES += [
        (rf"{block}conv(\d)\.", (rf"res{stage + 1}.\1.conv\2.",)),
        (rf"{block}bn(\d)\.", (rf"res{stage + 1}.\1.conv\2.norm.",)),
        (rf"{block}downsample\.0\.", (rf"res{stage + 1}.\1.shortcut.",)),
        (rf"{block}downsample\.1\.", (rf"res{stage + 1}.\1.shortcut.norm.",)),
    ]


def backbone_rules(name: str) -> Rules:
    """For a timm name of a Swin or a ResNet; ``resnet101s`` has three convolutions in its stem.

    Raises:
        UserError: another backbone.
    """
    name = known_backbone(name, deep_stem=True)
    if name.startswith("swin"):
        rules = _SWIN
    else:
        rules = (_DEEP_STEM if name in DEEP_STEM else _STEM) + _STAGES
    return below("backbone.", "backbone.", rules)


def attention_rules(ours: str, theirs: str) -> Rules:
    """Of ``nn.MultiheadAttention``, whose three projections are one tensor."""
    rules: Rules = [(rf"{ours}\.{part}\.", (f"{theirs}.in_proj_",)) for part in ("query", "key", "value")]
    return [*rules, (rf"{ours}\.out\.", (f"{theirs}.out_proj.",))]


def head_rules() -> Rules:
    """The three linear layers of the mask embedding, and the classes."""
    rules: Rules = [(rf"mask_embed\.{2 * j}\.", (f"{PREDICTOR}mask_embed.layers.{j}.",)) for j in range(3)]
    return [*rules, (r"classifier\.", (f"{PREDICTOR}class_embed.",))]


def with_current_names(foreign: dict[str, Tensor]) -> dict[str, Tensor]:
    """The first releases had the pixel decoder's tensors at the head itself, and called ``query_feat`` otherwise."""
    current = {}
    for name, tensor in foreign.items():
        if name.startswith("sem_seg_head.") and not name.startswith((PREDICTOR, PIXEL_DECODER)):
            name = PIXEL_DECODER + name.removeprefix("sem_seg_head.")
        current[name.replace("static_query", "query_feat")] = tensor
    return current


def import_original(rules: Rules, foreign: dict[str, Tensor], expected: dict[str, Tensor]) -> dict[str, Tensor]:
    """Their tensors under our names; ``expected`` is the state dict of our model, on any device.

    Raises:
        UserError: a tensor is missing, left over, or has another shape.
    """
    used = {name: t for name, t in foreign.items() if name != LOSS_WEIGHTS and not name.endswith(INDEX)}
    return rename_to_ours(used, pair_names(expected, rules), expected)


def export_original(rules: Rules, state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Our tensors under their names, with what only they keep."""
    pairs: Pairs = pair_names(state, rules)
    foreign = rename_to_theirs(state, pairs)
    for name, tensor in list(foreign.items()):
        if name.endswith(TABLE):
            window = (math.isqrt(len(tensor)) + 1) // 2
            foreign[name.removesuffix(TABLE) + INDEX] = get_relative_position_index(window, window)
    weights = torch.ones(len(state["classifier.weight"]))
    weights[-1] = NO_OBJECT_WEIGHT
    return foreign | {LOSS_WEIGHTS: weights}
