"""A map for each frame on both sides: which frames belong together, and what the measures make of each video."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from pantile.contracts.errors import UserError
from pantile.contracts.panoptic import PanopticMap
from pantile.contracts.taxonomy import Taxonomy
from pantile.metrics.class_maps import semantic_of
from pantile.metrics.map_pair import MapPair, compare
from pantile.metrics.track_pairs import check_classes
from pantile.metrics.tubes import check_lengths
from pantile.score.video.layouts import Coverage, VideoOptions
from pantile.score.video.measures import Measure, MeasureOptions, measures_of
from pantile.score.video.switched_ids import SwitchedIds, tell_of_switched_ids


class VideoMaps(ABC):
    """The frames of one side.

    Attributes:
        taxonomy: the classes.
        files: video -> frame -> its file, in order.
    """

    taxonomy: Taxonomy
    files: Mapping[str, Mapping[str, Path]]

    @abstractmethod
    def load(self, video: str, frame: str) -> PanopticMap:
        """
        Raises:
            UserError: the file is missing, damaged or holds what the format does not know.
        """


@dataclass(frozen=True)
class ScoredFrame:
    """One frame as measures see it.

    Attributes:
        pred: None where there is no prediction.
        gt: the truth.
        taxonomy: the classes.
    """

    pred: PanopticMap | None
    gt: PanopticMap
    taxonomy: Taxonomy

    @cached_property
    def overlaps(self) -> MapPair:
        """A frame without prediction is all void."""
        pair = compare(self.pred or PanopticMap(np.zeros_like(self.gt.ids), ()), self.gt)
        check_classes(pair, self.taxonomy)
        return pair

    @cached_property
    def gt_classes(self) -> np.ndarray:
        """(H, W) int32 class index, -1 on void."""
        return semantic_of(self.gt, self.taxonomy)

    @cached_property
    def pred_classes(self) -> np.ndarray | None:
        return None if self.pred is None else semantic_of(self.pred, self.taxonomy)


class MapJob:
    """
    Args:
        truth: ground truth.
        prediction: predictions of its classes.
        measures: name -> measure.
        limit: only the first videos of the ground truth.

    Raises:
        UserError: nothing is shared.
    """

    without = "they count as all void"

    def __init__(
        self, truth: VideoMaps, prediction: VideoMaps, measures: Mapping[str, Measure], limit: int | None = None
    ) -> None:
        self._truth, self._prediction = truth, prediction
        self._measures = measures
        self.coverage = _coverage(truth.files, prediction.files, limit)

    def compare(self, index: int) -> tuple[dict[str, Any], tuple[str, SwitchedIds]]:
        """
        Raises:
            UserError: a file is missing or damaged, sizes differ, or pixels and tables contradict each other.
        """
        video = self.coverage.videos[index]
        counters = {name: measure.begin(index) for name, measure in self._measures.items()}
        switched = SwitchedIds()
        for frame, path in self._truth.files[video].items():
            truth = self._truth.load(video, frame)
            pred_path = self._prediction.files.get(video, {}).get(frame)
            prediction = None if pred_path is None else self._prediction.load(video, frame)
            scored = ScoredFrame(prediction, truth, self._truth.taxonomy)
            try:
                for counter in counters.values():
                    counter.add(scored)
            except UserError as error:
                raise UserError(f"{pred_path or 'nothing'} against {path}: {error}") from None
            switched.add(prediction, truth)
        return {name: counter.evidence() for name, counter in counters.items()}, (video, switched)

    def add_up(self, evidence: Sequence[tuple[dict[str, Any], tuple[str, SwitchedIds]]]) -> dict[str, Any]:
        tell_of_switched_ids([switched for _, switched in evidence], self._truth.taxonomy)
        names = self.coverage.videos
        return {
            name: measure.result([of_video[name] for of_video, _ in evidence], names)
            for name, measure in self._measures.items()
        }


def map_job(
    kind: str, truth: VideoMaps, prediction: VideoMaps, options: VideoOptions, windows: Sequence[int]
) -> MapJob:
    """
    Args:
        kind: of data, see ``MAP_MEASURES``.
        windows: lengths that the data set's own evaluation has.

    Raises:
        UserError: options that mean nothing, or see ``MapJob``.
    """
    windows = tuple(options.windows or windows)
    check_lengths(windows)
    counted = MeasureOptions(truth.taxonomy, windows, options.crowd or "reference", frozenset(options.corrections))
    return MapJob(truth, prediction, measures_of(kind, options.only, counted), options.limit)


def _coverage(
    gt: Mapping[str, Mapping[str, Path]], pred: Mapping[str, Mapping[str, Path]], limit: int | None
) -> Coverage:
    videos = list(gt)[:limit]
    coverage = Coverage(videos, sum(len(gt[video]) for video in videos))
    coverage.unknown_videos = [video for video in pred if video not in gt]
    for video in videos:
        if not pred.get(video):
            coverage.missing_videos.append(video)
            continue
        coverage.missing_frames += [f"{video}/{frame}" for frame in gt[video] if frame not in pred[video]]
        coverage.unknown_frames += [f"{video}/{frame}" for frame in pred[video] if frame not in gt[video]]
    if videos and len(coverage.missing_videos) == len(videos):
        other = next(iter(pred), None)
        theirs = f"those of the predictions begin with {other}" if other else "the predictions have none"
        raise UserError(f"No video of the ground truth ({videos[0]}, ...) has a prediction, {theirs}: name them alike.")
    if videos and len(coverage.missing_frames) == sum(len(gt[v]) for v in videos if v not in coverage.missing_videos):
        raise UserError(
            f"No frame of the ground truth ({coverage.missing_frames[0]}, ...) has a prediction; the frames of those "
            f"begin with {coverage.unknown_frames[0]}: name them alike."
        )
    return coverage
