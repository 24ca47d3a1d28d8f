"""Our Mask2Former, MaskFormer, EoMT and VidEoMT as a folder that ``transformers`` loads, of version 4 as well as 5.

transformers itself writes the folder, so that its versions agree about names and fields.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError

from pantile.contracts.atomic import replacing_folder
from pantile.contracts.errors import UserError
from pantile.contracts.output_paths import telling
from pantile.convert.foreign_checkpoint import FAMILIES
from pantile.convert.huggingface_eomt_folder import (
    eomt_network,
    huggingface_eomt_processor,
    huggingface_eomt_settings,
    huggingface_videomt_processor,
    huggingface_videomt_settings,
)
from pantile.convert.optional import require
from pantile.convert.sizes import known_backbone
from pantile.data import FitConfig
from pantile.engine.checkpoint import Checkpoint

RESNET_DEPTHS = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3), 50: (3, 4, 6, 3), 101: (3, 4, 23, 3), 152: (3, 8, 36, 3)}
SWIN_SIZES = {  # width, depths, heads of the first stage
    "tiny": (96, (2, 2, 6, 2), 3),
    "small": (96, (2, 2, 18, 2), 3),
    "base": (128, (2, 2, 18, 2), 4),
    "large": (192, (2, 2, 18, 2), 6),
}
NO_LIMIT = 100_000  # pixels; the processors want a limit of the longer side
STAGES = ["stage1", "stage2", "stage3", "stage4"]


def write_huggingface_folder(checkpoint: Checkpoint, folder: Path) -> None:
    """Writes config.json, model.safetensors and preprocessor_config.json.

    Args:
        checkpoint: of an EoMT or VidEoMT, or of a Mask2Former, or of a MaskFormer without encoder, on a ResNet or a
            Swin.
        folder: must be empty or not exist.

    Raises:
        UserError: transformers is not installed, the network has no counterpart there, or the folder has content.
    """
    transformers = require("transformers", version=5)
    architecture = checkpoint.config.model.architecture
    if architecture not in WRITERS:
        *first, last = WRITERS
        raise UserError(
            f"{checkpoint.path}: is of {architecture}; only {', '.join(first)} and {last} have a counterpart in "
            "transformers."
        )
    writer = WRITERS[architecture]
    export_state = FAMILIES[architecture].to_huggingface
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UserError(f"--out {folder}: exists and has content; choose another folder.")
    model, state = checkpoint.config.model, checkpoint.part("model")
    if model.in_channels != 3:
        raise UserError(f"{checkpoint.path}: has {model.in_channels} bands, Hugging Face's processors know only 3.")
    theirs = writer.settings(transformers, checkpoint)
    foreign = export_state(model, state)
    theirs.id2label = dict(enumerate(checkpoint.taxonomy.names))
    theirs.label2id = {name: index for index, name in theirs.id2label.items()}
    network = getattr(transformers, writer.network(model))
    with torch.device("meta"):
        network = network(theirs)
    network.load_state_dict(foreign, assign=True)
    with telling(folder, SafetensorError), replacing_folder(folder) as temporary:
        network.save_pretrained(temporary)
        writer.processor(transformers, checkpoint).save_pretrained(temporary)


def _mask2former(transformers: Any, checkpoint: Checkpoint) -> Any:
    model = checkpoint.config.model
    return transformers.Mask2FormerConfig(
        backbone_config=_backbone(transformers, checkpoint),
        feature_size=model.channels,
        hidden_dim=model.channels,
        mask_feature_size=model.embed_channels,
        num_attention_heads=model.num_heads,
        encoder_layers=model.encoder_layers,
        encoder_feedforward_dim=model.encoder_ffn_channels,
        decoder_layers=model.decoder_layers + 1,
        dim_feedforward=model.decoder_ffn_channels,
        num_queries=model.num_queries,
    )


def _maskformer(transformers: Any, checkpoint: Checkpoint) -> Any:
    model = checkpoint.config.model
    decoder = transformers.DetrConfig(
        d_model=model.channels,
        num_queries=model.num_queries,
        decoder_layers=model.decoder_layers,
        decoder_attention_heads=model.num_heads,
        decoder_ffn_dim=model.ffn_channels,
        dropout=model.dropout,
    )
    return transformers.MaskFormerConfig(
        backbone_config=_backbone(transformers, checkpoint),
        decoder_config=decoder,
        fpn_feature_size=model.channels,
        mask_feature_size=model.embed_channels,
    )


def _backbone(transformers: Any, checkpoint: Checkpoint) -> Any:
    name = known_backbone(checkpoint.config.model.backbone, deep_stem=False)
    if name.startswith("swin"):
        size, _, window = name.removeprefix("swin_").partition("_patch4_window")
        width, depths, heads = SWIN_SIZES[size]
        window_size, _, image_size = window.partition("_")
        return transformers.SwinConfig(
            embed_dim=width,
            depths=list(depths),
            num_heads=[heads * 2**stage for stage in range(4)],
            window_size=int(window_size),
            image_size=int(image_size),
            drop_path_rate=checkpoint.config.model.backbone_drop_path,
            out_features=STAGES,
        )
    depth = int(name.removeprefix("resnet"))
    bottleneck = depth >= 50
    return transformers.ResNetConfig(
        depths=list(RESNET_DEPTHS[depth]),
        hidden_sizes=[width * (4 if bottleneck else 1) for width in (64, 128, 256, 512)],
        layer_type="bottleneck" if bottleneck else "basic",
        out_features=STAGES,
    )


def _processor(name: str, transformers: Any, checkpoint: Checkpoint) -> Any:
    model, size = checkpoint.config.model, checkpoint.config.evaluation_size
    if not isinstance(size, FitConfig):
        size = FitConfig(short_side=min(size), long_side=max(size))
    return getattr(transformers, name)(
        size={"shortest_edge": size.short_side or size.long_side, "longest_edge": size.long_side or NO_LIMIT},
        size_divisor=size.multiple,
        image_mean=[value / 255 for value in model.image_mean],
        image_std=[value / 255 for value in model.image_std],
        ignore_index=255,
        num_labels=len(checkpoint.taxonomy),
    )


@dataclass(frozen=True)
class Writer:
    """How an architecture is told to ``transformers``.

    Attributes:
        settings: (transformers, checkpoint) -> its config.
        network: our model's config -> the name of its class.
        processor: (transformers, checkpoint) -> its image processor.
    """

    settings: Callable[[Any, Checkpoint], Any]
    network: Callable[[Any], str]
    processor: Callable[[Any, Checkpoint], Any]


WRITERS = {
    "eomt": Writer(huggingface_eomt_settings, eomt_network, huggingface_eomt_processor),
    "mask2former": Writer(
        _mask2former,
        lambda _: "Mask2FormerForUniversalSegmentation",
        partial(_processor, "Mask2FormerImageProcessor"),
    ),
    "maskformer": Writer(
        _maskformer, lambda _: "MaskFormerForInstanceSegmentation", partial(_processor, "MaskFormerImageProcessor")
    ),
    "videomt": Writer(
        huggingface_videomt_settings, lambda _: "VideomtForUniversalSegmentation", huggingface_videomt_processor
    ),
}
