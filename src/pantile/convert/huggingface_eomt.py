"""EoMT's, EoMT-DINOv3's and VidEoMT's state dict in ``transformers`` (version 5) and ours, both ways.

Theirs holds the probabilities of masked attention, which are no weights here, and the class weights of the loss. They
are left out on the way in; on the way out the probabilities are zeros, so that their eval mode obeys no mask.
"""

from typing import Any

import torch
from torch import Tensor

from pantile.contracts.errors import UserError
from pantile.convert.eomt_sizes import EoMTLandmarks, eomt_config
from pantile.convert.huggingface_names import Rules, pair_names, rename_to_ours, rename_to_theirs
from pantile.models import create_model
from pantile.models.eomt import EoMTConfig
from pantile.models.videomt import VidEoMTConfig

MASK_PROBABILITIES = "attn_mask_probs"
LOSS_WEIGHTS = "criterion.empty_weight"
NO_OBJECT_WEIGHT = 0.1
MASK_TOKEN = "embeddings.mask_token"

_LANDMARKS = {
    "learned": EoMTLandmarks(
        patches="embeddings.patch_embeddings.projection.weight",
        positions="embeddings.position_embeddings.weight",
        registers="embeddings.register_tokens",
        blocks="layers.",
        ffn="layers.0.mlp.fc1.weight",
        gate="layers.0.mlp.gate_proj.weight",
        queries="query.weight",
        upscale="upscale_block.block.",
    ),
    "rotary": EoMTLandmarks(
        patches="embeddings.patch_embeddings.weight",
        positions=None,
        registers="embeddings.register_tokens",
        blocks="layers.",
        ffn="layers.0.mlp.up_proj.weight",
        gate="layers.0.mlp.gate_proj.weight",
        queries="query.weight",
        upscale="upscale_block.block.",
    ),
}


def is_huggingface_eomt(foreign: dict[str, Tensor]) -> bool:
    """Whether a state dict has the tensors that only EoMT's have there."""
    return {"upscale_block.block.0.conv1.weight", "query.weight", "class_predictor.weight"} <= foreign.keys()


def is_videomt(foreign: dict[str, Tensor]) -> bool:
    """Whether queries go from frame to frame."""
    return "query_updater.weight" in foreign


def as_videomt(config: EoMTConfig) -> VidEoMTConfig:
    """The same network, on films."""
    return VidEoMTConfig(**vars(config) | {"architecture": "videomt"})


def huggingface_eomt_config(foreign: dict[str, Tensor], told: dict[str, Any] | None) -> EoMTConfig:
    """The network's sizes, told by the tensors, and what they do not tell by config.json: heads, blocks with queries,
    image size, eps.

    Raises:
        UserError: sizes that are no EoMT's, another activation, or a file that disagrees with config.json.
    """
    rotary = "embeddings.patch_embeddings.weight" in foreign
    told = told or {}
    config = eomt_config(foreign, _LANDMARKS["rotary" if rotary else "learned"], told)
    if is_videomt(foreign):
        config = as_videomt(config)
    if (act := told.get("hidden_act", "gelu")) != "gelu":
        raise UserError(f"config.json: hidden_act is {act!r}; only 'gelu' can be converted.")
    if rotary and config.gated:
        raise UserError(
            "layers.0.mlp.gate_proj: an EoMT-DINOv3 with gated MLPs cannot be converted; none is published."
        )
    return config


def import_huggingface_eomt(config: EoMTConfig, foreign: dict[str, Tensor]) -> dict[str, Tensor]:
    """Their state dict as that of our model of the config and K classes, K being the rows of their classifier but one.

    Raises:
        UserError: the tensors do not fit the config.
    """
    with torch.device("meta"):
        expected = create_model(config, len(foreign["class_predictor.weight"]) - 1).state_dict()
    unused = {MASK_PROBABILITIES, LOSS_WEIGHTS, MASK_TOKEN}
    used = {
        name: tensor[None] if name == "embeddings.position_embeddings.weight" else tensor
        for name, tensor in foreign.items()
        if name not in unused
    }
    return rename_to_ours(used, pair_names(expected, _rules(config)), expected)


def export_huggingface_eomt(config: EoMTConfig, state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Our state dict as that of their ``EomtForUniversalSegmentation``, ``EomtDinov3ForUniversalSegmentation`` or
    ``VideomtForUniversalSegmentation``."""
    foreign = rename_to_theirs(state, pair_names(state, _rules(config)))
    if config.positions == "learned":
        table = "embeddings.position_embeddings.weight"
        foreign[table] = foreign[table][0]
    if is_videomt(state):
        foreign[MASK_TOKEN] = torch.zeros(1, 1, config.channels)  # which nothing reads
    weights = torch.ones(len(state["classifier.weight"]))
    weights[-1] = NO_OBJECT_WEIGHT
    return foreign | {LOSS_WEIGHTS: weights, MASK_PROBABILITIES: torch.zeros(config.query_layers)}


def _rules(config: EoMTConfig) -> Rules:
    rotary = config.positions == "rotary"
    block, out = r"layers.\1.", "o_proj" if rotary else "out_proj"
    ours = r"backbone\.blocks\.(\d+)\."
    up, down = ("up_proj", "down_proj") if rotary or config.gated else ("fc1", "fc2")
    first = tuple(f"{block}mlp.{name}." for name in (("gate_proj", up) if config.gated else (up,)))
    patches = "embeddings.patch_embeddings." + ("" if rotary else "projection.")
    linears = enumerate((0, 2, 4), start=1)
    return [
        (r"backbone\.patch_embed\.proj\.", (patches,)),
        (r"backbone\.cls_token", ("embeddings.cls_token",)),
        (r"backbone\.reg_token", ("embeddings.register_tokens",)),
        (r"backbone\.pos_embed", ("embeddings.position_embeddings.weight",)),
        (rf"{ours}attn\.qkv\.", tuple(f"{block}attention.{part}_proj." for part in "qkv")),
        (rf"{ours}attn\.(q|v)_bias", (rf"{block}attention.\2_proj.bias",)),
        (rf"{ours}attn\.proj\.", (f"{block}attention.{out}.",)),
        (rf"{ours}gamma_(1|2)", (rf"{block}layer_scale\2.lambda1",)),
        (rf"{ours}norm(1|2)\.", (rf"{block}norm\2.",)),
        (rf"{ours}mlp\.fc1\.", first),
        (rf"{ours}mlp\.fc2\.", (f"{block}mlp.{down}.",)),
        (r"backbone\.norm\.", ("layernorm.",)),
        (r"query_updater\.", ("query_updater.",)),
        (r"query", ("query.weight",)),
        (r"classifier\.", ("class_predictor.",)),
        *((rf"mask_embed\.{index}\.", (f"mask_head.fc{number}.",)) for number, index in linears),
        (r"upscale\.(\d+)\.(conv1|conv2)\.", (r"upscale_block.block.\1.\2.",)),
        (r"upscale\.(\d+)\.norm\.", (r"upscale_block.block.\1.layernorm2d.",)),
    ]
