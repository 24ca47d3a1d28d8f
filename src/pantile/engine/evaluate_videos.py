"""evaluate_videos(): a trained model of images or clips, tracked over the videos of a data set, measured as videos."""

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rich.progress import Progress

from pantile.contracts.errors import UserError
from pantile.contracts.panoptic import PanopticMap
from pantile.contracts.predictions import Prediction
from pantile.contracts.videos import Video
from pantile.data import PanopticDataset
from pantile.data.reading import Reading
from pantile.data.videos import videos_of
from pantile.engine.checkpoint import Checkpoint
from pantile.engine.devices import AUTO, device_named
from pantile.engine.evaluate import load_task, prepared
from pantile.engine.processes import processes
from pantile.engine.video_meters import VideoMeters
from pantile.inference.films import FilmRun, run_film
from pantile.inference.tiles import Tiling
from pantile.inference.views import Views
from pantile.merge.tracking import TRACKERS


@dataclass(frozen=True)
class VideoEvaluation:
    """
    Attributes:
        results: "stq", "vpq", "miou" and "vc", and of data without stuff "ap", each with ``to_dict``.
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
    """Frames are predicted one by one, or in the windows of a model that reads clips, and tracked online, in the order
    of time, in one process.

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
    dataset = prepared(checkpoint, dataset, reading)
    task = load_task(checkpoint).to(device_named(device))
    network, taxonomy = task.network, task.taxonomy
    config = TRACKERS.find(tracking, "--track")()
    meters = VideoMeters(taxonomy, longest=max(map(len, videos), default=1))
    total = sum(map(len, videos))
    with Progress() as progress:
        bar = progress.add_task("evaluating", total=total)
        for number, video in enumerate(videos):
            run = run_film(network, config.make(taxonomy), views, tiling)
            for tracked, truth in predicted_frames(run, dataset, video):
                meters.add(tracked, truth, number)
                progress.advance(bar)
            meters.end_of_video(number, run.instances)
    return VideoEvaluation(meters.compute(), [video.name for video in videos], total)


def predicted_frames(run: FilmRun, dataset: PanopticDataset, video: Video) -> Iterator[tuple[Prediction, PanopticMap]]:
    """Each frame of a video as ``run`` predicts it, and its truth."""
    waiting: deque[PanopticMap] = deque()
    for index in video.frames:
        image, truth = dataset.load(index)
        waiting.append(truth)
        yield from ((tracked, waiting.popleft()) for tracked in run.add(image))
    yield from ((tracked, waiting.popleft()) for tracked in run.finish())
