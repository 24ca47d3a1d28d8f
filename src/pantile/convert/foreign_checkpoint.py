"""A foreign checkpoint as one of ours: its network, its classes, and the recipe that it was trained by."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from torch import Tensor

from pantile.contracts.errors import UserError
from pantile.contracts.taxonomy import Taxonomy
from pantile.convert.class_names import name_classes, named_classes
from pantile.convert.clip_models import (
    export_original_videomt,
    is_any_videomt,
    read_mask2former_video,
    read_videomt,
)
from pantile.convert.eomt import export_original_eomt, is_eomt, read_eomt
from pantile.convert.foreign_folder import ForeignWeights, read_foreign
from pantile.convert.huggingface_eomt import export_huggingface_eomt
from pantile.convert.huggingface_mask2former import export_mask2former
from pantile.convert.huggingface_maskformer import export_maskformer
from pantile.convert.huggingface_upernet import import_upernet, is_upernet, upernet_config, with_new_names
from pantile.convert.kmax import export_kmax, import_kmax, is_kmax, kmax_backbone, kmax_classes
from pantile.convert.mask2former import export_original_mask2former, import_mask2former, is_mask2former
from pantile.convert.maskformer import export_original_maskformer, import_maskformer, is_maskformer
from pantile.convert.maxdeeplab import is_maxdeeplab, read_maxdeeplab, refuse_export
from pantile.convert.panoptic_fcn import (
    export_panoptic_fcn,
    import_panoptic_fcn,
    is_panoptic_fcn,
    panoptic_fcn_classes,
    panoptic_fcn_recipe,
)
from pantile.convert.segmenter import (
    export_segmenter,
    import_segmenter,
    is_segmenter,
    segmenter_classes,
    segmenter_config,
)
from pantile.engine.checkpoint import Checkpoint
from pantile.engine.config import RunConfig
from pantile.recipes import make_recipe
from pantile.recipes.matching import matching_recipe


@dataclass(frozen=True)
class Family:
    """What can be done with the state dicts of an architecture.

    Attributes:
        recognises: whether a foreign state dict is of this architecture.
        read: (weights, taxonomy or None, recipe or None) -> our recipe with the network's config, the classes, and our
            state dict.
        to_original: (our config, our state dict) -> that of the original repository; None where nobody wrote it.
        to_huggingface: the same for ``transformers``; None where it has no such model.
    """

    recognises: Callable[[dict[str, Tensor]], bool]
    read: Callable[[ForeignWeights, Taxonomy | None, str | None], tuple[RunConfig, Taxonomy, dict[str, Tensor]]]
    to_original: Callable[[Any, dict[str, Tensor]], dict[str, Tensor]] | None = None
    to_huggingface: Callable[[Any, dict[str, Tensor]], dict[str, Tensor]] | None = None


def load_foreign(
    path: Path,
    architecture: str | None = None,
    taxonomy: Taxonomy | None = None,
    recipe: str | None = None,
    base: Path | None = None,
) -> Checkpoint:
    """Reads weights of the original repository or of Hugging Face.

    Args:
        path: a file, or a folder as Hugging Face writes it.
        architecture: of ``FAMILIES``, what it must be; None is any.
        taxonomy: its classes; None takes its own labels, or the data set with so many classes.
        recipe: for merging and sizes; None is the one of this backbone and of the data set with so many classes.
        base: what the file is to be added to, where it holds deltas (EoMT with DINOv3).

    Raises:
        UserError: another architecture, tensors that do not fit, or another class count than the taxonomy's.
    """
    weights = read_foreign(path)
    if base is not None:
        weights = replace(weights, base=read_foreign(base).state)
    fitting = [name for name, family in FAMILIES.items() if family.recognises(weights.state)]
    wanted = architecture or (make_recipe(recipe).model.architecture if recipe is not None else None)
    found = wanted if wanted in fitting else next(iter(fitting), None)  # some have the same tensors
    if found is None or architecture not in (None, found):
        wanted = architecture or " or ".join(FAMILIES)
        raise UserError(f"{path}: its tensors are those of {found or weights.kind}, not of {wanted}.")
    if recipe is not None and make_recipe(recipe).model.architecture != found:
        raise UserError(f"--recipe {recipe}: is for {make_recipe(recipe).model.architecture}, the file is of {found}.")
    try:
        config, taxonomy, state = FAMILIES[found].read(weights, taxonomy, recipe)
    except UserError as error:
        raise UserError(f"{path}: {error}") from None
    return Checkpoint(path, config, taxonomy, {f"model.{name}": tensor for name, tensor in state.items()})


def family_of(checkpoint: Checkpoint) -> Family:
    """
    Raises:
        UserError: nobody else has this architecture.
    """
    architecture = checkpoint.config.model.architecture
    if architecture not in FAMILIES:
        *first, last = FAMILIES
        raise UserError(
            f"{checkpoint.path}: is of {architecture}; only {', '.join(first)} and {last} can be written in the "
            "layouts of other projects."
        )
    return FAMILIES[architecture]


def _mask_transformer(
    architecture: str, import_state: Callable[[dict[str, Tensor], dict[str, Any] | None], tuple[Any, dict[str, Tensor]]]
) -> Callable[[ForeignWeights, Taxonomy | None, str | None], tuple[RunConfig, Taxonomy, dict[str, Tensor]]]:
    """``Family.read`` of a network whose file tells the number of classes and perhaps their names."""

    def read(
        weights: ForeignWeights, taxonomy: Taxonomy | None, recipe: str | None
    ) -> tuple[RunConfig, Taxonomy, dict[str, Tensor]]:
        model, state = import_state(weights.state, weights.told)
        count = len(state["classifier.weight"]) - 1
        taxonomy = named_classes(count, weights.labels, taxonomy, str(weights.source))
        config = make_recipe(recipe or matching_recipe(architecture, model.backbone, count))
        config.model = model
        return config, taxonomy, state

    return read


def _read_segmenter(
    weights: ForeignWeights, taxonomy: Taxonomy | None, recipe: str | None
) -> tuple[RunConfig, Taxonomy, dict[str, Tensor]]:
    model, count = segmenter_config(weights.state), segmenter_classes(weights.state)
    taxonomy = named_classes(count, weights.labels, taxonomy, str(weights.source))
    config = make_recipe(recipe or matching_recipe("segmenter", model.backbone, count))
    config.model = model
    return config, taxonomy, import_segmenter(model, weights.state)


def _read_upernet(
    weights: ForeignWeights, taxonomy: Taxonomy | None, recipe: str | None
) -> tuple[RunConfig, Taxonomy, dict[str, Tensor]]:
    foreign = with_new_names(weights.state)
    model = upernet_config(foreign, weights.told)
    state = import_upernet(model, foreign)
    count = len(state["classifier.weight"])
    taxonomy = named_classes(count, weights.labels, taxonomy, str(weights.source))
    config = make_recipe(recipe or matching_recipe("upernet", model.backbone, count))
    config.model = model
    return config, taxonomy, state


def _read_panoptic_fcn(
    weights: ForeignWeights, taxonomy: Taxonomy | None, recipe: str | None
) -> tuple[RunConfig, Taxonomy, dict[str, Tensor]]:
    taxonomy = taxonomy or panoptic_fcn_classes(weights.state)
    config = make_recipe(recipe or panoptic_fcn_recipe(weights.state, taxonomy))
    config.model, state = import_panoptic_fcn(weights.state, taxonomy, config.model)
    return config, taxonomy, state


def _read_kmax(
    weights: ForeignWeights, taxonomy: Taxonomy | None, recipe: str | None
) -> tuple[RunConfig, Taxonomy, dict[str, Tensor]]:
    """The network's settings are those of its own row: drop paths leave no trace in a file."""
    classes = kmax_classes(weights.state)
    taxonomy = taxonomy or name_classes(classes, weights.labels, source=str(weights.source))
    config = make_recipe(recipe or matching_recipe("kmax", kmax_backbone(weights.state), classes))
    config.model, state = import_kmax(weights.state, taxonomy, config.model)
    return config, taxonomy, state


FAMILIES = {
    "eomt": Family(is_eomt, read_eomt, export_original_eomt, export_huggingface_eomt),
    "kmax": Family(is_kmax, _read_kmax, export_kmax),
    "mask2former": Family(
        is_mask2former,
        _mask_transformer("mask2former", import_mask2former),
        export_original_mask2former,
        export_mask2former,
    ),
    "maskformer": Family(
        is_maskformer, _mask_transformer("maskformer", import_maskformer), export_original_maskformer, export_maskformer
    ),
    "mask2former_video": Family(is_mask2former, read_mask2former_video, export_original_mask2former),
    "max_deeplab": Family(is_maxdeeplab, read_maxdeeplab, refuse_export),
    "panoptic_fcn": Family(is_panoptic_fcn, _read_panoptic_fcn, export_panoptic_fcn),
    "segmenter": Family(is_segmenter, _read_segmenter, export_segmenter),
    "upernet": Family(is_upernet, _read_upernet),
    "videomt": Family(is_any_videomt, read_videomt, export_original_videomt, export_huggingface_eomt),
}
