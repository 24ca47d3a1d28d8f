"""Which class was taken for which, in pixels."""

import math
from collections import Counter
from typing import NamedTuple

from pantile.contracts.panoptic import VOID_ID
from pantile.contracts.taxonomy import Taxonomy
from pantile.metrics.map_pair import MapPair

NOTHING = -1  # in place of a class index: predicted void


class Swallowed(NamedTuple):
    """Pixels of one class that were given to another.

    Attributes:
        truth: name of the true class.
        predicted: name of the class that took them; None where nothing was predicted.
        pixels: how many.
        share: of all pixels of the true class, 0..1.
    """

    truth: str
    predicted: str | None
    pixels: int
    share: float


def class_pixels(pair: MapPair) -> Counter[tuple[int, int]]:
    """Pixels by (true class index, predicted class index or ``NOTHING``); void of the ground truth is left out.

    Crowd regions have their class: a crowd of people predicted as sky is a mistake of classes.
    """
    pixels: Counter[tuple[int, int]] = Counter()
    for gt_id, pred_id, area in pair.overlaps:
        if gt_id != VOID_ID:
            predicted = NOTHING if pred_id == VOID_ID else pair.pred_rows[pred_id].class_index
            pixels[pair.gt_rows[gt_id].class_index, predicted] += area
    return pixels


def class_iou(pixels: Counter[tuple[int, int]], taxonomy: Taxonomy) -> dict[str, float]:
    """Intersection over union of each class by its name; NaN where it is neither true nor predicted.

    The numbers of ``SemanticQuality``: pixels of true void count nowhere.
    """
    true, predicted = Counter[int](), Counter[int]()
    for (truth, taken), area in pixels.items():
        true[truth] += area
        predicted[taken] += area
    union = {k: true[k] + predicted[k] - pixels[k, k] for k in range(len(taxonomy))}
    return {name: pixels[k, k] / union[k] if union[k] else math.nan for k, name in enumerate(taxonomy.names)}


def swallowed_classes(pixels: Counter[tuple[int, int]], taxonomy: Taxonomy) -> list[Swallowed]:
    """The pairs of different classes, most pixels first."""
    of_class: Counter[int] = Counter()
    for (truth, _), area in pixels.items():
        of_class[truth] += area
    wrong = sorted(((truth, taken, area) for (truth, taken), area in pixels.items() if truth != taken), key=_most_first)
    return [
        Swallowed(taxonomy.names[t], None if p == NOTHING else taxonomy.names[p], area, area / of_class[t])
        for t, p, area in wrong
    ]


def _most_first(row: tuple[int, int, int]) -> tuple[int, int, int]:
    truth, predicted, area = row
    return -area, truth, predicted
