"""EoMT's state dicts of the authors' repository and of Hugging Face into ours, with the recipe that fits; and ours into
the authors'.

The authors' files of EoMT with DINOv3 are *deltas*: what is to be added to Meta's DINOv3 weights, whose licence
everybody has to accept alone. Read as weights they would give a network without an error and with nonsense. They are
recognised by their norms, which are near 0 instead of near 1, and read together with the DINOv3 file (``base``).
"""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from pantile.contracts.errors import UserError
from pantile.contracts.taxonomy import Taxonomy
from pantile.convert.class_names import named_classes
from pantile.convert.eomt_sizes import EoMTLandmarks, eomt_config
from pantile.convert.foreign_folder import ForeignWeights
from pantile.convert.huggingface_eomt import (
    as_videomt,
    huggingface_eomt_config,
    import_huggingface_eomt,
    is_huggingface_eomt,
    is_videomt,
)
from pantile.convert.huggingface_names import Rules, pair_names, rename_to_ours, rename_to_theirs
from pantile.convert.sizes import size_of
from pantile.data import FitConfig
from pantile.engine.config import RunConfig
from pantile.models import create_model
from pantile.models.eomt import EoMTConfig
from pantile.recipes import list_recipes, make_recipe
from pantile.recipes.matching import DATASETS, matching_recipe, short_name

ENCODER = "network.encoder.backbone."
HEAD = "network.class_head.weight"
MEAN, STD = "network.encoder.pixel_mean", "network.encoder.pixel_std"
MASK_PROBABILITIES, LOSS_WEIGHTS = "network.attn_mask_probs", "criterion.empty_weight"
UNUSED = (MASK_PROBABILITIES, LOSS_WEIGHTS, MEAN, STD, "metrics.", f"{ENCODER}rope_embeddings.")
UPDATER = "network.query_updater."  # of VidEoMT
MASK_TOKEN = f"{ENCODER}patch_embed.mask_token"
NO_OBJECT_WEIGHT = 0.1
#: of all norms of a file on average; weights have about 1, deltas a few hundredths
LARGEST_NORM_OF_DELTAS = 0.2
PREPROCESSOR = "preprocessor_config.json"

_LEARNED = EoMTLandmarks(
    patches=f"{ENCODER}patch_embed.proj.weight",
    positions=f"{ENCODER}pos_embed",
    registers=f"{ENCODER}reg_token",
    blocks=f"{ENCODER}blocks.",
    ffn=f"{ENCODER}blocks.0.mlp.fc1.weight",
    gate="",
    queries="network.q.weight",
    upscale="network.upscale.",
)
_ROTARY = replace(
    _LEARNED,
    patches=f"{ENCODER}patch_embed.patch_embeddings.weight",
    positions=None,
    registers=f"{ENCODER}patch_embed.register_tokens",
    ffn=f"{ENCODER}blocks.0.mlp.up_proj.weight",
)


def is_eomt(foreign: dict[str, Tensor]) -> bool:
    """Whether a state dict is of an EoMT, of the authors' repository or of Hugging Face's."""
    return not is_videomt(foreign) and (is_huggingface_eomt(foreign) or {HEAD, "network.q.weight"} <= foreign.keys())


def read_eomt(
    weights: ForeignWeights, taxonomy: Taxonomy | None, recipe: str | None
) -> tuple[RunConfig, Taxonomy, dict[str, Tensor]]:
    """``Family.read``: our recipe with the network's config, the classes, and our state dict.

    Raises:
        UserError: deltas without their base, or tensors that do not fit.
    """
    model, state, count = read_eomt_network(weights)
    taxonomy = named_classes(count, weights.labels, taxonomy, str(weights.source))
    config = make_recipe(recipe or _recipe_of(model, count, _preprocessor(weights.source)))
    # how it is trained on leaves no trace in a file
    trained = {name: getattr(config.model, name) for name in ("rotary_rescale", "slow_query_layers")}
    if len(config.model.mask_annealing) == model.query_layers:
        trained["mask_annealing"] = config.model.mask_annealing
    config.model = replace(model, **trained)
    return _fitted(config), taxonomy, state


def read_eomt_network(weights: ForeignWeights) -> tuple[EoMTConfig, dict[str, Tensor], int]:
    """Config, our state dict and the number of classes; also of a VidEoMT, under the names of an EoMT.

    Raises:
        UserError: deltas without their base, or tensors that do not fit.
    """
    foreign = weights.state
    if is_huggingface_eomt(foreign):
        if weights.base is not None:
            raise UserError("Hugging Face's layout holds whole weights: leave --base out.")
        model = huggingface_eomt_config(foreign, weights.told)
        state, count = import_huggingface_eomt(model, foreign), len(foreign["class_predictor.weight"]) - 1
    else:
        foreign = whole_weights(foreign, weights.base)
        model = original_eomt_config(foreign)
        state, count = import_original_eomt(model, foreign), size_of(foreign, HEAD, 0) - 1
    preprocessor = _preprocessor(weights.source)
    for ours, theirs in (("image_mean", "image_mean"), ("image_std", "image_std")):
        if values := preprocessor.get(theirs):
            model = replace(model, **{ours: tuple(round(255 * value, 6) for value in values)})
    return model, state, count


def original_eomt_config(foreign: dict[str, Tensor]) -> EoMTConfig:
    """The network of a file of the authors' repository; heads and blocks with queries are those of its width.

    Raises:
        UserError: not one of the published sizes of ViT.
    """
    rotary = _ROTARY.patches in foreign
    config = eomt_config(
        foreign, _ROTARY if rotary else _LEARNED, {"num_blocks": len(foreign.get(MASK_PROBABILITIES, ()))}
    )
    if not rotary:
        gated = size_of(foreign, _LEARNED.ffn, 0) != size_of(foreign, f"{ENCODER}blocks.0.mlp.fc2.weight", 1)
        config = replace(config, gated=gated, ffn_channels=size_of(foreign, f"{ENCODER}blocks.0.mlp.fc2.weight", 1))
    if MEAN in foreign and STD in foreign:
        mean, std = (tuple(round(255 * v, 4) for v in foreign[name].flatten().tolist()) for name in (MEAN, STD))
        config = replace(config, image_mean=mean, image_std=std)
    return as_videomt(config) if f"{UPDATER}weight" in foreign else config


def import_original_eomt(config: EoMTConfig, foreign: dict[str, Tensor]) -> dict[str, Tensor]:
    """Their state dict as that of our model of the config and K classes.

    Raises:
        UserError: the tensors do not fit the config.
    """
    with torch.device("meta"):
        expected = create_model(config, size_of(foreign, HEAD, 0) - 1).state_dict()
    used = {name: tensor for name, tensor in foreign.items() if not name.startswith(UNUSED) and name != MASK_TOKEN}
    return rename_to_ours(used, pair_names(expected, _rules(config)), expected)


def export_original_eomt(config: EoMTConfig, state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Our state dict as the authors', whole weights also of DINOv3 (``delta_weights: False`` in their config)."""
    foreign = rename_to_theirs(state, pair_names(state, _rules(config)))
    weights = torch.ones(len(state["classifier.weight"]))
    weights[-1] = NO_OBJECT_WEIGHT
    mean, std = (torch.tensor(values).view(1, -1, 1, 1) / 255 for values in (config.image_mean, config.image_std))
    zeros = torch.zeros(config.query_layers)
    return foreign | {LOSS_WEIGHTS: weights, MASK_PROBABILITIES: zeros, MEAN: mean, STD: std}


def whole_weights(foreign: dict[str, Tensor], base: dict[str, Tensor] | None) -> dict[str, Tensor]:
    """The authors' file as weights, whether it holds them or deltas.

    Args:
        base: DINOv3 as Hugging Face has it, for deltas.

    Raises:
        UserError: deltas without a base, weights with one, or a base that does not fit.
    """
    norms = [tensor.float().abs().mean() for name, tensor in foreign.items() if _is_norm(name)]
    deltas = bool(norms) and float(torch.stack(norms).mean()) < LARGEST_NORM_OF_DELTAS
    if deltas and base is None:
        raise UserError(
            "It holds deltas: what its authors add to Meta's DINOv3 weights. Get the DINOv3 ViT of this size (its "
            "licence must be accepted) and name its model.safetensors: `pantile convert eomt FILE --base "
            "DINOV3 --out OURS`."
        )
    if not deltas:
        if base is not None:
            raise UserError("It holds whole weights, no deltas: leave --base out.")
        return foreign
    renamed = {ENCODER + _encoder_name(name): tensor for name, tensor in base.items()}
    wanted = [name for name in foreign if name.startswith(ENCODER) and not name.startswith(UNUSED)]
    wrong = [n for n in wanted if n not in renamed or renamed[n].shape != foreign[n].shape]
    if wrong:
        raise UserError(
            f"--base does not fit ({len(wrong)} tensors are missing or of another shape, such as {wrong[0]}): name the "
            "DINOv3 ViT that this file was made of."
        )
    return foreign | {name: foreign[name].float() + renamed[name].float() for name in wanted}


def _is_norm(name: str) -> bool:
    return (
        name.startswith(ENCODER)
        and name.rpartition(".")[0].endswith(("norm", "norm1", "norm2"))
        and name.endswith(".weight")
    )


def _encoder_name(name: str) -> str:
    """Of DINOv3 at Hugging Face, in the authors' encoder."""
    name = name.removeprefix("model.")
    return (
        name.replace("embeddings.", "patch_embed.", 1)
        if name.startswith("embeddings.")
        else name.replace("layer.", "blocks.", 1)
    )


def _rules(config: EoMTConfig) -> Rules:
    encoder, block, ours = ENCODER, rf"{ENCODER}blocks.\1.", r"backbone\.blocks\.(\d+)\."
    if config.positions == "rotary":
        rules: Rules = [
            (r"backbone\.patch_embed\.proj\.", (f"{encoder}patch_embed.patch_embeddings.",)),
            (r"backbone\.cls_token", (f"{encoder}patch_embed.cls_token",)),
            (r"backbone\.reg_token", (f"{encoder}patch_embed.register_tokens",)),
            (rf"{ours}attn\.qkv\.", tuple(f"{block}attention.{part}_proj." for part in "qkv")),
            (rf"{ours}attn\.(q|v)_bias", (rf"{block}attention.\2_proj.bias",)),
            (rf"{ours}attn\.proj\.", (f"{block}attention.o_proj.",)),
            (rf"{ours}gamma_(1|2)", (rf"{block}layer_scale\2.lambda1",)),
            (rf"{ours}mlp\.fc1\.", (f"{block}mlp.up_proj.",)),
            (rf"{ours}mlp\.fc2\.", (f"{block}mlp.down_proj.",)),
        ]
    else:
        rules = [(rf"{ours}gamma_(1|2)", (rf"{block}ls\2.gamma",))]
    return [
        *rules,
        (r"backbone\.", (encoder,)),
        (r"query_updater\.", (UPDATER,)),
        (r"query", ("network.q.weight",)),
        (r"classifier\.", ("network.class_head.",)),
        (r"mask_embed\.", ("network.mask_head.",)),
        (r"upscale\.", ("network.upscale.",)),
    ]


def _preprocessor(source: Path) -> dict[str, Any]:
    """How Hugging Face's folder prepares images; {} where it does not say."""
    path = source / PREPROCESSOR
    if not path.is_file():
        return {}
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"{PREPROCESSOR} cannot be read as JSON ({error}); copy the file again.") from None


def _recipe_of(model: EoMTConfig, classes: int, preprocessor: dict[str, Any]) -> str:
    """The row of this network, data set, task and size, or what is nearest."""
    family = "eomt_dinov3" if model.positions == "rotary" else "eomt"
    nearest = matching_recipe(family, model.backbone, classes)
    semantic = preprocessor.get("do_split_image", model.num_queries == 100)
    large = "_1280" if max(model.image_size) == 1280 else ""
    size = short_name(model.backbone)
    names = [
        f"{family}_{letter}_{dataset}{side}"
        for dataset in DATASETS.get(classes, ())
        if dataset.endswith("_semantic") == semantic
        for letter in (size, "l")
        for side in (large, "")
    ]
    return next((name for name in names if name in list_recipes()), nearest)


def _fitted(config: RunConfig) -> RunConfig:
    """Images as large as the network has positions for."""
    size = config.model.image_size
    if config.windows is not None:
        config.windows = replace(config.windows, size=size)
        config.evaluation_size = FitConfig(short_side=min(size), multiple=1)
    else:
        config.evaluation_size = size
    return config
