"""Averaging what a model says of several views (scales, mirror images) of the same images.

Maps of every view are brought onto the grid of the first, and mirrored back. What is then averaged depends on the
kind of output:

- pixel classifiers: class probabilities, those of a class that a view does not select being 0. So the average is over
  the union of what the views select; everything stays at the stride of the first view.
- centres (SWideRNet, section 4; deeplab2): semantic probabilities, heat maps and offsets; offsets grow with the map
  and change their horizontal sign in a mirror.
- masks: query 7 of one view need not be query 7 of another, so queries are paired first: by the correlation of their
  mask logits and the agreement of their class probabilities, both independent of whether masks compete by softmax or
  stand alone. Pairs that do not look alike leave the first view's query as it is. So do queries that say nothing:
  a model with places for 50 candidates of a level (Panoptic FCN) fills up the rest, and the number of places may
  differ from view to view. Such a place is not somebody's word that an object is absent. Probabilities are averaged
  as such: where views disagree on the class, both classes keep half, while a mean of logarithms would leave neither.
"""

from collections.abc import Iterable
from dataclasses import replace
from functools import singledispatch
from itertools import chain
from typing import NamedTuple

import torch
import torch.nn.functional as F
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from pantile.contracts.outputs import CenterOutput, MaskOutput, ModelOutput, SemanticOutput
from pantile.merge.class_average import ClassAverage
from pantile.merge.window_mosaic import WindowMosaic

#: a query says nothing when each class has at most this probability
SAYS_NOTHING = 1e-5

#: a query of another view is the same object when its mask logits correlate at least so much
SAME_OBJECT = 0.5


class View(NamedTuple):
    """Attributes:
    output: of the view as the model saw it.
    mirrored: the images were flipped left to right.
    """

    output: ModelOutput
    mirrored: bool


@singledispatch
def corners_aligned(first: ModelOutput, width: int) -> bool:
    """Whether a view and its maps are resized with aligned corners, for network inputs of ``width`` pixels.

    Pixel classifiers never align them (Segmenter, mmseg).
    Maps by centres always lie on the corners of the input (``CenterOutput``). Masks do for inputs of 32k+1 pixels; for
    even ones pixel *areas* coincide, and aligned corners would move a mask of half the scale by up to 1.5 pixels of
    the input.
    """
    raise TypeError(f"no rule to resize {type(first).__name__}")


@corners_aligned.register
def _corners_of_centers(first: CenterOutput, width: int) -> bool:
    return True


@corners_aligned.register
def _corners_of_classes(first: SemanticOutput, width: int) -> bool:
    return False


@corners_aligned.register
def _corners_of_windows(first: WindowMosaic, width: int) -> bool:
    return False


@corners_aligned.register
def _corners_of_masks(first: MaskOutput, width: int) -> bool:
    return width % 2 == 1


@singledispatch
def average_views(first: ModelOutput, others: Iterable[View], aligned: bool = True) -> ModelOutput:
    """One output on the grid of ``first``.

    Args:
        first: of the images at their own scale, not mirrored.
        others: taken one by one, so a generator never holds more than one view.
        aligned: what ``corners_aligned`` says.
    """
    raise TypeError(f"no rule to average {type(first).__name__}")


@average_views.register
def _average_centers(first: CenterOutput, others: Iterable[View], aligned: bool = True) -> CenterOutput:
    """``semantic_logits`` of the result are logarithms of mean probabilities. Corners are always aligned."""
    size = first.semantic_logits.shape[-2:]
    semantic = ClassAverage(first.num_classes)
    heatmap, offset = 0, 0
    for output, mirrored in chain([View(first, False)], others):
        semantic.add(_onto(output.semantic_logits.float(), size, mirrored), output.classes, output.presence_logits)
        heat, direction = _center_maps(View(output, mirrored), size)
        heatmap, offset = heatmap + heat, offset + direction
    return CenterOutput(
        semantic.logits(),
        heatmap / semantic.views,
        offset / semantic.views,
        first.num_classes,
        semantic.classes,
        semantic.presence_logits(),
    )


@average_views.register
def _average_classes(first: SemanticOutput, others: Iterable[View], aligned: bool = True) -> SemanticOutput:
    """``class_logits`` of the result are logarithms of mean probabilities, of the classes that any view selects for any
    image; embeddings are those of the first view."""
    size = first.class_logits.shape[-2:]
    average = ClassAverage(first.num_classes)
    for output, mirrored in chain([View(first, False)], others):
        logits = _onto(output.class_logits.float(), size, mirrored, aligned)
        average.add(logits, output.classes, output.presence_logits)
    return replace(
        first,
        class_logits=average.logits(),
        classes=average.classes,
        presence_logits=average.presence_logits(),
        auxiliary=(),
    )


@average_views.register
def _average_mosaics(first: WindowMosaic, others: Iterable[View], aligned: bool = True) -> SemanticOutput:
    """Of the full maps that each mosaic makes: probabilities of the classes that any view selects, not linear."""
    return _average_classes(first.dense(), (View(view.output.dense(), view.mirrored) for view in others), aligned)


def _center_maps(view: View, size: torch.Size) -> tuple[Tensor, Tensor]:
    """Heat map and offsets of a view on the common grid, float32."""
    output, mirrored = view
    heatmap = _onto(output.center_heatmap.float(), size, mirrored)
    growth = [(new - 1) / max(old - 1, 1) for new, old in zip(size, output.center_offset.shape[-2:], strict=True)]
    signs = (growth[0], -growth[1] if mirrored else growth[1])
    offset = _onto(output.center_offset.float(), size, mirrored) * heatmap.new_tensor(signs)[:, None, None]
    return heatmap, offset


@average_views.register
def _average_masks(first: MaskOutput, others: Iterable[View], aligned: bool = True) -> MaskOutput:
    """``class_logits`` of the result are logarithms of mean probabilities, ``mask_logits`` mean logits."""
    size = first.mask_logits.shape[-2:]
    masks, classes = first.mask_logits.float(), first.class_logits.float().softmax(dim=-1)
    mask_total, class_total = masks.clone(), classes.clone()
    counts = masks.new_ones(masks.shape[:2])
    for output, mirrored in others:
        other_masks = _onto(output.mask_logits.float(), size, mirrored, aligned)
        other_classes = output.class_logits.float().softmax(dim=-1)
        for image in range(len(masks)):
            own, partner = _pair_queries(masks[image], classes[image], other_masks[image], other_classes[image])
            mask_total[image, own] += other_masks[image, partner]
            class_total[image, own] += other_classes[image, partner]
            counts[image, own] += 1
    probability = class_total / counts[..., None]
    return replace(
        first,
        class_logits=probability.clamp(min=torch.finfo(probability.dtype).tiny).log(),
        mask_logits=mask_total / counts[..., None, None],
        layers=(),
    )


def _pair_queries(masks: Tensor, classes: Tensor, other_masks: Tensor, other_classes: Tensor) -> tuple[Tensor, Tensor]:
    """Queries of two views of one image that are the same object, one to one.

    Args:
        masks: (N, h, w) logits.
        classes: (N, K+1) probabilities.
        other_masks: (M, h, w)
        other_classes: (M, K+1)

    Returns:
        (P,) int64 queries of the first view and (P,) their partners.
    """
    own, other = (
        (probability[:, :-1] > SAYS_NOTHING).any(dim=1).nonzero()[:, 0] for probability in (classes, other_classes)
    )
    correlation = _standardised(masks[own]) @ _standardised(other_masks[other]).T
    similarity = (correlation + classes[own] @ other_classes[other].T).cpu().numpy()
    row, column = (torch.from_numpy(index).to(masks.device) for index in linear_sum_assignment(-similarity))
    same = correlation[row, column] >= SAME_OBJECT
    return own[row[same]], other[column[same]]


def _standardised(masks: Tensor) -> Tensor:
    """(N, h, w) -> (N, h*w) of mean 0 and length 1."""
    flat = masks.flatten(1)
    return F.normalize(flat - flat.mean(dim=1, keepdim=True), dim=1)


def _onto(maps: Tensor, size: torch.Size, mirrored: bool, aligned: bool = True) -> Tensor:
    if maps.shape[-2:] != size:
        maps = F.interpolate(maps, size=size, mode="bilinear", align_corners=aligned)
    return maps.flip(-1) if mirrored else maps
