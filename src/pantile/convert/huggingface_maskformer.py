"""MaskFormer's state dict in ``transformers`` and ours, both ways. Theirs has no transformer encoder.

Theirs holds four things that ours has no use for: the final norm and the index tables of Swin, the batch counters of
frozen batch norms, and the class weights of the loss. They are left out on the way in and made anew on the way out.
"""

import math

import torch
from timm.models.swin_transformer import get_relative_position_index
from torch import Tensor

from pantile.contracts.errors import UserError
from pantile.convert.huggingface_names import (
    COUNTER,
    RESNET,
    Rules,
    below,
    pair_names,
    rename_to_ours,
    rename_to_theirs,
    swin_rules,
)
from pantile.models.maskformer import MaskFormer, MaskFormerConfig

ENCODER = "model.pixel_level_module.encoder."
LOSS_WEIGHTS = "criterion.empty_weight"
NO_OBJECT_WEIGHT = 0.1
UNUSED_NORM = f"{ENCODER}model.layernorm."
TABLE, INDEX = "relative_position_bias_table", "relative_position_index"

SWIN = swin_rules(
    attention=("attention.self.query", "attention.self.key", "attention.self.value", "attention.output.dense"),
    table=f"attention.self.{TABLE}",
    mlp=("intermediate.dense", "output.dense"),
    root="model.",
    norms=[f"hidden_states_norms.{stage}" for stage in range(4)],
)
_ATTENTION: Rules = [
    (r"query\.", ("q_proj.",)),
    (r"key\.", ("k_proj.",)),
    (r"value\.", ("v_proj.",)),
    (r"out\.", ("o_proj.",)),
]
_DECODER_LAYER: Rules = [
    *below("self_attention.", "self_attn.", _ATTENTION),
    (r"self_norm\.", ("self_attn_layer_norm.",)),
    *below("cross_attention.", "encoder_attn.", _ATTENTION),
    (r"cross_norm\.", ("encoder_attn_layer_norm.",)),
    (r"ffn\.0\.", ("mlp.fc1.",)),
    (r"ffn\.3\.", ("mlp.fc2.",)),
    (r"ffn_norm\.", ("final_layer_norm.",)),
]


def _rules(config: MaskFormerConfig) -> Rules:
    if config.encoder_layers:
        raise UserError(
            f"model.encoder_layers is {config.encoder_layers}, but Hugging Face's MaskFormer has no encoder; set it "
            "to 0."
        )
    rules = below("backbone.", ENCODER, SWIN if config.backbone.startswith("swin") else RESNET)
    pixel_decoder, module = "model.pixel_level_module.decoder.", "model.transformer_module."
    for index in range(3):
        rules += [
            (rf"pixel_decoder\.laterals\.{index}\.", (f"{pixel_decoder}fpn.layers.{index}.proj.",)),
            (rf"pixel_decoder\.outputs\.{index}\.", (f"{pixel_decoder}fpn.layers.{index}.block.",)),
            (rf"mask_embed\.{2 * index}\.", (f"mask_embedder.{index}.0.",)),
        ]
    for index in range(config.decoder_layers):
        rules += below(f"layers.{index}.", f"{module}decoder.layers.{index}.", _DECODER_LAYER)
    return [
        *rules,
        (r"pixel_decoder\.coarsest\.", (f"{pixel_decoder}fpn.stem.",)),
        (r"pixel_decoder\.mask_features\.", (f"{pixel_decoder}mask_projection.",)),
        (r"pixel_decoder\.input_projection\.", (f"{module}input_projection.",)),
        (r"query_position", (f"{module}queries_embedder.weight",)),
        (r"query_norm\.", (f"{module}decoder.layernorm.",)),
        (r"classifier\.", ("class_predictor.",)),
    ]


def import_maskformer(config: MaskFormerConfig, foreign: dict[str, Tensor]) -> dict[str, Tensor]:
    """Their state dict as that of ``MaskFormer(config, K)``, K being the rows of their classifier but one.

    Raises:
        UserError: the tensors do not fit the config, or the config has an encoder.
    """
    if "class_predictor.weight" not in foreign:
        raise UserError("Not a state dict of MaskFormerForInstanceSegmentation: class_predictor.weight is missing.")
    with torch.device("meta"):
        expected = MaskFormer(config, len(foreign["class_predictor.weight"]) - 1).state_dict()
    used = {
        name: tensor
        for name, tensor in foreign.items()
        if not name.startswith((UNUSED_NORM, LOSS_WEIGHTS))
        and not name.endswith(INDEX)
        and not (config.frozen_batch_norm and name.endswith(COUNTER))
    }
    return rename_to_ours(used, pair_names(expected, _rules(config)), expected)


def export_maskformer(config: MaskFormerConfig, state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Our state dict as that of their ``MaskFormerForInstanceSegmentation``.

    Raises:
        UserError: the config has an encoder.
    """
    foreign = rename_to_theirs(state, pair_names(state, _rules(config)))
    for name, tensor in list(foreign.items()):
        if name.endswith(TABLE):
            window = (math.isqrt(len(tensor)) + 1) // 2
            foreign[name.removesuffix(TABLE) + INDEX] = get_relative_position_index(window, window)
        elif config.frozen_batch_norm and name.endswith(".running_mean"):
            foreign[name.removesuffix(".running_mean") + COUNTER] = torch.zeros((), dtype=torch.int64)
    if config.backbone.startswith("swin"):
        width = len(state["backbone.norms.res5.weight"])
        foreign |= {f"{UNUSED_NORM}weight": torch.ones(width), f"{UNUSED_NORM}bias": torch.zeros(width)}
    weights = torch.ones(len(state["classifier.weight"]))
    weights[-1] = NO_OBJECT_WEIGHT
    return foreign | {LOSS_WEIGHTS: weights}
