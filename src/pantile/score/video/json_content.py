"""JSON files of videos: what a file holds, told from its bytes, and the tables of frames."""

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path

from pantile.contracts.panoptic import PanopticMap, Segment
from pantile.contracts.taxonomy import Taxonomy
from pantile.score.json_file import segment_rows
from pantile.score.png_file import read_id_png
from pantile.score.video.map_job import VideoMaps


@lru_cache(maxsize=1)
def bytes_of(path: Path) -> bytes:
    """Of a JSON file; nothing for whatever else, or where it cannot be read: the reader will say so."""
    try:
        return path.read_bytes() if path.suffix == ".json" and path.is_file() else b""
    except OSError:
        return b""


def json_in(path: Path, name: str = "pred.json") -> Path:
    """A JSON, given that or the folder that holds it."""
    return path / name if path.is_dir() else path


def first_folder(*folders: Path) -> Path:
    """The first that exists; the last where none does, for the message."""
    return next((folder for folder in folders if folder.is_dir()), folders[-1])


class JsonMaps(VideoMaps):
    """Id PNGs with the tables of a JSON.

    Args:
        path: the JSON, for messages.
        taxonomy: the classes.
        frames: video -> frame -> its PNG and its annotation with ``segments_info`` and ``file_name``.

    Raises:
        UserError: see ``segment_rows``.
    """

    def __init__(
        self, path: Path, taxonomy: Taxonomy, frames: Mapping[str, Mapping[str, tuple[Path, Mapping]]]
    ) -> None:
        self.taxonomy = taxonomy
        self.files = {video: {key: file for key, (file, _) in of_video.items()} for video, of_video in frames.items()}
        self._rows = {
            video: {key: segment_rows(path, annotation, taxonomy) for key, (_, annotation) in of_video.items()}
            for video, of_video in frames.items()
        }

    def load(self, video: str, frame: str) -> PanopticMap:
        rows = self._rows[video][frame]
        return PanopticMap(read_id_png(self.files[video][frame]), tuple(Segment(*row) for row in rows))
