"""The metrics of an evaluation of videos, frame by frame."""

from collections.abc import Sequence
from typing import Any

from pantile.contracts.panoptic import PanopticMap
from pantile.contracts.predictions import Prediction
from pantile.contracts.taxonomy import Taxonomy
from pantile.contracts.videos import TrackedInstance
from pantile.metrics.class_maps import semantic_of
from pantile.metrics.mask_tracks import GrowingTracks
from pantile.metrics.segmentation_tracking_quality import SegmentationTrackingQuality
from pantile.metrics.semantic_quality import SemanticQuality
from pantile.metrics.track_average_precision import TrackAveragePrecision
from pantile.metrics.video_consistency import VideoConsistency
from pantile.metrics.video_panoptic_quality import VideoPanopticQuality

VPQ_WINDOWS, VC_WINDOWS = (1, 2, 4, 6, 8), (8, 16)  # those of VIPSeg and VSPW


class VideoMeters:
    """STQ, VPQ, mIoU and VC; of data without stuff (YouTube-VIS), where every pixel that no track covers is void, also
    average precision of tracks.

    Args:
        taxonomy: the classes.
        longest: frames of the longest video.
    """

    def __init__(self, taxonomy: Taxonomy, longest: int) -> None:
        self.taxonomy = taxonomy
        windows = [n for n in VPQ_WINDOWS if n <= longest]  # a mean with no window is none
        self.metrics: dict[str, Any] = {
            "stq": SegmentationTrackingQuality(taxonomy),
            "vpq": VideoPanopticQuality(taxonomy, windows),
            "miou": SemanticQuality(taxonomy),
            "vc": VideoConsistency(taxonomy, VC_WINDOWS),
        }
        self.measures_tracks = all(c.is_thing for c in taxonomy.classes)
        if self.measures_tracks:
            self.metrics["ap"] = TrackAveragePrecision(taxonomy)
        self._begin()

    def add(self, tracked: Prediction, truth: PanopticMap, video: int) -> None:
        """The next frame of a video."""
        classes = semantic_of(tracked.panoptic, self.taxonomy) if tracked.semantic is None else tracked.semantic
        for name in ("stq", "vpq"):
            self.metrics[name].update(tracked.panoptic, truth, video=video)
        self.metrics["miou"].update([classes], [truth])
        self.metrics["vc"].update([classes], truth, video=video)
        if self.measures_tracks:
            self._predicted.add(tracked.panoptic)
            self._true.add(truth)

    def end_of_video(self, video: int, instances: Sequence[TrackedInstance] | None) -> None:
        """
        Args:
            instances: of the whole video, which may overlap; None takes the tracks of the panoptic maps.
        """
        if self.measures_tracks:
            predicted = self._predicted.finished() if instances is None else instances
            self.metrics["ap"].update(predicted, self._true.finished(), video)
        self._begin()

    def compute(self) -> dict[str, Any]:
        """Each result has ``to_dict``."""
        return {name: metric.compute() for name, metric in self.metrics.items()}

    def _begin(self) -> None:
        self._predicted, self._true = GrowingTracks(self.taxonomy), GrowingTracks(self.taxonomy)
