"""Config and processor of an EoMT or a VidEoMT for ``transformers``."""

from typing import Any

from pantile.contracts.errors import UserError
from pantile.engine.checkpoint import Checkpoint
from pantile.models.eomt import EoMTConfig


def eomt_network(model: EoMTConfig) -> str:
    """The class of theirs."""
    return "EomtDinov3ForUniversalSegmentation" if model.positions == "rotary" else "EomtForUniversalSegmentation"


def huggingface_eomt_settings(transformers: Any, checkpoint: Checkpoint) -> Any:
    """
    Raises:
        UserError: what theirs cannot be: gated MLPs of another width, or gated ones with rotary positions.
    """
    model: EoMTConfig = checkpoint.config.model
    if model.positions == "rotary":
        if model.gated:
            raise UserError(f"{checkpoint.path}: model.gated has no counterpart in transformers' EoMT-DINOv3.")
        return transformers.EomtDinov3Config(**_sizes(model), intermediate_size=model.ffn_channels)
    return transformers.EomtConfig(**_sizes(model), **_mlp(checkpoint))


def huggingface_videomt_settings(transformers: Any, checkpoint: Checkpoint) -> Any:
    """
    Raises:
        UserError: what theirs cannot be: rotary positions, images that are not square, MLPs of another width.
    """
    model: EoMTConfig = checkpoint.config.model
    if model.positions == "rotary" or len(set(model.image_size)) > 1:
        what = "rotary positions" if model.positions == "rotary" else f"images of {list(model.image_size)}"
        raise UserError(f"{checkpoint.path}: {what} have no counterpart in transformers' VidEoMT.")
    return transformers.VideomtConfig(**_sizes(model), **_mlp(checkpoint))


def _sizes(model: EoMTConfig) -> dict[str, Any]:
    return {
        "hidden_size": model.channels,
        "num_hidden_layers": model.layers,
        "num_attention_heads": model.num_heads,
        "layer_norm_eps": model.norm_eps,
        "image_size": list(model.image_size) if len(set(model.image_size)) > 1 else model.image_size[0],
        "patch_size": model.patch_size,
        "drop_path_rate": model.backbone_drop_path,
        "num_upscale_blocks": model.upscale_layers,
        "num_blocks": model.query_layers,
        "num_queries": model.num_queries,
        "num_register_tokens": model.registers,
    }


def _mlp(checkpoint: Checkpoint) -> dict[str, Any]:
    """Of a DINOv2 in transformers.

    Raises:
        UserError: there is none.
    """
    model: EoMTConfig = checkpoint.config.model
    ratio = 4
    width = (ratio * model.channels * 2 // 3 + 7) // 8 * 8 if model.gated else ratio * model.channels
    if (model.gated and width != model.ffn_channels) or (model.ffn_channels % model.channels and not model.gated):
        raise UserError(
            f"{checkpoint.path}: model.ffn_channels is {model.ffn_channels}, which transformers' EoMT cannot have: "
            f"there it is {width}, or without model.gated a multiple of model.channels."
        )
    ratio = ratio if model.gated else model.ffn_channels // model.channels
    return {"mlp_ratio": ratio, "use_swiglu_ffn": model.gated}


def huggingface_eomt_processor(transformers: Any, checkpoint: Checkpoint) -> Any:
    """Resize and pad to the network's square, or windows where the run has them."""
    config = checkpoint.config
    height, width = config.windows.size if config.windows is not None else config.model.image_size
    split = config.windows is not None
    return transformers.EomtImageProcessor(
        size={"shortest_edge": min(height, width), "longest_edge": None if split else max(height, width)},
        do_split_image=split,
        do_pad=not split,
        image_mean=[value / 255 for value in config.model.image_mean],
        image_std=[value / 255 for value in config.model.image_std],
    )


def huggingface_videomt_processor(transformers: Any, checkpoint: Checkpoint) -> Any:
    """Resizes to the network's square, whatever the shape of the frames."""
    model = checkpoint.config.model
    height, width = model.image_size
    return transformers.VideomtVideoProcessor(
        size={"height": height, "width": width},
        image_mean=[value / 255 for value in model.image_mean],
        image_std=[value / 255 for value in model.image_std],
    )
