"""Several predictions of one ground truth: what differs, how sure that is, and on which images."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from pantile.contracts.taxonomy import Taxonomy
from pantile.metrics.without_nan import without_nan
from pantile.score.result import ImageCounts, Score
from pantile.score.run import Job, add_up

SAMPLES = 1000  # data sets that are drawn from the images
_LOW, _HIGH = 2.5, 97.5  # percentiles
_SEED = 0
_BATCH = 100  # samples at once
_IMAGES_IN_FILE = 50


class Interval(NamedTuple):
    """A fraction of 1 with the interval that holds 95 % of what samples of the images give; NaN where nothing does."""

    value: float
    low: float
    high: float


class ChangedImage(NamedTuple):
    """An image on which predictions differ.

    Attributes:
        index: in the ground truth.
        name: its file.
        qualities: PQ of this image alone by each prediction, NaN where no class occurs.
    """

    index: int
    name: str
    qualities: tuple[float, ...]

    @property
    def change(self) -> float:
        """The greatest difference to the first prediction."""
        known = [abs(quality - self.qualities[0]) for quality in self.qualities[1:]]
        return max((value for value in known if not math.isnan(value)), default=0.0)


@dataclass(frozen=True)
class ScoreComparison:
    """
    Attributes:
        names: of the predictions; the others are compared with the first.
        scores: of each.
        groups: "all", "things" and "stuff" -> PQ of each prediction.
        deltas: the same groups -> PQ of each prediction but the first, less that of the first.
        class_deltas: class name -> the same of one class.
        changed: images on which predictions differ, most first.
    """

    names: tuple[str, ...]
    scores: tuple[Score, ...]
    groups: dict[str, tuple[Interval, ...]]
    deltas: dict[str, tuple[Interval, ...]]
    class_deltas: dict[str, tuple[Interval, ...]]
    changed: tuple[ChangedImage, ...]

    def strongest_classes(self) -> list[tuple[str, tuple[Interval, ...]]]:
        """``class_deltas`` of the classes that can be compared, the greatest difference first."""
        known = []
        for name, rows in self.class_deltas.items():
            sizes = [abs(row.value) for row in rows if not math.isnan(row.value)]
            if sizes:
                known.append((-max(sizes), name, rows))
        return [(name, rows) for _, name, rows in sorted(known, key=lambda row: row[0])]

    def to_dict(self) -> dict:
        """``{"predictions": {name: score}, "comparison": ...}`` in plain containers; NaN becomes None."""
        compared = {
            "against": self.names[0],
            "samples": SAMPLES,
            "pq": {group: _named(self.names, rows) for group, rows in self.groups.items()},
            "pq_delta": {group: _named(self.names[1:], rows) for group, rows in self.deltas.items()},
            "per_class_delta": {name: _named(self.names[1:], rows) for name, rows in self.class_deltas.items()},
            "changed_images": [
                {"file_name": image.name, "pq": dict(zip(self.names, image.qualities, strict=True))}
                for image in self.changed[:_IMAGES_IN_FILE]
            ],
        }
        scores = {name: score.to_dict() for name, score in zip(self.names, self.scores, strict=True)}
        return without_nan({"predictions": scores, "comparison": compared})


def _named(names: Sequence[str], rows: Sequence[Interval]) -> dict[str, dict]:
    return {name: row._asdict() for name, row in zip(names, rows, strict=True)}


def compare_predictions(
    jobs: Sequence[Job], names: Sequence[str], workers: int = 1, progress: bool = False
) -> ScoreComparison:
    """
    Args:
        jobs: one for each prediction, with the same ground truth, limit and rule.
        names: of the predictions.
        workers, progress: see ``score``.

    Raises:
        UserError: see ``score``.
    """
    totals = add_up(jobs, workers, progress, keep_images=True)
    scores = [job.score_of(total) for job, total in zip(jobs, totals, strict=True)]
    return compare_scores(names, scores, [total.images for total in totals], jobs[0].taxonomy)


def compare_scores(
    names: Sequence[str], scores: Sequence[Score], per_image: Sequence[Sequence[ImageCounts]], taxonomy: Taxonomy
) -> ScoreComparison:
    """
    Args:
        names, scores: of the predictions.
        per_image: of each prediction, the same images in one order.
        taxonomy: the classes.
    """
    sampled = sampled_qualities(per_image, taxonomy)
    measured = [_groups_and_classes(score) for score in scores]
    groups, deltas = {}, {}
    for key in measured[0]:
        values = [row[key] for row in measured]
        groups[key] = tuple(_interval(*pair) for pair in zip(values, sampled[key], strict=True))
        deltas[key] = tuple(
            _interval(value - values[0], sample - sampled[key][0])
            for value, sample in zip(values[1:], sampled[key][1:], strict=True)
        )
    images = [
        ChangedImage(index, of_each[0].name, tuple(image.quality for image in of_each))
        for index, of_each in enumerate(zip(*per_image, strict=True))
    ]
    changed = sorted((image for image in images if image.change > 0), key=lambda image: (-image.change, image.index))
    return ScoreComparison(
        names=tuple(names),
        scores=tuple(scores),
        groups={group: groups[group] for group in _GROUPS},
        deltas={group: deltas[group] for group in _GROUPS},
        class_deltas={name: deltas[index] for index, name in enumerate(taxonomy.names)},
        changed=tuple(changed),
    )


_GROUPS = ("all", "things", "stuff")


def _groups_and_classes(score: Score) -> dict[str | int, float]:
    groups: dict[str | int, float] = {group: getattr(score.quality, group).pq for group in _GROUPS}
    return groups | {index: row.pq for index, row in enumerate(score.quality.per_class.values())}


def sampled_qualities(
    per_image: Sequence[Sequence[ImageCounts]], taxonomy: Taxonomy, samples: int = SAMPLES
) -> dict[str | int, np.ndarray]:
    """PQ of data sets drawn from the images with replacement, the same draws for all predictions.

    Args:
        per_image: of each prediction, the images in one order.

    Returns:
        Each group and each class index -> (predictions, samples) float64, NaN where nothing of it was drawn.
    """
    images, classes = len(per_image[0]), len(taxonomy)
    counts = np.zeros((images, len(per_image), classes, 4))
    for which, rows in enumerate(per_image):
        for number, image in enumerate(rows):
            for class_index, row in image.classes.items():
                counts[number, which, class_index] = row
    random = np.random.default_rng(_SEED)
    qualities = []
    for first in range(0, samples if images else 0, _BATCH):
        drawn = random.multinomial(images, np.full(images, 1 / images), min(_BATCH, samples - first))
        sums = np.tensordot(drawn, counts, 1)  # (batch, predictions, classes, 4)
        weight = sums[..., 1] + sums[..., 2:].sum(axis=-1) / 2
        with np.errstate(invalid="ignore"):
            qualities.append(sums[..., 0] / weight)
    of_classes = np.concatenate(qualities) if qualities else np.full((0, len(per_image), classes), math.nan)
    indices = {"all": range(classes), "things": taxonomy.thing_indices, "stuff": taxonomy.stuff_indices}
    result: dict[str | int, np.ndarray] = {k: of_classes[..., k].T for k in range(classes)}
    return result | {group: _mean_of_known(of_classes[..., list(which)]).T for group, which in indices.items()}


def _mean_of_known(values: np.ndarray) -> np.ndarray:
    known = ~np.isnan(values)
    with np.errstate(invalid="ignore"):
        return np.where(known, values, 0).sum(axis=-1) / known.sum(axis=-1)


def _interval(value: float, samples: np.ndarray) -> Interval:
    known = samples[~np.isnan(samples)]
    if not known.size or math.isnan(value):
        return Interval(value, math.nan, math.nan)
    low, high = np.percentile(known, (_LOW, _HIGH)).tolist()
    return Interval(value, low, high)
