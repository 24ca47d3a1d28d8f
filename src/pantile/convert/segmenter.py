"""Segmenter's state dict in the original repository and ours, both ways.

Theirs keeps the ImageNet head of the ViT, which nothing runs: left out on the way in, zeros on the way out. The two
projections of its mask decoder are bare matrices that multiply from the right, ours are linear layers.
"""

import math
import re
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from pantile.contracts.errors import UserError
from pantile.convert.huggingface_names import Rules, pair_names, rename_to_ours, rename_to_theirs
from pantile.convert.sizes import size_of
from pantile.models.segmenter import Segmenter, SegmenterConfig

IMAGENET_CLASSES = 1000
UNUSED_HEADS = ("encoder.head.", "encoder.head_dist.")
PROJECTIONS = ("decoder.proj_patch", "decoder.proj_classes")
WIDTHS = {192: "tiny", 384: "small", 768: "base", 1024: "large"}

RULES: Rules = [
    (r"backbone\.model\.", ("encoder.",)),
    (r"decoder\.input_projection\.", ("decoder.proj_dec.",)),
    (r"decoder\.class_embed", ("decoder.cls_emb",)),
    (r"decoder\.blocks\.", ("decoder.blocks.",)),
    (r"decoder\.norm\.", ("decoder.decoder_norm.",)),
    (r"decoder\.patch_projection\.weight", ("decoder.proj_patch",)),
    (r"decoder\.class_projection\.weight", ("decoder.proj_classes",)),
    (r"decoder\.classifier\.", ("decoder.head.",)),
    (r"selector\.norm\.", ("decoder.mask_norm.",)),
]


def is_segmenter(foreign: dict[str, Tensor]) -> bool:
    heads = {"decoder.cls_emb", "decoder.head.weight"}
    return "encoder.patch_embed.proj.weight" in foreign and bool(heads & foreign.keys())


def segmenter_classes(foreign: dict[str, Tensor]) -> int:
    """K."""
    if "decoder.cls_emb" in foreign:
        return size_of(foreign, "decoder.cls_emb", 1)
    return size_of(foreign, "decoder.head.weight", 0)


def segmenter_config(foreign: dict[str, Tensor], told: dict[str, Any] | None = None) -> SegmenterConfig:
    """The network of a file of the original repository.

    A table of positions tells only its number of patches; their grid is taken to be square, as in all published files.

    Raises:
        UserError: not one of the published sizes of ViT, or a grid that is not square.
    """
    width = size_of(foreign, "encoder.patch_embed.proj.weight", 0)
    patch = size_of(foreign, "encoder.patch_embed.proj.weight", 2)
    distilled = "encoder.dist_token" in foreign
    if width not in WIDTHS or (distilled and width == 1024):
        raise UserError(
            f"encoder.patch_embed.proj.weight: a ViT of width {width} is none of ViT-Ti, -S, -B and -L; only these can "
            "be converted."
        )
    patches = size_of(foreign, "encoder.pos_embed", 1) - (2 if distilled else 1)
    side = math.isqrt(patches)
    if side * side != patches:
        raise UserError(
            f"encoder.pos_embed: {patches} positions are no square grid, and the file does not tell theirs."
        )
    size = WIDTHS[width]
    named = f"deit_{size}_distilled_patch16_{384 if size == 'base' else 224}" if distilled else _vit_name(size, patch)
    published = int(re.search(r"patch(\d+)", named)[1])
    blocks = {m[1] for m in (re.match(r"decoder\.blocks\.(\d+)\.", name) for name in foreign) if m}
    config = SegmenterConfig(
        backbone=named,
        patch_size=None if patch == published else patch,
        image_size=(side * patch, side * patch),
        decoder="mask" if "decoder.cls_emb" in foreign else "linear",
        decoder_layers=len(blocks) or SegmenterConfig.decoder_layers,
    )
    if distilled:  # normalised as ImageNet is
        config = replace(config, image_mean=(123.675, 116.28, 103.53), image_std=(58.395, 57.12, 57.375))
    return config


def import_segmenter(config: SegmenterConfig, foreign: dict[str, Tensor]) -> dict[str, Tensor]:
    """Their state dict as that of ``Segmenter(config, K)``.

    Raises:
        UserError: the tensors do not fit the config.
    """
    with torch.device("meta"):
        expected = Segmenter(config, segmenter_classes(foreign)).state_dict()
    used = {name: _turned(name, tensor) for name, tensor in foreign.items() if not name.startswith(UNUSED_HEADS)}
    return rename_to_ours(used, pair_names(expected, RULES), expected)


def export_segmenter(config: SegmenterConfig, state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Our state dict as theirs. The encoder's ImageNet head is zeros."""
    foreign = rename_to_theirs(state, pair_names(state, RULES))
    foreign = {name: _turned(name, tensor) for name, tensor in foreign.items()}
    heads = UNUSED_HEADS if "encoder.dist_token" in foreign else UNUSED_HEADS[:1]
    width = foreign["encoder.cls_token"].shape[2]
    for head in heads:
        foreign |= {f"{head}weight": torch.zeros(IMAGENET_CLASSES, width), f"{head}bias": torch.zeros(IMAGENET_CLASSES)}
    return foreign


def _vit_name(size: str, patch: int) -> str:
    return f"vit_base_patch{patch}_224" if (size, patch) == ("base", 8) else f"vit_{size}_patch16_384"


def _turned(name: str, tensor: Tensor) -> Tensor:
    """Between their layout and ours, both ways."""
    if name in PROJECTIONS:
        return tensor.T.contiguous()
    if name == "decoder.cls_emb":  # (1, K, D) and (K, D)
        return tensor.squeeze(0) if tensor.ndim == 3 else tensor.unsqueeze(0)
    return tensor
