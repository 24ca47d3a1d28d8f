"""evaluate_videos(): a trained model of images, tracked over the videos of a data set, in numbers for videos."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rich.progress import track

from pantile.contracts.errors import UserError
from pantile.data import PanopticDataset
from pantile.data.bands import check_bands, read_as, settle_reading
from pantile.data.reading import Reading
from pantile.data.videos import videos_of
from pantile.engine.checkpoint import Checkpoint
from pantile.engine.devices import AUTO, device_named
from pantile.engine.evaluate import in_its_classes, load_task
from pantile.engine.processes import processes
from pantile.inference.images import predict_frame
from pantile.inference.tiles import Tiling
from pantile.inference.views import Views
from pantile.merge.tracking import TRACKERS
from pantile.metrics.class_maps import semantic_of
from pantile.metrics.segmentation_tracking_quality import SegmentationTrackingQuality
from pantile.metrics.video_consistency import VideoConsistency
from pantile.metrics.video_panoptic_quality import VideoPanopticQuality

VPQ_WINDOWS, VC_WINDOWS = (1, 2, 4, 6, 8), (8, 16)  # those of VIPSeg and VSPW


@dataclass(frozen=True)
class VideoEvaluation:
    """
    Attributes:
        results: "stq", "vpq" and "vc", each with ``to_dict``.
        videos: their names, in the order of the numbers in ``results["stq"].per_video``.
        frames: how many were measured.
    """

    results: Mapping[str, Any]
    videos: Sequence[str]
    frames: int

    def to_dict(self) -> dict:
        """Plain containers for JSON."""
        return {"videos": list(self.videos), "frames": self.frames} | {
            name: result.to_dict() for name, result in self.results.items()
        }


def evaluate_videos(
    checkpoint: Checkpoint,
    dataset: PanopticDataset,
    tracking: str = "overlap",
    limit: int | None = None,
    views: Views | None = None,
    tiling: Tiling | None = None,
    reading: Reading | None = None,
    device: str = AUTO,
) -> VideoEvaluation:
    """Frames are predicted one by one and tracked online, in the order of time, in one process.

    Args:
        tracking: a way in ``TRACKERS``, with its defaults.
        limit: only the first videos.
        views, tiling, reading, device: see ``evaluate``.

    Raises:
        UserError: no videos, other classes than the checkpoint's, or several processes.
    """
    if processes().total > 1:
        raise UserError("Videos are tracked by one process, since each frame needs the one before: start it alone.")
    videos = videos_of(dataset)[:limit]
    dataset = in_its_classes(checkpoint, dataset)
    channels = checkpoint.config.model.in_channels
    if reading is None:
        check_bands(checkpoint.config.model, dataset)
        settle_reading(dataset, checkpoint.config.images, channels)
    else:
        read_as(dataset, reading, channels)
    task = load_task(checkpoint).to(device_named(device))
    network, taxonomy = task.network, task.taxonomy
    stq, vc = SegmentationTrackingQuality(taxonomy), VideoConsistency(taxonomy, VC_WINDOWS)
    longest = max(map(len, videos), default=1)
    vpq = VideoPanopticQuality(taxonomy, [n for n in VPQ_WINDOWS if n <= longest])  # a mean with no window is none
    config = TRACKERS.find(tracking, "--track")()
    frames = ((number, index) for number, video in enumerate(videos) for index in video.frames)
    total, tracker, last = sum(map(len, videos)), None, -1
    for number, index in track(frames, "evaluating", total=total):
        if tracker is None or number != last:
            tracker, last = config.make(taxonomy), number
        image, truth = dataset.load(index)
        tracked = tracker.update(*predict_frame(network, image, views or Views(), tiling))
        stq.update(tracked.panoptic, truth, video=number)
        vpq.update(tracked.panoptic, truth, video=number)
        vc.update([semantic_of(tracked.panoptic, taxonomy)], truth, video=number)
    results = {"stq": stq.compute(), "vpq": vpq.compute(), "vc": vc.compute()}
    return VideoEvaluation(results, [video.name for video in videos], total)
