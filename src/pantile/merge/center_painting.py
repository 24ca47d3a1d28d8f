"""From classes of pixels and owners of thing pixels to segments: the last step of merging by centres."""

import warnings
from functools import cache
from typing import NamedTuple

import numpy as np

from pantile.contracts.taxonomy import Taxonomy
from pantile.merge.center_config import CenterMergeConfig
from pantile.merge.segments import Canvas, PastedSegment


class Things(NamedTuple):
    """Attributes:
    pixels: (P,) int64 flat index of the thing pixels that have a centre.
    owner: (P,) int64, 0..C-1.
    heat: (C,) float64 of the centres.
    """

    pixels: np.ndarray
    owner: np.ndarray
    heat: np.ndarray


def majority_classes(things: Things, classes: np.ndarray, num_classes: int) -> np.ndarray:
    """(C,) int32, the commonest class among the pixels of each centre, the smallest of equals."""
    pairs = things.owner * num_classes + classes.reshape(-1)[things.pixels]
    votes = np.bincount(pairs, minlength=things.heat.size * num_classes)
    return votes.reshape(-1, num_classes).argmax(axis=1).astype(np.int32)


def paint_centers(
    classes: np.ndarray,
    probability: np.ndarray,
    things: Things,
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
    kept_stuff = np.flatnonzero(~np.array(taxonomy.thing_flags) & (area >= max(config.stuff_area_limit, 1)))

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
def warn_of_uncentred_things() -> None:
    warnings.warn(
        "an image has pixels of things but no centre above merge.center_threshold, so they became void; "
        'merge.uncentred_things="one_segment" keeps them. Further images are not reported.',
        stacklevel=2,
    )
