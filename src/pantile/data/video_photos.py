"""VideoPhotos: what data sets of videos share whose frames are image files; every frame is an image like any other."""

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from pantile.contracts.errors import NoSplit, UserError
from pantile.contracts.taxonomy import Taxonomy
from pantile.contracts.videos import Video
from pantile.data.image_suffixes import IMAGE_SUFFIXES
from pantile.data.labelled_photos import LabelledPhotos
from pantile.data.missing import names_in, settle_missing


@dataclass(frozen=True)
class FrameFiles:
    """
    Attributes:
        video: its name.
        image: the file of the picture.
        label: the file from which its map comes.
    """

    video: str
    image: Path
    label: Path


class VideoPhotos(LabelledPhotos):
    """Names and image ids are ``<video>/<file>`` and ``<video>/<stem>``, since videos number their frames alike.

    Args:
        taxonomy: the classes.
        frames: of one video after the other, each in order of time.

    Attributes:
        videos: which frames are whose.
    """

    def __init__(self, taxonomy: Taxonomy, frames: Sequence[FrameFiles]) -> None:
        self.taxonomy = taxonomy
        self.frames = list(frames)
        by_video = groupby(range(len(self.frames)), key=lambda k: self.frames[k].video)
        self.videos = tuple(Video(name, tuple(indices)) for name, indices in by_video)

    def __len__(self) -> int:
        return len(self.frames)

    def name_of(self, index: int) -> str:
        return f"{self.frames[index].video}/{self.frames[index].image.name}"

    def image_id(self, index: int) -> str:
        return f"{self.frames[index].video}/{self.frames[index].image.stem}"

    def image_path(self, index: int) -> Path:
        return self.frames[index].image

    def label_path(self, index: int) -> Path:
        return self.frames[index].label

    def segment_counts(self) -> list[int]:
        return []

    def unlabelled(self) -> dict[str, list[str]]:
        """Of each video, the names of images beside its frames that are no frames themselves, as they have no label.

        Only folders that hold frames of one video are looked into.
        """
        frames: dict[Path, dict[str, set[str]]] = {}
        for frame in self.frames:
            frames.setdefault(frame.image.parent, {}).setdefault(frame.video, set()).add(frame.image.name)
        found: dict[str, list[str]] = {}
        for folder, videos in frames.items():
            for video, labelled in videos.items() if len(videos) == 1 else ():
                beside = {name for name in names_in(folder) if Path(name).suffix.lower() in IMAGE_SUFFIXES}
                if beside - labelled:
                    found.setdefault(video, []).extend(sorted(beside - labelled))
        return found

    @abstractmethod
    def load_map(self, index: int): ...


def whole_frames(frames: Sequence[FrameFiles], what: str, skip_missing: bool) -> list[FrameFiles]:
    """Frames both of whose files exist: one listing of each folder.

    Args:
        what: they are, such as "frames of train.txt".
        skip_missing: leaves out the others, with a warning.

    Raises:
        UserError: files are missing, or there are no frames.
    """
    if not frames:
        raise UserError(f"There are no {what}: restore the folder.")
    listed: dict[Path, set[str]] = {}

    def exists(path: Path) -> bool:
        if path.parent not in listed:
            listed[path.parent] = names_in(path.parent) if path.parent.is_dir() else set()
        return path.name in listed[path.parent]

    missing = [path for frame in frames for path in (frame.image, frame.label) if not exists(path)]
    settle_missing(missing, 2 * len(frames), f"files of the {what}", skip_missing, stacklevel=4)
    kept = [frame for frame in frames if exists(frame.image) and exists(frame.label)]
    if not kept:
        raise UserError(f"None of the {len(frames)} {what} has both its files: restore them.")
    return kept


def folders_in(path: Path) -> list[Path]:
    """The folders in a folder, by name; hidden ones are left out."""
    return sorted(p for p in path.iterdir() if p.is_dir() and not p.name.startswith(".")) if path.is_dir() else []


def no_split(root: Path, split: str, choices: Sequence[str]) -> NoSplit:
    return NoSplit(f"{root} has no split {split!r} with labels", " or ".join(choices) or "a complete folder")
