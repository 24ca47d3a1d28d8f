"""Videos whose maps are PNGs of ids with the tables of a JSON: VIPSeg and Cityscapes-VPS."""

from collections.abc import Sequence
from pathlib import Path
from typing import NotRequired

from typing_extensions import TypedDict

from pantile.contracts.errors import UserError
from pantile.contracts.panoptic import MAX_ID, PanopticMap, Segment
from pantile.contracts.taxonomy import Taxonomy
from pantile.data.coco_panoptic import check_ids
from pantile.data.image_files import read_panoptic_png
from pantile.data.video_photos import FrameFiles, VideoPhotos


class SegmentRow(TypedDict):
    id: int
    category_id: int
    iscrowd: NotRequired[int]


class IdFrames(VideoPhotos):
    """
    Args:
        taxonomy: the classes.
        frames: see ``VideoPhotos``; labels are PNGs of ids.
        tables: the rows of each frame.
        source: the JSON, for messages.

    Raises:
        UserError: a row that cannot be.
    """

    def __init__(
        self, taxonomy: Taxonomy, frames: Sequence[FrameFiles], tables: Sequence[Sequence[SegmentRow]], source: Path
    ) -> None:
        super().__init__(taxonomy, frames)
        self._source = source
        self._tables = [_segments(rows, taxonomy, source, f.label) for f, rows in zip(frames, tables, strict=True)]

    def segment_counts(self) -> list[int]:
        return [sum(not segment.is_crowd for segment in table) for table in self._tables]

    def segments_of(self, index: int) -> tuple[Segment, ...]:
        """The table of a frame, without its map."""
        return self._tables[index]

    def load_map(self, index: int) -> PanopticMap:
        path = self.label_path(index)
        panoptic = PanopticMap(read_panoptic_png(path), self._tables[index])
        check_ids(panoptic.ids, panoptic.segments, str(path), str(self._source))
        return panoptic


def _segments(rows: Sequence[SegmentRow], taxonomy: Taxonomy, source: Path, png: Path) -> tuple[Segment, ...]:
    segments = []
    for row in rows:
        if not 0 < row["id"] <= MAX_ID or row["category_id"] not in taxonomy.index_of_id:
            raise UserError(
                f"{source}: a segment of {png.name} has id {row['id']} and category_id {row['category_id']}: ids "
                f"go from 1 to {MAX_ID}, categories are those that the file lists."
            )
        crowd = bool(row.get("iscrowd", 0))
        segments.append(Segment(row["id"], taxonomy.index_of_id[row["category_id"]], crowd))
    if len({segment.id for segment in segments}) < len(segments):
        raise UserError(f"{source}: {png.name} has a segment id twice: give every segment of a frame its own id.")
    return tuple(segments)
