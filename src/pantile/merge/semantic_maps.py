"""Outputs of pixel classifiers to predictions: a class map, and a segment for each class that is in it.

Such a model does not tell things apart, so all pixels of a thing class are one segment, like those of a stuff class,
and ``Prediction.per_class`` says so. What it says of instances is nothing: none are made up.
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from pantile.contracts.outputs import SemanticOutput
from pantile.contracts.placement import Placement
from pantile.contracts.precision import autocast_off
from pantile.contracts.predictions import Prediction, Task
from pantile.contracts.taxonomy import Taxonomy
from pantile.merge.agreement import check_agreement
from pantile.merge.registry import register_merge
from pantile.merge.resampling import Grid, original_grid
from pantile.merge.segments import Canvas, PastedSegment
from pantile.merge.semantic import most_likely_classes
from pantile.merge.semantic_config import SemanticMergeConfig
from pantile.merge.window_mosaic import WindowMosaic, as_taken


@register_merge(SemanticMergeConfig, tasks=frozenset({"panoptic", "semantic", "presence"}), main_metric="miou")
@torch.no_grad()
def predict_classes(
    output: SemanticOutput | WindowMosaic,
    taxonomy: Taxonomy,
    config: SemanticMergeConfig,
    placements: Sequence[Placement],
    tasks: frozenset[Task] = frozenset({"panoptic"}),
) -> list[Prediction]:
    """``merge`` for pixel classifiers, in any floating dtype on any device.

    Of k selected classes, k and never K maps are resized, a few rows at a time. So are those of a mosaic of windows,
    unless ``config.resize`` is "probabilities", which are taken of full maps.

    Args:
        output: B images.
        taxonomy: K classes.
        config: see there.
        placements: B entries, where each image lies in the network's input.
        tasks: "semantic" gives the class of every pixel, also of those that area limits leave void; "instance" gives
            none.

    Returns:
        B predictions at the original sizes. Ids are int32, 1..S in the order of classes; a segment's score is the mean
        softmax probability of its class over its pixels.

    Raises:
        UserError: the numbers of images or of classes disagree.
    """
    check_agreement(output, len(output.class_logits), taxonomy, placements)
    selections = [None] * len(placements) if output.classes is None else output.classes
    limits = np.where(taxonomy.is_thing().numpy(), config.thing_area_limit, config.stuff_area_limit)
    # Under a caller's autocast the resizing would run in bfloat16, which moves borders.
    with autocast_off(output.class_logits.device):
        output, grids = resized_by(output, placements, config)
        return [
            _predict_one(logits, selection, limits, config, grid, "semantic" in tasks)
            for logits, selection, grid in zip(output.class_logits, selections, grids, strict=True)
        ]


def resized_by(
    output: SemanticOutput | WindowMosaic, placements: Sequence[Placement], config: SemanticMergeConfig
) -> tuple[SemanticOutput | WindowMosaic, list[Grid]]:
    """The output whose logits are resized, and for each image the way to its original size."""
    if isinstance(output, WindowMosaic) and config.resize == "logits":
        return output, [output.original_grid(placement, config.align_corners) for placement in placements]
    output = as_taken(output, SemanticOutput)
    size = output.class_logits.shape[-2:]
    return output, [original_grid(size, placement, config.align_corners) for placement in placements]


def _predict_one(
    logits: Tensor,
    selection: Tensor | None,
    limits: np.ndarray,
    config: SemanticMergeConfig,
    grid: Grid,
    with_classes: bool,
) -> Prediction:
    """(k, h, w), the classes (k,) of those channels and the least areas (K,) to the prediction of one image."""
    classes, probability = most_likely_classes(logits, grid, config.chunk_rows, selection, config.resize)
    return prediction_of_classes(classes, probability, limits, with_classes)


def prediction_of_classes(
    classes: np.ndarray, probability: np.ndarray, limits: np.ndarray, with_classes: bool
) -> Prediction:
    """A segment for each class of an image.

    Args:
        classes: (H, W) int32 class index.
        probability: (H, W) of that class.
        limits: (K,) pixels; a class with fewer becomes void in the panoptic map.
        with_classes: give the class map, too.
    """
    flat = classes.reshape(-1)
    area = np.bincount(flat, minlength=len(limits))
    score = np.bincount(flat, probability.reshape(-1), minlength=len(limits)) / np.maximum(area, 1)
    kept = np.flatnonzero(area >= np.maximum(limits, 1))
    id_of_class = np.zeros(len(limits), np.int32)
    id_of_class[kept] = 1 + np.arange(kept.size)
    canvas = Canvas(id_of_class[classes], [PastedSegment(int(k), float(score[k])) for k in kept])
    return Prediction(canvas.to_map(), semantic=classes if with_classes else None, per_class=True)
