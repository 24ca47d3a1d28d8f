"""Scores the videos of a job in worker processes, and says what is missing on either side."""

import warnings

from pantile.contracts.workers import map_in_workers
from pantile.score.video.layouts import VideoJob
from pantile.score.video.score import VideoScore


def score_videos(job: VideoJob, title: str, workers: int = 1, progress: bool = False) -> VideoScore:
    """Compares all videos.

    Args:
        job: the videos.
        title: of the data set.
        workers: processes; the result does not depend on it, to the last bit.
        progress: show a bar on stderr.

    Raises:
        UserError: about the first video, in the order of the ground truth, that cannot be compared.

    Warns:
        UserWarning: videos or frames are missing on either side; ids change their class.
    """
    _tell(job)
    videos = len(job.coverage.videos)
    evidence = map_in_workers(job.compare, videos, workers, chunk=1)
    if progress:
        from rich.console import Console
        from rich.progress import track

        evidence = track(evidence, "scoring", total=videos, console=Console(stderr=True), transient=True)
    return VideoScore(title, job.add_up(list(evidence)), job.coverage)


def _tell(job: VideoJob) -> None:
    coverage = job.coverage
    if not coverage.videos:
        warnings.warn("The ground truth has no video: there is nothing to score.", stacklevel=3)
    missing = (
        (coverage.missing_videos, "videos", len(coverage.videos)),
        (coverage.missing_frames, "frames", coverage.frames),
    )
    for names, what, total in missing:
        if names:
            warnings.warn(
                f"{len(names)} of {total} {what} have no prediction (the first is {names[0]}): {job.without}.",
                stacklevel=3,
            )
    for names, what in ((coverage.unknown_videos, "videos"), (coverage.unknown_frames, "frames")):
        if names:
            warnings.warn(
                f"There are predictions of {len(names)} {what} that the ground truth lacks (the first is {names[0]}): "
                "they are left out.",
                stacklevel=3,
            )
