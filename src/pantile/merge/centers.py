"""Outputs by centres (Panoptic-DeepLab, arXiv 1911.10194; SWideRNet, arXiv 2011.11675) to predictions.

Every pixel takes its most likely class. A pixel of a thing class votes for the point to which its offset leads, and
belongs to the centre nearest to its vote; the pixels of a centre take the class of their majority. Work on instances
touches thing pixels only.
"""

import warnings
from collections.abc import Sequence
from functools import cache
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from pantile.contracts.class_channels import channels_of
from pantile.contracts.outputs import CenterOutput
from pantile.contracts.placement import Placement
from pantile.contracts.precision import autocast_off
from pantile.contracts.predictions import Prediction, Task
from pantile.contracts.run_lengths import instances_of
from pantile.contracts.taxonomy import Taxonomy
from pantile.merge.agreement import check_agreement
from pantile.merge.center_config import CenterMergeConfig
from pantile.merge.center_resampling import decision_grid, offset_growth, resize_maps, to_original
from pantile.merge.grouping import Centers, find_centers, hottest_point, nearest_centers
from pantile.merge.registry import register_merge
from pantile.merge.segments import Canvas, PastedSegment
from pantile.merge.semantic import most_likely_classes, probability_at


@register_merge(CenterMergeConfig)
@torch.no_grad()
def predict_centers(
    output: CenterOutput,
    taxonomy: Taxonomy,
    config: CenterMergeConfig,
    placements: Sequence[Placement],
    tasks: frozenset[Task] = frozenset({"panoptic"}),
) -> list[Prediction]:
    """``merge`` for outputs by centres, in any floating dtype on any device.

    Args:
        output: B images.
        taxonomy: K classes.
        config: thresholds and order of work.
        placements: B entries, where each image lies in the network's input.
        tasks: what to fill beside the panoptic map: "instance" (the map's things), "semantic" (the class of every
            pixel, also of those that area limits leave void).

    Returns:
        B predictions at the original sizes. Ids are int32, 1..S: things in the row-major order of their centres, then
        stuff in the order of classes. A thing's score is the mean softmax probability of its class over its pixels
        times the heat at its centre; a stuff segment's is the mean probability. Both are taken where decisions are
        made (``config.resize_order``).

    Raises:
        UserError: the numbers of images or of classes disagree.
    """
    check_agreement(output, len(output.semantic_logits), taxonomy, placements)
    # Under a caller's autocast the resizing would run in bfloat16, which moves borders.
    with autocast_off(output.semantic_logits.device):
        selections = output.classes if output.classes is not None else [None] * len(placements)
        return [
            _predict_one(*maps, taxonomy, config, placement, tasks)
            for *maps, placement in zip(
                output.semantic_logits,
                selections,
                output.center_heatmap,
                output.center_offset,
                placements,
                strict=True,
            )
        ]


def _predict_one(
    semantic_logits: Tensor,
    selection: Tensor | None,
    heatmap: Tensor,
    offset: Tensor,
    taxonomy: Taxonomy,
    config: CenterMergeConfig,
    placement: Placement,
    tasks: frozenset[Task],
) -> Prediction:
    """(k, h, w), the classes (k,) of those channels, (1, h, w) and (2, h, w) to the prediction of one image."""
    at_original = config.resize_order == "logits_first"
    grid = decision_grid(semantic_logits.shape[-2:], placement, at_original)
    classes, probability = most_likely_classes(semantic_logits, grid, config.chunk_rows, selection)
    pixels = np.flatnonzero(taxonomy.is_thing().numpy()[classes])
    things = _group_things(pixels, heatmap, offset, placement, config)

    thing_class = _majority_classes(things, classes, taxonomy.num_classes)
    own = classes.reshape(-1)[things.pixels]
    thing_probability = probability.reshape(-1)[things.pixels]
    assigned = thing_class[things.owner]
    outvoted = np.flatnonzero(own != assigned)
    channels = _channels(assigned[outvoted], selection, taxonomy.num_classes)
    thing_probability[outvoted] = probability_at(semantic_logits, grid, things.pixels[outvoted], channels)

    canvas = _paint(classes, probability, things, thing_class, thing_probability, taxonomy, config)
    if not at_original:
        canvas = Canvas(to_original(canvas.ids, placement), canvas.segments)
        classes = to_original(classes, placement) if "semantic" in tasks else classes
    panoptic = canvas.to_map()
    return Prediction(
        panoptic,
        instances=instances_of(panoptic, taxonomy) if "instance" in tasks else None,
        semantic=classes if "semantic" in tasks else None,
    )


def _channels(classes: np.ndarray, selection: Tensor | None, num_classes: int) -> np.ndarray:
    """(P,) class index, all of selected classes, to (P,) channel."""
    if selection is None:
        return classes
    labels = torch.from_numpy(classes).long().to(selection.device)
    return channels_of(labels[None], selection[None], num_classes)[0].cpu().numpy()


class _Things(NamedTuple):
    """Attributes:
    pixels: (P,) int64 flat index of the thing pixels that have a centre.
    owner: (P,) int64, 0..C-1.
    heat: (C,) float64 of the centres.
    """

    pixels: np.ndarray
    owner: np.ndarray
    heat: np.ndarray


def _group_things(
    pixels: np.ndarray, heatmap: Tensor, offset: Tensor, placement: Placement, config: CenterMergeConfig
) -> _Things:
    """Gives each thing pixel (P,) to the centre nearest to its vote; without a centre, to none."""
    at_original = config.resize_order == "logits_first"
    none = _Things(np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0))
    if pixels.size == 0:
        return none
    heat = resize_maps(heatmap, placement, at_original)[0]
    centers = find_centers(heat, config)
    if len(centers) == 0:
        if config.uncentred_things == "void":
            _warn_of_uncentred_things()
            return none
        centers = hottest_point(heat)
    size = (heat.shape[0], heat.shape[1])
    return _Things(pixels, _owners(pixels, offset, centers, size, placement, at_original), centers.heat)


def _owners(
    pixels: np.ndarray,
    offset: Tensor,
    centers: Centers,
    size: tuple[int, int],
    placement: Placement,
    at_original: bool,
) -> np.ndarray:
    """(P,) int64. Votes are float64: a float32 at column 2048 is only good to 1e-4 of a pixel."""
    growth = offset_growth(offset.shape[-2:], placement, at_original)
    resized = resize_maps(offset, placement, at_original).flatten(1).numpy()
    vote_y, vote_x = (
        position + resized[axis, pixels].astype(np.float64) * growth[axis]
        for axis, position in enumerate(np.divmod(pixels, size[1]))
    )
    return nearest_centers(vote_y, vote_x, centers, size)


def _majority_classes(things: _Things, classes: np.ndarray, num_classes: int) -> np.ndarray:
    """(C,) int32, the commonest class among the pixels of each centre, the smallest of equals."""
    pairs = things.owner * num_classes + classes.reshape(-1)[things.pixels]
    votes = np.bincount(pairs, minlength=things.heat.size * num_classes)
    return votes.reshape(-1, num_classes).argmax(axis=1).astype(np.int32)


def _paint(
    classes: np.ndarray,
    probability: np.ndarray,
    things: _Things,
    thing_class: np.ndarray,
    thing_probability: np.ndarray,
    taxonomy: Taxonomy,
    config: CenterMergeConfig,
) -> Canvas:
    """Things of (C,) centres, then stuff, without what is too small."""
    thing_area = np.bincount(things.owner, minlength=things.heat.size)
    thing_score = things.heat * _mean(things.owner, thing_probability, thing_area)
    kept_things = np.flatnonzero(thing_area >= max(config.thing_area_limit, 1))
    kept_things = _within_divisor(kept_things, thing_class, thing_score, taxonomy, config)

    flat = classes.reshape(-1)
    area = np.bincount(flat, minlength=taxonomy.num_classes)
    stuff_score = _mean(flat, probability.reshape(-1), area)
    kept_stuff = np.flatnonzero(~taxonomy.is_thing().numpy() & (area >= max(config.stuff_area_limit, 1)))

    id_of_stuff = np.zeros(taxonomy.num_classes, np.int32)
    id_of_stuff[kept_stuff] = kept_things.size + 1 + np.arange(kept_stuff.size)
    id_of_thing = np.zeros(things.heat.size, np.int32)
    id_of_thing[kept_things] = 1 + np.arange(kept_things.size)
    ids = id_of_stuff[classes]
    ids.reshape(-1)[things.pixels] = id_of_thing[things.owner]
    segments = [PastedSegment(int(thing_class[c]), float(thing_score[c])) for c in kept_things]
    segments += [PastedSegment(int(k), float(stuff_score[k])) for k in kept_stuff]
    return Canvas(ids, segments)


def _mean(groups: np.ndarray, values: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """(G,) float64 mean of the values of each group; 0 for an empty one."""
    return np.bincount(groups, values, minlength=counts.size) / np.maximum(counts, 1)


def _within_divisor(
    things: np.ndarray, thing_class: np.ndarray, thing_score: np.ndarray, taxonomy: Taxonomy, config: CenterMergeConfig
) -> np.ndarray:
    """The things (T,) that the label divisor can number: of a class that has more, those with the highest scores."""
    best_first = things[np.argsort(-thing_score[things], kind="stable")]
    by_class = best_first[np.argsort(thing_class[best_first], kind="stable")]
    classes = thing_class[by_class]
    rank = np.arange(classes.size) - np.searchsorted(classes, classes)
    kept = np.sort(by_class[rank < config.label_divisor - 1])
    if kept.size < things.size:
        _warn_of_divisor(config.label_divisor, taxonomy.names[classes[rank.argmax()]])
    return kept


@cache  # once per process and class
def _warn_of_divisor(divisor: int, name: str) -> None:
    warnings.warn(
        f"merge.label_divisor is {divisor}, room for {divisor - 1} instances of a class, but an image has more of "
        f"{name!r}: those with the lowest scores became void; raise merge.label_divisor.",
        stacklevel=2,
    )


@cache  # once per process: an untrained model has no centre in any image
def _warn_of_uncentred_things() -> None:
    warnings.warn(
        "an image has pixels of things but no centre above merge.center_threshold, so they became void; "
        'merge.uncentred_things="one_segment" keeps them. Further images are not reported.',
        stacklevel=2,
    )
