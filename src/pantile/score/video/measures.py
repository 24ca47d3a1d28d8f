"""What is measured on videos of maps: each measure counts video by video and adds up, without torch."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from pantile.contracts.errors import UserError
from pantile.contracts.taxonomy import Taxonomy
from pantile.metrics.consistency_result import VideoConsistencyResult, consistency_of
from pantile.metrics.consistent_pixels import ConsistentPixels
from pantile.metrics.pair_counts import CrowdRule
from pantile.metrics.semantic_result import SemanticQualityResult, count_pixels, semantic_result_of
from pantile.metrics.stq_result import STQ_CORRECTIONS, StqResult, stq_of
from pantile.metrics.track_pairs import COLUMNS, TrackPairs, added_up, pair_rows
from pantile.metrics.tubes import TubeTally, TubeWindows
from pantile.metrics.vpq_result import VideoPanopticQualityResult, vpq_of

if TYPE_CHECKING:
    from pantile.score.video.map_job import ScoredFrame

LAST_WINDOW = "vc-last"
#: name -> what is counted otherwise than by the originals
CORRECTIONS = {
    "aq-void": "STQ: predicted things on void are no mistake of their track",
    "sq-void": "STQ: pixels predicted void are no class of their own in the mean",
    LAST_WINDOW: "VC: the last window of each video counts",
}


class Counter(Protocol):
    """Counts one video."""

    def add(self, frame: "ScoredFrame") -> None: ...

    def evidence(self) -> Any:
        """A few numbers, which travel from a worker."""
        ...


class Measure(Protocol):
    def begin(self, video: int) -> Counter: ...

    def result(self, evidence: Sequence[Any], names: Sequence[str]) -> Any:
        """From the evidence of all videos, whose names are given. It has ``to_dict``."""
        ...


@dataclass(frozen=True)
class MeasureOptions:
    """
    Attributes:
        taxonomy: the classes.
        windows: lengths for VPQ or VC.
        crowd: see ``CrowdRule``.
        corrections: names of ``CORRECTIONS``.
    """

    taxonomy: Taxonomy
    windows: Sequence[int]
    crowd: CrowdRule = "reference"
    corrections: frozenset[str] = frozenset()


class Stq:
    def __init__(self, options: MeasureOptions) -> None:
        self._taxonomy = options.taxonomy
        self._corrections = options.corrections & set(STQ_CORRECTIONS)

    def begin(self, video: int) -> "_PairsOfVideo":
        return _PairsOfVideo(video)

    def result(self, evidence: Sequence[np.ndarray], names: Sequence[str]) -> StqResult:
        rows = np.concatenate([np.empty((0, len(COLUMNS)), np.int64), *evidence])
        result = stq_of(TrackPairs(*rows.T), self._taxonomy, self._corrections)
        return replace(result, per_video={names[video]: values for video, values in result.per_video.items()})


class _PairsOfVideo:
    def __init__(self, video: int) -> None:
        self._video = video
        self._rows = np.empty((0, len(COLUMNS)), np.int64)

    def add(self, frame: "ScoredFrame") -> None:
        self._rows = added_up(np.concatenate([self._rows, pair_rows(frame.overlaps, self._video)]))

    def evidence(self) -> np.ndarray:
        return self._rows


class Vpq:
    def __init__(self, options: MeasureOptions) -> None:
        self._options = options

    def begin(self, video: int) -> "_TubesOfVideo":
        return _TubesOfVideo(self._options)

    def result(self, evidence: Sequence[np.ndarray], names: Sequence[str]) -> VideoPanopticQualityResult:
        return vpq_of(self._options.taxonomy, self._options.windows, sum([_no_tubes(self._options), *evidence]))


def _no_tubes(options: MeasureOptions) -> np.ndarray:
    return TubeTally(options.windows, len(options.taxonomy)).sums


class _TubesOfVideo:
    def __init__(self, options: MeasureOptions) -> None:
        self._windows = TubeWindows(options.windows, options.crowd)
        self._tally = TubeTally(options.windows, len(options.taxonomy))

    def add(self, frame: "ScoredFrame") -> None:
        self._tally.add(self._windows.add(frame.overlaps))

    def evidence(self) -> np.ndarray:
        return self._tally.sums


class MeanIou:
    def __init__(self, options: MeasureOptions) -> None:
        self._taxonomy = options.taxonomy

    def begin(self, video: int) -> "_PixelsOfVideo":
        return _PixelsOfVideo(len(self._taxonomy))

    def result(self, evidence: Sequence[np.ndarray], names: Sequence[str]) -> SemanticQualityResult:
        return semantic_result_of(np.sum([np.zeros((3, len(self._taxonomy)), np.int64), *evidence], 0), self._taxonomy)


class _PixelsOfVideo:
    def __init__(self, classes: int) -> None:
        self._pixels = np.zeros((3, classes), np.int64)

    def add(self, frame: "ScoredFrame") -> None:
        prediction = np.full_like(frame.gt_classes, -1) if frame.pred_classes is None else frame.pred_classes
        self._pixels += count_pixels(prediction, frame.gt_classes, self._pixels.shape[1])

    def evidence(self) -> np.ndarray:
        return self._pixels


class Consistency:
    def __init__(self, options: MeasureOptions) -> None:
        self._windows = options.windows
        self._last_window = LAST_WINDOW in options.corrections

    def begin(self, video: int) -> "_WindowsOfVideo":
        return _WindowsOfVideo(self._windows, self._last_window)

    def result(self, evidence: Sequence[tuple[np.ndarray, np.ndarray]], names: Sequence[str]) -> VideoConsistencyResult:
        none = np.zeros(len(self._windows)), np.zeros(len(self._windows), np.int64)
        sums, numbers = (np.sum(parts, axis=0) for parts in zip(*[none, *evidence], strict=True))
        return consistency_of(self._windows, sums.tolist(), numbers.tolist())


class _WindowsOfVideo:
    def __init__(self, windows: Sequence[int], last_window: bool) -> None:
        self._pixels = ConsistentPixels(windows, last_window)
        self._sums = np.zeros(len(windows))
        self._numbers = np.zeros(len(windows), np.int64)

    def add(self, frame: "ScoredFrame") -> None:
        values = self._pixels.add(frame.pred_classes, frame.gt_classes)
        self._sums += np.nan_to_num(values)
        self._numbers += ~np.isnan(values)

    def evidence(self) -> tuple[np.ndarray, np.ndarray]:
        return self._sums, self._numbers


#: kind of data -> name -> measure
MAP_MEASURES: Mapping[str, Mapping[str, Callable[[MeasureOptions], Measure]]] = {
    "panoptic": {"stq": Stq, "vpq": Vpq},
    "semantic": {"miou": MeanIou, "vc": Consistency},
}


def measures_of(kind: str, only: Collection[str], options: MeasureOptions) -> dict[str, Measure]:
    """The measures of a kind of data, or some of them.

    Raises:
        UserError: a measure that this kind does not have, or an unknown correction.
    """
    known = MAP_MEASURES[kind]
    check_only(only, tuple(known))
    strange = sorted(options.corrections - set(CORRECTIONS))
    if strange:
        raise UserError(f"There is no correction {strange[0]!r}: choose of {', '.join(CORRECTIONS)}.")
    return {name: make(options) for name, make in known.items() if not only or name in only}


def check_only(only: Collection[str], known: Sequence[str]) -> None:
    """
    Raises:
        UserError: a measure that the data does not have.
    """
    strange = sorted(set(only) - set(known))
    if strange:
        raise UserError(
            f"--only names {strange[0]}, which this ground truth does not have: choose {' or '.join(known)}."
        )
