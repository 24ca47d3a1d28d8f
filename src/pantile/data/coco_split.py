"""CocoSplit: a COCO-panoptic JSON whose files lie where a data set puts them, read in that data set's classes."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from pantile.contracts.panoptic import VOID_ID, PanopticMap, Segment
from pantile.contracts.taxonomy import Taxonomy
from pantile.data.coco_json import CocoTable
from pantile.data.coco_panoptic import check_ids
from pantile.data.image_files import read_panoptic_png
from pantile.data.missing import present_rows
from pantile.data.paired_files import FileSet, PairedFiles

VOID_CLASS = -1


class CocoSplit(PairedFiles):
    """Images and panoptic maps of one JSON, in the JSON's order.

    Args:
        json_path: the file that ``table`` was read from, for messages.
        table: its content.
        png_folder: where the id PNGs lie.
        image_folder: where the images lie.
        taxonomy: the data set's classes.
        skip_missing: leaves out images whose own file or PNG is missing, with a warning.
        class_of_category: (categories of the JSON,) class index in ``taxonomy``, or -1 for one whose segments are void.

    Raises:
        UserError: files that the JSON names are missing.
    """

    pooled_crowd = False

    def __init__(
        self,
        json_path: Path,
        table: CocoTable,
        png_folder: Path,
        image_folder: Path,
        taxonomy: Taxonomy,
        class_of_category: np.ndarray,
        skip_missing: bool = False,
    ) -> None:
        needed = [
            (image_folder, table.image_names, f"images that {json_path} names"),
            (png_folder, table.png_names, f"PNGs that {json_path} names"),
        ]
        table = table.keep(present_rows(needed, skip_missing))
        super().__init__(taxonomy, table.image_names, FileSet(image_folder, suffix=""))
        classes = class_of_category[table.segment_classes]
        self._table = replace(table, taxonomy=taxonomy, segment_classes=classes)
        self._json_path = json_path
        self._png_folder = png_folder

    def image_id(self, index: int) -> int | str:
        return self._table.image_ids[index]

    def segment_counts(self) -> list[int]:
        not_counted = self._table.segment_crowd | (self._table.segment_classes == VOID_CLASS)
        return replace(self._table, segment_crowd=not_counted).segment_counts()

    def segments_of(self, index: int) -> tuple[Segment, ...]:
        """The table of an image, without its map; void left out."""
        return tuple(own for own in self._table.segments_of(index) if own.class_index != VOID_CLASS)

    def label_path(self, index: int) -> Path:
        return self._png_folder / self._table.png_names[index]

    def load_map(self, index: int) -> PanopticMap:
        path = self.label_path(index)
        ids, segments = read_panoptic_png(path), self._table.segments_of(index)
        check_ids(ids, segments, str(path), str(self._json_path))
        void = [segment.id for segment in segments if segment.class_index == VOID_CLASS]
        if void:
            ids[np.isin(ids, void)] = VOID_ID
        return PanopticMap(ids, self.segments_of(index))
