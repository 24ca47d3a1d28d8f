"""CocoPanoptic: a folder in the official COCO-panoptic layout.

::

    root/annotations/panoptic_<split>.json
    root/annotations/panoptic_<split>/*.png     id = R + 256 G + 65536 B, 0 is void
    root/<split>/*                              or root/images/<split>/*
    root/dataset.yaml                           optional: what ``described_images`` says of the images

``coco_panoptic_files`` says where else the files may lie.
"""

import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from pantile.contracts.errors import UserError
from pantile.contracts.file_names import crossed_names
from pantile.contracts.panoptic import VOID_ID, PanopticMap, Segment
from pantile.data.coco_json import read_coco_json
from pantile.data.coco_panoptic_files import (
    available_splits,
    described_root,
    files_of_split,
    find_split,
    is_coco_panoptic,
)
from pantile.data.described_images import DESCRIPTION, images_beside
from pantile.data.image_files import read_panoptic_png
from pantile.data.label_rows import count_pixels
from pantile.data.labelled_photos import LabelledPhotos
from pantile.data.layouts import register_layout
from pantile.data.missing import present_rows
from pantile.data.reading import AS_STORED


@register_layout(
    "coco-panoptic",
    "COCO-panoptic",
    marks="annotations/panoptic_<split>.json",
    fits=is_coco_panoptic,
    splits=available_splits,
    precedence=2,  # a conversion comes before what it was made from
)
def _open(root: Path, split: str, skip_missing: bool) -> "CocoPanoptic":
    return CocoPanoptic(root, split, skip_missing=skip_missing)


class CocoPanoptic(LabelledPhotos):
    """Images and panoptic maps of one split. The JSON is checked at opening, pixels when an image is loaded.

    Args:
        root: the folder that holds ``annotations`` or the JSONs themselves, or one JSON.
        split: ``"train"``, ``"val2017"``, ...; ``"val"`` also finds the only ``val<digits>``.
        need_images: False opens a split whose images are absent, for evaluation of maps only.
        skip_missing: leaves out images whose own file or PNG is missing, with a warning.
        images: the folder of the images, where it is not at its usual place.

    Attributes:
        image_folder, png_folder: where the files lie.
        listed_images, listed_pngs: their names in the JSON, also of those that are left out.
        description: what ``dataset.yaml`` says of the images; None without it.
        channels, reading: how images are read; ``bands.read_as`` changes them.

    Raises:
        UserError: a missing folder, split or file, or a JSON that is not COCO-panoptic.

    Warns:
        UserWarning: the split has images but not a single segment; labels have the names of other images; or files are
            missing and left out.
    """

    pooled_crowd = False
    _how_to_say = f"write `orientation: stored` into {DESCRIPTION} beside the folders"

    def __init__(
        self,
        root: str | Path,
        split: str = "train",
        need_images: bool = True,
        skip_missing: bool = False,
        images: Path | None = None,
    ) -> None:
        self.root = Path(root)
        self.split = find_split(self.root, split)
        files = files_of_split(self.root, self.split, images)
        self.json_path = files.json_path
        self._table = read_coco_json(self.json_path)
        self.description = images_beside(described_root(self.root))
        self.channels, self.reading = 3, AS_STORED
        if self.description is not None:
            self.channels, self.reading = self.description.channels, self.description.reading
            self.orientation = self.description.orientation
        self.taxonomy = self._table.taxonomy
        _warn_if_crossed(self.json_path, self._table.image_names, self._table.png_names)
        self.png_folder = _existing(files.png_folder, files.png_places, "PNGs")
        what = f"files that {self.json_path} names"
        needed = [(self.png_folder, self._table.png_names, what)]
        self.image_folder = files.image_folder(lambda: self._table.image_names)
        if need_images:
            _existing(self.image_folder, files.image_places, "images")
            needed.append((self.image_folder, self._table.image_names, what))
        self.listed_images, self.listed_pngs = self._table.image_names, self._table.png_names
        self._table = self._table.keep(present_rows(needed, skip_missing))
        if len(self) and not len(self._table.segment_ids):
            warnings.warn(f"{self.json_path} has {len(self)} images and no segment at all.", stacklevel=2)

    def __len__(self) -> int:
        return len(self._table.image_names)

    def name_of(self, index: int) -> str:
        return self._table.image_names[index]

    def image_path(self, index: int) -> Path:
        """The image's own file."""
        return self.image_folder / self._table.image_names[index]

    def image_id(self, index: int) -> int | str:
        return self._table.image_ids[index]

    def segment_counts(self) -> list[int]:
        return self._table.segment_counts()

    def segments_of(self, index: int) -> tuple[Segment, ...]:
        """The table of an image, without its map."""
        return self._table.segments_of(index)

    def label_path(self, index: int) -> Path:
        return self.png_folder / self._table.png_names[index]

    def load_map(self, index: int) -> PanopticMap:
        """The map alone, without decoding the image."""
        path = self.label_path(index)
        panoptic = PanopticMap(read_panoptic_png(path), self._table.segments_of(index))
        check_ids(panoptic.ids, panoptic.segments, str(path), str(self.json_path))
        return panoptic


def check_ids(ids: np.ndarray, segments: tuple[Segment, ...], png: str, table: str) -> None:
    """A map and its table must name the same ids.

    Raises:
        UserError: a pixel id that the table lacks, or a segment without pixels.
    """
    pixels = count_pixels(ids)
    listed = {segment.id for segment in segments}
    for segment_id, count in pixels.items():
        if segment_id != VOID_ID and segment_id not in listed:
            raise UserError(
                f"{png} has {count} pixels of id {segment_id}, which {table} does not list for it: "
                "add the segment to the JSON, or paint its pixels 0 (void)."
            )
    for segment_id in sorted(listed - pixels.keys()):
        raise UserError(
            f"{png} has no pixel of segment {segment_id}, which {table} lists for it: remove the segment from the JSON."
        )


def _warn_if_crossed(path: Path, images: list[str], labels: list[str]) -> None:
    crossed = crossed_names(images, labels)
    if crossed:
        one = crossed[0][0]
        warnings.warn(
            f"{path}: {len(crossed)} of {len(images)} images have a label that is named like another image (such as "
            f"{images[one]} with {labels[one]}): check that image_id pairs the right ones.",
            stacklevel=3,
        )


def _existing(folder: Path, places: Sequence[Path], what: str) -> Path:
    if folder.is_dir():
        return folder
    raise UserError(f"The {what} are missing: neither {' nor '.join(map(str, places))} is a folder.")
