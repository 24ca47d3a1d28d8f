"""One HTML page about several predictions of the same images. It refers to nothing outside itself."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pantile.contracts.atomic import replacing
from pantile.contracts.panoptic import PanopticMap
from pantile.contracts.taxonomy import ClassInfo, Taxonomy
from pantile.visualize.overlay import error_map, overlay
from pantile.visualize.palette import ERROR_COLORS
from pantile.visualize.report_panels import fill_file

_PAPER = 245  # the grey below labels that have no photo


@dataclass(frozen=True)
class Bar:
    """A difference with its interval; fractions of 1, None where there is nothing to compare.

    Attributes:
        value, low, high: of the difference.
    """

    value: float | None
    low: float | None = None
    high: float | None = None

    @property
    def is_sure(self) -> bool:
        """Whether the interval lies on one side of 0."""
        return self.low is not None and self.high is not None and (self.low > 0 or self.high < 0)


@dataclass(frozen=True)
class ComparedImage:
    """
    Attributes:
        name: file name.
        ground_truth: (H, W, 3) uint8.
        predictions: (H, W, 3) uint8 of each prediction.
        errors: (H, W, 3) uint8 of each prediction.
        qualities: PQ of this image alone by each prediction, None where no class occurs.
        photo: (H, W, 3) uint8, None where there is none.
    """

    name: str
    ground_truth: np.ndarray
    predictions: Sequence[np.ndarray]
    errors: Sequence[np.ndarray]
    qualities: Sequence[float | None]
    photo: np.ndarray | None = None


@dataclass(frozen=True)
class ComparisonPage:
    """
    Attributes:
        title: heading of the page.
        note: a line below it.
        names: of the predictions; the others are compared with the first.
        totals: PQ of all, things and stuff of each prediction, each with its interval.
        deltas: the same of each prediction but the first, less that of the first.
        classes: each class that can be compared, with its difference for each prediction but the first.
        images: those that changed most.
        taxonomy: names and colours of the classes.
        shown: indices of the classes that the pictures show.
        facts: what is to be known of the predictions, a text for each.
        curves: title and PNG or SVG file of each figure.
        settings: names of settings that differ, with the value of each prediction.
        errors: kinds of mistakes, with the PQ that each prediction loses to them; fractions of 1, or None.
    """

    title: str
    note: str
    names: Sequence[str]
    totals: Sequence[Sequence[Bar]]
    deltas: Sequence[Sequence[Bar]]
    classes: Sequence[tuple[ClassInfo, Sequence[Bar]]]
    images: Sequence[ComparedImage]
    taxonomy: Taxonomy
    shown: Sequence[int] = ()
    facts: Sequence[tuple[str, Sequence[str]]] = ()
    curves: Sequence[tuple[str, bytes]] = ()
    settings: Sequence[tuple[str, Sequence[str]]] = ()
    errors: Sequence[tuple[str, Sequence[float | None]]] = ()

    @property
    def reach(self) -> float:
        """The greatest difference that a bar has to show, above 0."""
        ends = (end for _, bars in self.classes for bar in bars for end in (bar.value, bar.low, bar.high))
        return max((abs(end) for end in ends if end is not None), default=0) or 1.0


def compared_image(
    name: str,
    truth: PanopticMap,
    predictions: Sequence[PanopticMap],
    taxonomy: Taxonomy,
    qualities: Sequence[float | None],
    photo: np.ndarray | None = None,
) -> ComparedImage:
    """Draws the labels of one image and what each prediction got wrong.

    Args:
        photo: (H, W, 3) uint8, below the labels; None where there is none.
    """
    below, alpha = (np.full((*truth.size, 3), _PAPER, np.uint8), 0.85) if photo is None else (photo, 0.55)
    return ComparedImage(
        name,
        overlay(below, truth, taxonomy, alpha=alpha),
        [overlay(below, prediction, taxonomy, alpha=alpha) for prediction in predictions],
        [error_map(prediction, truth, photo) for prediction in predictions],
        qualities,
        photo,
    )


def write_comparison_page(path: str | Path, page: ComparisonPage) -> None:
    """Writes the page; a reader sees either the old file or the whole new one."""
    with replacing(Path(path)) as temporary:
        temporary.write_text(fill_file("comparison", page=page, error_colors=ERROR_COLORS), encoding="utf-8")
