"""VIDEO_LAYOUTS: the data sets of videos whose files are scored; the ground truth tells which it is.

A layout registers itself where its files are read::

    @register_video_layout("my-videos", "My videos", fits=has_marks)
    def open_my_videos(options: VideoOptions) -> VideoJob: ...
"""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from pantile.contracts.errors import UserError
from pantile.contracts.registry import Registry, calling_module


@dataclass(frozen=True)
class VideoOptions:
    """What to score, and how.

    Attributes:
        gt: ground truth, a file or a folder.
        pred: predictions, a file or a folder.
        gt_dir, pred_dir: PNGs of a JSON; None to look where the data set has them.
        categories: a JSON with the classes of label PNGs; None for those of the data set.
        split: of a data set's root folder; None for "val".
        limit: only the first videos of the ground truth.
        only: measures by name; empty for all of the kind of data.
        windows: lengths for VPQ or VC; None for those of the data set.
        crowd: the rule about crowd of VPQ, see ``CrowdRule``.
        corrections: what to count otherwise than the originals, by name.
        first_label: the value of the first class in predicted class PNGs, 0 or 1; None for that of the data set.
    """

    gt: Path
    pred: Path
    gt_dir: Path | None = None
    pred_dir: Path | None = None
    categories: Path | None = None
    split: str | None = None
    limit: int | None = None
    only: Collection[str] = ()
    windows: Sequence[int] | None = None
    crowd: str | None = None
    corrections: Collection[str] = ()
    first_label: int | None = None

    def refuse(self, layout: str, **options: str) -> None:
        """
        Args:
            options: name of a field -> the option of the command line.

        Raises:
            UserError: one of them is given, though it means nothing for the layout.
        """
        for name, option in options.items():
            if getattr(self, name) not in (None, (), []):
                raise UserError(f"{option} means nothing for {layout}: leave it out.")


@dataclass
class Coverage:
    """Which videos and frames the predictions have.

    Attributes:
        videos: names of those that are scored.
        frames: how many there are in them.
        missing_videos, missing_frames: without prediction, by name; frames of missing videos are not listed.
        unknown_videos, unknown_frames: predictions of what the ground truth lacks, by name.
    """

    videos: list[str]
    frames: int
    missing_videos: list[str] = field(default_factory=list)
    missing_frames: list[str] = field(default_factory=list)
    unknown_videos: list[str] = field(default_factory=list)
    unknown_frames: list[str] = field(default_factory=list)


class VideoJob(Protocol):
    """Videos beside their predictions. It travels to the workers once, so it holds no pixels.

    Attributes:
        coverage: what there is to compare.
        without: what becomes of frames without prediction, in words.
    """

    coverage: Coverage
    without: str

    def compare(self, index: int) -> Any:
        """What is kept of one video, a few numbers.

        Raises:
            UserError: a file is missing or damaged, or holds what the format does not know.
        """
        ...

    def add_up(self, evidence: Sequence[Any]) -> dict[str, Any]:
        """Measure -> its result, from what ``compare`` gave of all videos in their order. May warn."""
        ...


@dataclass(frozen=True)
class VideoLayout:
    """
    Attributes:
        title: of the data set, for messages.
        fits: whether a path is ground truth of it.
        open: raises UserError for whatever is wrong inside.
    """

    title: str
    fits: Callable[[Path], bool]
    open: Callable[[VideoOptions], VideoJob]


VIDEO_LAYOUTS: Registry[VideoLayout] = Registry("video layout", "pantile.score.video")


def register_video_layout(
    name: str, title: str, *, fits: Callable[[Path], bool]
) -> Callable[[Callable[[VideoOptions], VideoJob]], Callable[[VideoOptions], VideoJob]]:
    """A decorator of ``open``; see ``VideoLayout``."""
    home = calling_module()

    def add(reader: Callable[[VideoOptions], VideoJob]) -> Callable[[VideoOptions], VideoJob]:
        VIDEO_LAYOUTS.register(name, home)(VideoLayout(title, fits, reader))
        return reader

    return add


def video_layout_of(gt: Path) -> VideoLayout | None:
    """The layout that fits the ground truth; None where it is of images, or of nothing that is known."""
    return next((layout for layout in VIDEO_LAYOUTS.values() if layout.fits(gt)), None)
