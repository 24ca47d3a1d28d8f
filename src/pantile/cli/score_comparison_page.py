"""The page of several scores: what ``ScoreComparison`` says, and the images on which predictions differ most."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from pantile.contracts.panoptic import PanopticMap

if TYPE_CHECKING:
    from pantile.score.comparison import Interval, ScoreComparison
    from pantile.score.run import Job
    from pantile.visualize.comparison_page import Bar

_IMAGES = 8


def write_page(path: Path, comparison: "ScoreComparison", jobs: "Sequence[Job]", truth_name: str) -> None:
    """
    Args:
        jobs: from which the comparison was made.
        truth_name: of the ground truth, for the heading.
    """
    from pantile.score.comparison import SAMPLES
    from pantile.visualize.comparison_page import ComparisonPage, compared_image, write_comparison_page

    taxonomy, images, shown = jobs[0].taxonomy, [], set()
    for image in comparison.changed[:_IMAGES]:
        truth = jobs[0].truth(image.index)
        nothing = PanopticMap(np.zeros_like(truth.ids), ())
        predictions = [job.prediction(image.index) or nothing for job in jobs]
        shown.update(segment.class_index for one in (truth, *predictions) for segment in one.segments)
        qualities = [_known(quality) for quality in image.qualities]
        images.append(compared_image(image.name, truth, predictions, taxonomy, qualities))
    groups = list(comparison.groups)
    page = ComparisonPage(
        title=f"{len(comparison.names)} predictions of {truth_name}",
        note=f"Panoptic quality in percent on {comparison.scores[0].images} images. Beside each number stands the "
        f"interval that holds 95 % of what {SAMPLES} draws of the images with replacement give, the same for all.",
        names=comparison.names,
        totals=[[_bar(comparison.groups[g][n]) for g in groups] for n in range(len(comparison.names))],
        deltas=[[_bar(comparison.deltas[g][n]) for g in groups] for n in range(len(comparison.names) - 1)],
        classes=[
            (taxonomy.classes[taxonomy.names.index(name)], [_bar(row) for row in rows])
            for name, rows in comparison.strongest_classes()
        ],
        images=images,
        taxonomy=taxonomy,
        shown=[k for k in (*taxonomy.thing_indices, *taxonomy.stuff_indices) if k in shown],
    )
    write_comparison_page(path, page)


def _bar(row: "Interval") -> "Bar":
    from pantile.visualize.comparison_page import Bar

    return Bar(*map(_known, row))


def _known(value: float) -> float | None:
    return None if math.isnan(value) else value
