"""Mask2Former's state dict in ``transformers`` (version 5) and ours, both ways.

Theirs holds three things that ours has no use for: the final norm of Swin, the batch counters of frozen batch norms,
and the class weights of the loss. They are left out on the way in and made anew on the way out.
"""

import torch
from torch import Tensor

from pantile.contracts.errors import UserError
from pantile.convert.huggingface_names import (
    COUNTER,
    RESNET,
    Pairs,
    Rules,
    below,
    pair_names,
    rename_to_ours,
    rename_to_theirs,
    swin_rules,
)
from pantile.models.mask2former import Mask2Former, Mask2FormerConfig

ENCODER = "model.pixel_level_module.encoder."
LOSS_WEIGHTS = "criterion.empty_weight"
NO_OBJECT_WEIGHT = 0.1
UNUSED_NORM = f"{ENCODER}swin.layernorm."

SWIN = swin_rules(
    attention=("attention.q_proj", "attention.k_proj", "attention.v_proj", "attention.o_proj"),
    table="attention.relative_position_bias.relative_position_bias_table",
    mlp=("mlp.fc1", "mlp.fc2"),
    root="swin.",
    norms=[f"hidden_states_norms.stage{stage}" for stage in (1, 2, 3, 4)],
)
_ENCODER_LAYER: Rules = [
    (r"attention\.", ("self_attn.",)),
    (r"attention_norm\.", ("self_attn_layer_norm.",)),
    (r"ffn\.0\.", ("fc1.",)),
    (r"ffn\.3\.", ("fc2.",)),
    (r"ffn_norm\.", ("final_layer_norm.",)),
]
_DECODER_LAYER: Rules = [
    *((rf"cross_attention\.{part}\.", ("cross_attn.in_proj_",)) for part in ("query", "key", "value")),
    (r"cross_attention\.out\.", ("cross_attn.out_proj.",)),
    (r"cross_norm\.", ("cross_attn_layer_norm.",)),
    (r"self_attention\.query\.", ("self_attn.q_proj.",)),
    (r"self_attention\.key\.", ("self_attn.k_proj.",)),
    (r"self_attention\.value\.", ("self_attn.v_proj.",)),
    (r"self_attention\.out\.", ("self_attn.out_proj.",)),
    (r"self_norm\.", ("self_attn_layer_norm.",)),
    *_ENCODER_LAYER[2:],
]
_PIXEL_DECODER: Rules = [
    (r"input_projections\.", ("input_projections.",)),
    (r"level_embed", ("level_embed",)),
    (r"lateral\.", ("adapter_1.",)),
    (r"output\.", ("layer_1.",)),
    (r"mask_features\.", ("mask_projection.",)),
]


def _rules(config: Mask2FormerConfig) -> Rules:
    rules = below("backbone.", ENCODER, SWIN if config.backbone.startswith("swin") else RESNET)
    pixel_decoder, module = "model.pixel_level_module.decoder.", "model.transformer_module."
    rules += below("pixel_decoder.", pixel_decoder, _PIXEL_DECODER)
    for index in range(config.encoder_layers):
        rules += below(f"pixel_decoder.encoder.{index}.", f"{pixel_decoder}encoder.layers.{index}.", _ENCODER_LAYER)
    for index in range(config.decoder_layers):
        rules += below(f"layers.{index}.", f"{module}decoder.layers.{index}.", _DECODER_LAYER)
    for linear in range(3):
        rules.append((rf"mask_embed\.{2 * linear}\.", (f"{module}decoder.mask_predictor.mask_embedder.{linear}.0.",)))
    return [
        *rules,
        (r"query_content", (f"{module}queries_features.weight",)),
        (r"query_position", (f"{module}queries_embedder.weight",)),
        (r"level_embed", (f"{module}level_embed.weight",)),
        (r"query_norm\.", (f"{module}decoder.layernorm.",)),
        (r"classifier\.", ("class_predictor.",)),
    ]


def import_mask2former(config: Mask2FormerConfig, foreign: dict[str, Tensor]) -> dict[str, Tensor]:
    """Their state dict as that of ``Mask2Former(config, K)``, K being the rows of their classifier but one.

    Raises:
        UserError: the tensors do not fit the config.
    """
    if "class_predictor.weight" not in foreign:
        raise UserError("Not a state dict of Mask2FormerForUniversalSegmentation: class_predictor.weight is missing.")
    with torch.device("meta"):
        expected = Mask2Former(config, len(foreign["class_predictor.weight"]) - 1).state_dict()
    unused = (UNUSED_NORM, LOSS_WEIGHTS)
    used = {
        name: tensor
        for name, tensor in foreign.items()
        if not name.startswith(unused) and not (config.frozen_batch_norm and name.endswith(COUNTER))
    }
    return rename_to_ours(used, pair_names(expected, _rules(config)), expected)


def export_mask2former(config: Mask2FormerConfig, state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Our state dict as that of their ``Mask2FormerForUniversalSegmentation``."""
    pairs: Pairs = pair_names(state, _rules(config))
    foreign = rename_to_theirs(state, pairs)
    if config.backbone.startswith("swin"):
        width = len(state["backbone.norms.res5.weight"])
        foreign |= {f"{UNUSED_NORM}weight": torch.ones(width), f"{UNUSED_NORM}bias": torch.zeros(width)}
    if config.frozen_batch_norm:
        norms = [name.removesuffix(".running_mean") for name in foreign if name.endswith(".running_mean")]
        foreign |= {name + COUNTER: torch.zeros((), dtype=torch.int64) for name in norms}
    weights = torch.ones(len(state["classifier.weight"]))
    weights[-1] = NO_OBJECT_WEIGHT
    return foreign | {LOSS_WEIGHTS: weights}
