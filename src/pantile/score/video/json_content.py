"""JSON files of videos: where they lie, and the tables of frames."""

from collections.abc import Mapping
from pathlib import Path

from pantile.contracts.panoptic import PanopticMap, Segment
from pantile.contracts.segments_info import segment_rows
from pantile.contracts.taxonomy import Taxonomy
from pantile.score.png_file import read_id_png
from pantile.score.video.map_job import VideoMaps


def json_in(path: Path, name: str = "pred.json") -> Path:
    """A JSON, given that or the folder that holds it."""
    return path / name if path.is_dir() else path


def json_of_split(path: Path, pattern: str, split: str | None) -> Path:
    """A JSON, given that or the root of the data set.

    Args:
        pattern: name of the file, with ``*`` for the split.
        split: None for "val", or the only one that is there.
    """
    if not path.is_dir():
        return path
    there = sorted(path.glob(pattern))
    only = there[0] if split is None and len(there) == 1 else None
    return only or path / pattern.replace("*", split or "val")


def first_folder(*folders: Path) -> Path:
    """The first that exists; the last where none does, for the message."""
    return next((folder for folder in folders if folder.is_dir()), folders[-1])


class JsonMaps(VideoMaps):
    """Id PNGs with the tables of a JSON.

    Args:
        path: the JSON, for messages.
        taxonomy: the classes.
        frames: video -> frame -> its PNG and its annotation with ``segments_info`` and ``file_name``.
        is_truth: whether ``iscrowd`` counts.

    Raises:
        UserError: see ``segment_rows``.
    """

    def __init__(
        self,
        path: Path,
        taxonomy: Taxonomy,
        frames: Mapping[str, Mapping[str, tuple[Path, Mapping]]],
        is_truth: bool,
    ) -> None:
        self.taxonomy = taxonomy
        self.files = {video: {key: file for key, (file, _) in of_video.items()} for video, of_video in frames.items()}
        class_of, predicted = taxonomy.index_of_id, not is_truth
        self._rows = {
            video: {key: segment_rows(entry, class_of, path, predicted) for key, (_, entry) in of_video.items()}
            for video, of_video in frames.items()
        }

    def load(self, video: str, frame: str) -> PanopticMap:
        rows = self._rows[video][frame]
        return PanopticMap(read_id_png(self.files[video][frame]), tuple(Segment(*row) for row in rows))
