"""UPerNet on Swin and BEiT's semantic segmenter in ``transformers``, as our UPerNet.

Theirs are two models (``UperNetForSemanticSegmentation``, ``BeitForSemanticSegmentation``) with the same head. They
hold things that ours has no use for: Swin's final norm, index tables, BEiT's mask token and the blocks behind its last
feature. transformers takes BEiT's features one block before the one that ``out_indices`` names, which counts from one
over a list that begins with the embeddings; ours are taken where theirs are, so that outputs are equal.
"""

import math
import re
from typing import Any

import torch
from torch import Tensor

from pantile.contracts.errors import UserError
from pantile.convert.huggingface_mask2former import SWIN
from pantile.convert.huggingface_names import (
    INDEX,
    Rules,
    below,
    pair_names,
    rename_to_ours,
    swin_v4,
    with_version_5_names,
)
from pantile.convert.sizes import BackboneNames, backbone_name, count_of, size_of
from pantile.models.upernet import UPerNet, UPerNetConfig

CLASSIFIER = "decode_head.classifier.weight"
UNUSED = ("backbone.swin.layernorm.", "beit.layernorm.", "beit.pooler.", "beit.embeddings.mask_token")
PATCHES = "beit.embeddings.patch_embeddings.projection.weight"
TABLE = "relative_position_bias.relative_position_bias_table"
BEITS = {768: ("beit_base_patch16_224", (3, 5, 7, 11)), 1024: ("beit_large_patch16_224", (7, 11, 15, 23))}
SWINS = BackboneNames(
    resnet_stem="backbone.embedder.embedder.convolution.weight",
    deep_stem="",
    resnet_block=r"backbone\.encoder\.stages\.2\.layers\.(\d+)\.layer\.(\d)\.convolution\.weight",
    last_kernel="2",
    swin_stem="backbone.swin.embeddings.patch_embeddings.projection.weight",
    swin_block=rf"backbone\.swin\.encoder\.layers\.2\.blocks\.(\d+)\.attention\.{re.escape(TABLE)}",
)
_HEADS = r"^((?:decode_head|auxiliary_head)\..*)"
BEIT_V4 = [
    (r"^beit\.encoder\.layer\.(\d+)\.", r"beit.layers.\1."),
    (r"^(beit\.layers\.\d+\.)attention\.attention\.(query|key|value)\.", lambda m: f"{m[1]}attention.{m[2][0]}_proj."),
    (rf"^(beit\.layers\.\d+\.)attention\.attention\.({re.escape(TABLE)})", r"\1\2"),
    (r"^(beit\.layers\.\d+\.)attention\.output\.dense\.", r"\1attention.o_proj."),
    (r"^(beit\.layers\.\d+\.)intermediate\.dense\.", r"\1mlp.fc1."),
    (r"^(beit\.layers\.\d+\.)output\.dense\.", r"\1mlp.fc2."),
    (r"^fpn1\.([03])\.", lambda m: f"fpn.fpn1.conv_transpose{1 if m[1] == '0' else 2}."),
    (r"^fpn1\.1\.", "fpn.fpn1.normalization."),
    (r"^fpn2\.0\.", "fpn.fpn2."),
    (r"^decode_head\.psp_modules\.(\d+)\.1\.(?=conv\.|bn\.)", r"decode_head.psp_modules.blocks.\1.conv."),
    (r"^decode_head\.bottleneck\.", "decode_head.psp_bottleneck."),
    (rf"{_HEADS}(?<=\.)bn\.", r"\1normalization."),
    (rf"{_HEADS}(?<=\.)conv\.(?=weight)", r"\1convolution."),
]


def is_upernet(foreign: dict[str, Tensor]) -> bool:
    return CLASSIFIER in foreign and any(name.startswith("decode_head.fpn_bottleneck.") for name in foreign)


def is_beit(foreign: dict[str, Tensor]) -> bool:
    return PATCHES in foreign


def upernet_config(foreign: dict[str, Tensor], told: dict[str, Any] | None = None) -> UPerNetConfig:
    """The network of their state dict under names of version 5.

    Args:
        told: their config.json; without it what leaves no trace in the tensors is as published.

    Raises:
        UserError: a backbone of none of the published sizes.
    """
    told = told or {}
    common = {
        "channels": size_of(foreign, CLASSIFIER, 1),
        "auxiliary_channels": size_of(foreign, "auxiliary_head.classifier.weight", 1)
        if "auxiliary_head.classifier.weight" in foreign
        else 0,
        "pool_scales": tuple(told.get("pool_scales", UPerNetConfig.pool_scales)),
    }
    if not is_beit(foreign):
        backbone = told.get("backbone_config") or {}
        drop_path = backbone.get("drop_path_rate", UPerNetConfig.backbone_drop_path)
        return UPerNetConfig(backbone=backbone_name(foreign, SWINS), backbone_drop_path=drop_path, **common)
    width = size_of(foreign, PATCHES, 0)
    if width not in BEITS:
        raise UserError(f"{PATCHES}: a BEiT of width {width} is neither base nor large; only these can be converted.")
    name, indices = BEITS[width]
    first, second, third, fourth = (index - 1 for index in told.get("out_indices", indices))
    side = (math.isqrt(size_of(foreign, f"beit.layers.0.{TABLE}", 0) - 3) + 1) // 2 * 16
    return UPerNetConfig(
        backbone=name,
        backbone_drop_path=told.get("drop_path_rate", 0.1),
        image_size=(side, side),
        feature_blocks=(first, second, third, fourth),
        **common,
    )


def import_upernet(config: UPerNetConfig, foreign: dict[str, Tensor]) -> dict[str, Tensor]:
    """Their state dict as that of ``UPerNet(config, K)``, K being the rows of their classifier.

    Raises:
        UserError: the tensors do not fit the config.
    """
    foreign = with_new_names(foreign)
    with torch.device("meta"):
        model = UPerNet(config, size_of(foreign, CLASSIFIER, 0))
    expected = model.state_dict()
    beit = is_beit(foreign)
    behind = count_of(dict(expected), "backbone.model.blocks.")
    used = {
        name: tensor
        for name, tensor in foreign.items()
        if not name.startswith(UNUSED) and not name.endswith(INDEX) and not _is_behind(name, behind)
    }
    used[CLASSIFIER] = used[CLASSIFIER].flatten(1)
    return rename_to_ours(used, pair_names(expected, _rules(beit, len(config.pool_scales))), expected)


def with_new_names(foreign: dict[str, Tensor]) -> dict[str, Tensor]:
    """A state dict of version 4 or 5 under the names of version 5."""
    beit = any(name.startswith("beit.") for name in foreign)
    return with_version_5_names(foreign, BEIT_V4 if beit else swin_v4(r"backbone\."))


def _is_behind(name: str, blocks: int) -> bool:
    """Whether it belongs to a block of BEiT behind the last feature."""
    match = re.match(r"beit\.layers\.(\d+)\.", name)
    return match is not None and int(match[1]) >= blocks


def _rules(beit: bool, scales: int) -> Rules:
    conv, norm = ("convolution.", "normalization.") if beit else ("conv.", "batch_norm.")
    modules = {
        **{
            rf"top\.scales\.{i}\.": f"decode_head.psp_modules.{f'blocks.{i}.conv' if beit else f'{i}.1'}."
            for i in range(scales)
        },
        r"top\.project\.": f"decode_head.{'psp_bottleneck' if beit else 'bottleneck'}.",
        r"laterals\.(\d+)\.": r"decode_head.lateral_convs.\1.",
        r"outputs\.(\d+)\.": r"decode_head.fpn_convs.\1.",
        r"fuse\.": "decode_head.fpn_bottleneck.",
        r"auxiliary_head\.conv\.": "auxiliary_head.convs.0.",
    }
    rules: Rules = below("backbone.", "", BEIT) if beit else below("backbone.", "backbone.", SWIN)
    for ours, theirs in modules.items():
        rules += [(rf"{ours}conv\.", (theirs + conv,)), (rf"{ours}norm\.", (theirs + norm,))]
    return [
        *rules,
        (r"classifier\.", ("decode_head.classifier.",)),
        (r"auxiliary_head\.classifier\.", ("auxiliary_head.classifier.",)),
    ]


_BLOCK, _LAYER = r"model\.blocks\.(\d+)\.", r"beit.layers.\1."
BEIT: Rules = [
    (r"model\.cls_token", ("beit.embeddings.cls_token",)),
    (r"model\.patch_embed\.proj\.", ("beit.embeddings.patch_embeddings.projection.",)),
    (rf"{_BLOCK}gamma_(\d)", (rf"{_LAYER}lambda_\2",)),
    (rf"{_BLOCK}norm1\.", (f"{_LAYER}layernorm_before.",)),
    (rf"{_BLOCK}norm2\.", (f"{_LAYER}layernorm_after.",)),
    (rf"{_BLOCK}attn\.qkv\.", tuple(f"{_LAYER}attention.{part}_proj." for part in "qkv")),
    (rf"{_BLOCK}attn\.([qv])_bias", (rf"{_LAYER}attention.\2_proj.bias",)),
    (rf"{_BLOCK}attn\.proj\.", (f"{_LAYER}attention.o_proj.",)),
    (rf"{_BLOCK}mlp\.", (f"{_LAYER}mlp.",)),
    (r"tables\.(\d+)", (f"{_LAYER}{TABLE}",)),
    (r"quarter\.0\.", ("fpn.fpn1.conv_transpose1.",)),
    (r"quarter\.1\.", ("fpn.fpn1.normalization.",)),
    (r"quarter\.3\.", ("fpn.fpn1.conv_transpose2.",)),
    (r"eighth\.", ("fpn.fpn2.",)),
]
