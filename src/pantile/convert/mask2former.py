"""Mask2Former's state dicts, of the original repository and of Hugging Face, into ours; and ours into the original's.

The network's sizes follow from the shapes; what leaves no trace in a state dict keeps the config's default.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from pantile.convert.detectron2_names import (
    PIXEL_DECODER,
    PREDICTOR,
    attention_rules,
    backbone_rules,
    export_original,
    head_rules,
    import_original,
    with_current_names,
)
from pantile.convert.huggingface_mask2former import import_mask2former as import_huggingface
from pantile.convert.huggingface_names import INDEX, MASK2FORMER_V4, Rules, below, with_version_5_names
from pantile.convert.sizes import (
    ORIGINAL_BACKBONE,
    BackboneNames,
    backbone_name,
    count_of,
    counts_no_batch,
    has_no_counter,
    huggingface_backbone,
    size_of,
)
from pantile.models.mask2former import Mask2Former, Mask2FormerConfig

DROP_PATH_SWIN = 0.3
OFFSETS_PER_HEAD = 3 * 4 * 2  # levels, points, x and y


@dataclass(frozen=True)
class _Landmarks:
    """Tensors that tell the sizes, and the prefixes of numbered layers."""

    backbone: BackboneNames
    norms_are_frozen: Callable[[dict[str, Tensor]], bool]
    classes: str
    queries: str
    mask_features: str
    encoder: str
    attention: str
    encoder_ffn: str
    decoder: str
    decoder_ffn: str


ORIGINAL = _Landmarks(
    backbone=ORIGINAL_BACKBONE,
    norms_are_frozen=has_no_counter,
    classes=f"{PREDICTOR}class_embed.weight",
    queries=f"{PREDICTOR}query_feat.weight",
    mask_features=f"{PIXEL_DECODER}mask_features.weight",
    encoder=f"{PIXEL_DECODER}transformer.encoder.layers.",
    attention=f"{PIXEL_DECODER}transformer.encoder.layers.0.self_attn.sampling_offsets.bias",
    encoder_ffn=f"{PIXEL_DECODER}transformer.encoder.layers.0.linear1.bias",
    decoder=f"{PREDICTOR}transformer_ffn_layers.",
    decoder_ffn=f"{PREDICTOR}transformer_ffn_layers.0.linear1.bias",
)
HUGGING_FACE = _Landmarks(
    backbone=huggingface_backbone("swin.", "attention.relative_position_bias.relative_position_bias_table"),
    norms_are_frozen=counts_no_batch,
    classes="class_predictor.weight",
    queries="model.transformer_module.queries_features.weight",
    mask_features="model.pixel_level_module.decoder.mask_projection.weight",
    encoder="model.pixel_level_module.decoder.encoder.layers.",
    attention="model.pixel_level_module.decoder.encoder.layers.0.self_attn.sampling_offsets.bias",
    encoder_ffn="model.pixel_level_module.decoder.encoder.layers.0.fc1.bias",
    decoder="model.transformer_module.decoder.layers.",
    decoder_ffn="model.transformer_module.decoder.layers.0.fc1.bias",
)

_LAYER = r"layers\.(\d+)\."
_CROSS, _SELF, _FFN = (
    rf"{PREDICTOR}transformer_{kind}_layers.\1." for kind in ("cross_attention", "self_attention", "ffn")
)
_PIXEL_RULES: Rules = [
    (r"input_projections\.", ("input_proj.",)),
    (r"level_embed", ("transformer.level_embed",)),
    (r"lateral\.0\.", ("adapter_1.",)),
    (r"lateral\.1\.", ("adapter_1.norm.",)),
    (r"output\.0\.", ("layer_1.",)),
    (r"output\.1\.", ("layer_1.norm.",)),
    (r"mask_features\.", ("mask_features.",)),
    (r"encoder\.(\d+)\.attention\.", (r"transformer.encoder.layers.\1.self_attn.",)),
    (r"encoder\.(\d+)\.attention_norm\.", (r"transformer.encoder.layers.\1.norm1.",)),
    (r"encoder\.(\d+)\.ffn\.0\.", (r"transformer.encoder.layers.\1.linear1.",)),
    (r"encoder\.(\d+)\.ffn\.3\.", (r"transformer.encoder.layers.\1.linear2.",)),
    (r"encoder\.(\d+)\.ffn_norm\.", (r"transformer.encoder.layers.\1.norm2.",)),
]
_RULES: Rules = [
    *below("pixel_decoder.", PIXEL_DECODER, _PIXEL_RULES),
    *attention_rules(f"{_LAYER}cross_attention", f"{_CROSS}multihead_attn"),
    *attention_rules(f"{_LAYER}self_attention", f"{_SELF}self_attn"),
    (rf"{_LAYER}cross_norm\.", (f"{_CROSS}norm.",)),
    (rf"{_LAYER}self_norm\.", (f"{_SELF}norm.",)),
    (rf"{_LAYER}ffn\.0\.", (f"{_FFN}linear1.",)),
    (rf"{_LAYER}ffn\.3\.", (f"{_FFN}linear2.",)),
    (rf"{_LAYER}ffn_norm\.", (f"{_FFN}norm.",)),
    (r"query_content", (f"{PREDICTOR}query_feat.weight",)),
    (r"query_position", (f"{PREDICTOR}query_embed.weight",)),
    (r"level_embed", (f"{PREDICTOR}level_embed.weight",)),
    (r"query_norm\.", (f"{PREDICTOR}decoder_norm.",)),
    *head_rules(),
]


def is_mask2former(foreign: dict[str, Tensor]) -> bool:
    """Whether a state dict of either layout has the attention that only Mask2Former has."""
    return any("sampling_offsets" in name for name in foreign)


def import_mask2former(
    foreign: dict[str, Tensor], told: dict[str, Any] | None = None
) -> tuple[Mask2FormerConfig, dict[str, Tensor]]:
    """A state dict of the original repository or of Hugging Face (names of version 4 or 5).

    Args:
        told: Hugging Face's config.json; all that matters is in the shapes.

    Returns:
        The config of the network, and the state dict of ``Mask2Former(config, K)``.

    Raises:
        UserError: names a tensor that is missing, left over or of another shape, or says that the backbone is unknown.
    """
    if "class_predictor.weight" in foreign:
        foreign = with_version_5_names(foreign, MASK2FORMER_V4)
        foreign = {name: tensor for name, tensor in foreign.items() if not name.endswith(INDEX)}
        config = _infer(foreign, HUGGING_FACE)
        return config, import_huggingface(config, foreign)
    foreign = with_current_names(foreign)
    config = _infer(foreign, ORIGINAL)
    with torch.device("meta"):
        expected = Mask2Former(config, size_of(foreign, ORIGINAL.classes, 0) - 1).state_dict()
    return config, import_original(_rules(config), foreign, expected)


def export_original_mask2former(config: Mask2FormerConfig, state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Our state dict as that of the original repository."""
    return export_original(_rules(config), state)


def _rules(config: Mask2FormerConfig) -> Rules:
    return backbone_rules(config.backbone) + _RULES


def _infer(foreign: dict[str, Tensor], names: _Landmarks) -> Mask2FormerConfig:
    backbone = backbone_name(foreign, names.backbone)
    return Mask2FormerConfig(
        backbone=backbone,
        backbone_drop_path=DROP_PATH_SWIN if backbone.startswith("swin") else 0.0,
        frozen_batch_norm=names.norms_are_frozen(foreign),
        num_queries=size_of(foreign, names.queries, 0),
        channels=size_of(foreign, names.classes, 1),
        embed_channels=size_of(foreign, names.mask_features, 0),
        num_heads=size_of(foreign, names.attention, 0) // OFFSETS_PER_HEAD,
        encoder_layers=count_of(foreign, names.encoder),
        encoder_ffn_channels=size_of(foreign, names.encoder_ffn, 0),
        decoder_layers=count_of(foreign, names.decoder),
        decoder_ffn_channels=size_of(foreign, names.decoder_ffn, 0),
    )
