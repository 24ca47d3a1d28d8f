"""The page of several scores: what ``ScoreComparison`` says, and the images on which predictions differ most."""

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from pantile.contracts.panoptic import PanopticMap
from pantile.contracts.taxonomy import Taxonomy

if TYPE_CHECKING:
    from pantile.score.comparison import Interval, ScoreComparison
    from pantile.score.run import Job
    from pantile.visualize.comparison_page import Bar, ComparisonPage

_IMAGES = 8


def write_page(path: Path, comparison: "ScoreComparison", jobs: "Sequence[Job]", truth_name: str) -> None:
    """
    Args:
        jobs: from which the comparison was made.
        truth_name: of the ground truth, for the heading.
    """
    from pantile.visualize.comparison_page import write_comparison_page

    def maps_of(index: int) -> Shown:
        truth = jobs[0].truth(index)
        nothing = PanopticMap(np.zeros_like(truth.ids), ())
        return Shown(truth, [job.prediction(index) or nothing for job in jobs])

    title = f"{len(comparison.names)} predictions of {truth_name}"
    write_comparison_page(path, comparison_page(comparison, jobs[0].taxonomy, title, maps_of, _IMAGES))


class Shown(NamedTuple):
    """One image: its truth, what each predicted, and (H, W, 3) uint8 of the photo where there is one."""

    truth: PanopticMap
    predictions: Sequence[PanopticMap]
    photo: np.ndarray | None = None


def comparison_page(
    comparison: "ScoreComparison", taxonomy: Taxonomy, title: str, maps_of: Callable[[int], Shown], images: int
) -> "ComparisonPage":
    """What a comparison says, with pictures of the images that changed most.

    Args:
        maps_of: index of an image to what is drawn of it.
        images: how many are drawn.
    """
    from pantile.score.comparison import SAMPLES
    from pantile.visualize.comparison_page import ComparisonPage, compared_image

    drawn, classes = [], set()
    for image in comparison.changed[:images]:
        truth, predictions, photo = maps_of(image.index)
        classes.update(segment.class_index for one in (truth, *predictions) for segment in one.segments)
        qualities = [_known(quality) for quality in image.qualities]
        drawn.append(compared_image(image.name, truth, predictions, taxonomy, qualities, photo))
    groups = list(comparison.groups)
    errors = [score.errors.kinds for score in comparison.scores if score.errors is not None]
    return ComparisonPage(
        title=title,
        note=f"Panoptic quality in percent on {comparison.scores[0].images} images. Beside each number stands the "
        f"interval that holds 95 % of what {SAMPLES} draws of the images with replacement give, the same for all.",
        names=comparison.names,
        totals=[[_bar(comparison.groups[g][n]) for g in groups] for n in range(len(comparison.names))],
        deltas=[[_bar(comparison.deltas[g][n]) for g in groups] for n in range(len(comparison.names) - 1)],
        classes=[
            (taxonomy.classes[taxonomy.names.index(name)], [_bar(row) for row in rows])
            for name, rows in comparison.strongest_classes()
        ],
        images=drawn,
        taxonomy=taxonomy,
        shown=[k for k in (*taxonomy.thing_indices, *taxonomy.stuff_indices) if k in classes],
        errors=[
            (kind.replace("_", " "), [_known(own[kind].lost_pq) for own in errors]) for kind in (errors or [{}])[0]
        ],
    )


def _bar(row: "Interval") -> "Bar":
    from pantile.visualize.comparison_page import Bar

    return Bar(*map(_known, row))


def _known(value: float) -> float | None:
    return None if math.isnan(value) else value
