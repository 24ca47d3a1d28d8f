"""MaskFormer's state dicts, of the original repository and of Hugging Face, into ours; and ours into the original's.

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
from pantile.convert.huggingface_maskformer import import_maskformer as import_huggingface
from pantile.convert.huggingface_names import MASKFORMER_V4, Rules, below, with_version_5_names
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
from pantile.models.maskformer import MaskFormer, MaskFormerConfig

DROP_PATH_SWIN = 0.3


@dataclass(frozen=True)
class _Landmarks:
    """Tensors that tell the sizes, and the prefixes of numbered layers."""

    backbone: BackboneNames
    norms_are_frozen: Callable[[dict[str, Tensor]], bool]
    classes: str
    queries: str
    mask_features: str
    encoder: str
    decoder: str
    decoder_ffn: str


ORIGINAL = _Landmarks(
    backbone=ORIGINAL_BACKBONE,
    norms_are_frozen=has_no_counter,
    classes=f"{PREDICTOR}class_embed.weight",
    queries=f"{PREDICTOR}query_embed.weight",
    mask_features=f"{PIXEL_DECODER}mask_features.weight",
    encoder=f"{PIXEL_DECODER}transformer.encoder.layers.",
    decoder=f"{PREDICTOR}transformer.decoder.layers.",
    decoder_ffn=f"{PREDICTOR}transformer.decoder.layers.0.linear1.bias",
)
HUGGING_FACE = _Landmarks(
    backbone=huggingface_backbone("model.", "attention.self.relative_position_bias_table"),
    norms_are_frozen=counts_no_batch,
    classes="class_predictor.weight",
    queries="model.transformer_module.queries_embedder.weight",
    mask_features="model.pixel_level_module.decoder.mask_projection.weight",
    encoder="model.pixel_level_module.decoder.encoder.layers.",  # none has one
    decoder="model.transformer_module.decoder.layers.",
    decoder_ffn="model.transformer_module.decoder.layers.0.mlp.fc1.bias",
)

_ENCODER, _THEIR_ENCODER = r"encoder\.(\d+)\.", r"transformer.encoder.layers.\1."
_PIXEL_RULES: Rules = [
    *attention_rules(f"{_ENCODER}attention", f"{_THEIR_ENCODER}self_attn"),
    (rf"{_ENCODER}attention_norm\.", (f"{_THEIR_ENCODER}norm1.",)),
    (rf"{_ENCODER}ffn\.0\.", (f"{_THEIR_ENCODER}linear1.",)),
    (rf"{_ENCODER}ffn\.3\.", (f"{_THEIR_ENCODER}linear2.",)),
    (rf"{_ENCODER}ffn_norm\.", (f"{_THEIR_ENCODER}norm2.",)),
    (r"coarsest\.0\.", ("layer_4.",)),
    (r"coarsest\.1\.", ("layer_4.norm.",)),
    (r"mask_features\.", ("mask_features.",)),
]
for index in range(3):  # theirs counts from the finest
    _PIXEL_RULES += [
        (rf"laterals\.{index}\.0\.", (f"adapter_{3 - index}.",)),
        (rf"laterals\.{index}\.1\.", (f"adapter_{3 - index}.norm.",)),
        (rf"outputs\.{index}\.0\.", (f"layer_{3 - index}.",)),
        (rf"outputs\.{index}\.1\.", (f"layer_{3 - index}.norm.",)),
    ]
_LAYER, _THEIR_LAYER = r"layers\.(\d+)\.", rf"{PREDICTOR}transformer.decoder.layers.\1."
_RULES: Rules = [
    *below("pixel_decoder.", PIXEL_DECODER, _PIXEL_RULES),
    *attention_rules(f"{_LAYER}self_attention", f"{_THEIR_LAYER}self_attn"),
    *attention_rules(f"{_LAYER}cross_attention", f"{_THEIR_LAYER}multihead_attn"),
    (rf"{_LAYER}self_norm\.", (f"{_THEIR_LAYER}norm1.",)),
    (rf"{_LAYER}cross_norm\.", (f"{_THEIR_LAYER}norm2.",)),
    (rf"{_LAYER}ffn\.0\.", (f"{_THEIR_LAYER}linear1.",)),
    (rf"{_LAYER}ffn\.3\.", (f"{_THEIR_LAYER}linear2.",)),
    (rf"{_LAYER}ffn_norm\.", (f"{_THEIR_LAYER}norm3.",)),
    (r"query_position", (f"{PREDICTOR}query_embed.weight",)),
    (r"query_norm\.", (f"{PREDICTOR}transformer.decoder.norm.",)),
    *head_rules(),
]


def is_maskformer(foreign: dict[str, Tensor]) -> bool:
    """Whether a state dict of either layout has MaskFormer's decoder."""
    return any(name.startswith((f"{PREDICTOR}transformer.decoder.", "mask_embedder.")) for name in foreign)


def import_maskformer(
    foreign: dict[str, Tensor], told: dict[str, Any] | None = None
) -> tuple[MaskFormerConfig, dict[str, Tensor]]:
    """A state dict of the original repository or of Hugging Face (names of version 4 or 5).

    Args:
        told: Hugging Face's config.json, for the number of attention heads, 8 without it.

    Returns:
        The config of the network, and the state dict of ``MaskFormer(config, K)``.

    Raises:
        UserError: names a tensor that is missing, left over or of another shape, or says that the backbone is unknown.
    """
    if "class_predictor.weight" in foreign:
        foreign = with_version_5_names(foreign, MASKFORMER_V4)
        heads = (told or {}).get("decoder_config", {}).get("decoder_attention_heads", 8)
        config = _infer(foreign, HUGGING_FACE, heads)
        return config, import_huggingface(config, foreign)
    foreign = with_current_names(foreign)
    config = _infer(foreign, ORIGINAL, heads=8)
    with torch.device("meta"):
        expected = MaskFormer(config, size_of(foreign, ORIGINAL.classes, 0) - 1).state_dict()
    return config, import_original(_rules(config), foreign, expected)


def export_original_maskformer(config: MaskFormerConfig, state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Our state dict as that of the original repository."""
    return export_original(_rules(config), state)


def _rules(config: MaskFormerConfig) -> Rules:
    # the projection of res5 belongs to whoever attends to it first
    owner = PIXEL_DECODER if config.encoder_layers else PREDICTOR
    projection: Rules = [(r"pixel_decoder\.input_projection\.", (f"{owner}input_proj.",))]
    return backbone_rules(config.backbone) + projection + _RULES


def _infer(foreign: dict[str, Tensor], names: _Landmarks, heads: int) -> MaskFormerConfig:
    backbone = backbone_name(foreign, names.backbone)
    return MaskFormerConfig(
        backbone=backbone,
        backbone_drop_path=DROP_PATH_SWIN if backbone.startswith("swin") else 0.0,
        frozen_batch_norm=names.norms_are_frozen(foreign),
        num_queries=size_of(foreign, names.queries, 0),
        channels=size_of(foreign, names.classes, 1),
        embed_channels=size_of(foreign, names.mask_features, 0),
        num_heads=heads,
        encoder_layers=count_of(foreign, names.encoder),
        decoder_layers=count_of(foreign, names.decoder),
        ffn_channels=size_of(foreign, names.decoder_ffn, 0),
    )
