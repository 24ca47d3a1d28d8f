"""CocoPanoptic: a folder in the official COCO-panoptic layout.

::

    root/annotations/panoptic_<split>.json
    root/annotations/panoptic_<split>/*.png     id = R + 256 G + 65536 B, 0 is void
    root/<split>/*                              or root/images/<split>/*
    root/dataset.yaml                           optional: what ``described_images`` says of the images
"""

import warnings
from pathlib import Path

import numpy as np

from pantile.contracts.errors import NoSplit, UserError
from pantile.contracts.file_names import crossed_names
from pantile.contracts.panoptic import VOID_ID, PanopticMap, Segment
from pantile.data.coco_json import read_coco_json
from pantile.data.described_images import DESCRIPTION, images_beside
from pantile.data.image_files import read_panoptic_png
from pantile.data.label_rows import count_pixels
from pantile.data.labelled_photos import LabelledPhotos
from pantile.data.layouts import register_layout
from pantile.data.missing import present_rows
from pantile.data.reading import AS_STORED


def is_coco_panoptic(root: Path) -> bool:
    return any((root / "annotations").glob("panoptic_*.json"))


def available_splits(root: str | Path) -> list[str]:
    """Names of the splits in a COCO-panoptic folder, sorted: JSONs beside a folder of PNGs."""
    files = (Path(root) / "annotations").glob("panoptic_*.json")
    names = [path.stem.removeprefix("panoptic_") for path in files]
    return sorted(name for name in names if any(folder.is_dir() for folder in _png_folders(Path(root), name)))


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
        root: the folder that holds ``annotations``.
        split: ``"train"``, ``"val2017"``, ...; ``"val"`` also finds the only ``val<digits>``.
        need_images: False opens a split whose images are absent, for evaluation of maps only.
        skip_missing: leaves out images whose own file or PNG is missing, with a warning.

    Attributes:
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
        self, root: str | Path, split: str = "train", need_images: bool = True, skip_missing: bool = False
    ) -> None:
        self.root = Path(root)
        self.split = find_split(self.root, split)
        self.json_path = self.root / "annotations" / f"panoptic_{self.split}.json"
        self._table = read_coco_json(self.json_path)
        self.description = images_beside(self.root)
        self.channels, self.reading = 3, AS_STORED
        if self.description is not None:
            self.channels, self.reading = self.description.channels, self.description.reading
            self.orientation = self.description.orientation
        self.taxonomy = self._table.taxonomy
        _warn_if_crossed(self.json_path, self._table.image_names, self._table.png_names)
        self._png_folder = _existing(_png_folders(self.root, self.split), "PNGs")
        what = f"files that {self.json_path} names"
        needed = [(self._png_folder, self._table.png_names, what)]
        self._image_folder = self.root / self.split
        if need_images:
            self._image_folder = _existing([self.root / self.split, self.root / "images" / self.split], "images")
            needed.append((self._image_folder, self._table.image_names, what))
        self._table = self._table.keep(present_rows(needed, skip_missing))
        if len(self) and not len(self._table.segment_ids):
            warnings.warn(f"{self.json_path} has {len(self)} images and no segment at all.", stacklevel=2)

    def __len__(self) -> int:
        return len(self._table.image_names)

    def name_of(self, index: int) -> str:
        return self._table.image_names[index]

    def image_path(self, index: int) -> Path:
        """The image's own file."""
        return self._image_folder / self._table.image_names[index]

    def image_id(self, index: int) -> int | str:
        return self._table.image_ids[index]

    def segment_counts(self) -> list[int]:
        return self._table.segment_counts()

    def segments_of(self, index: int) -> tuple[Segment, ...]:
        """The table of an image, without its map."""
        return self._table.segments_of(index)

    def label_path(self, index: int) -> Path:
        return self._png_folder / self._table.png_names[index]

    def load_map(self, index: int) -> PanopticMap:
        """The map alone, without decoding the image."""
        path = self.label_path(index)
        panoptic = PanopticMap(read_panoptic_png(path), self._table.segments_of(index))
        check_ids(panoptic.ids, panoptic.segments, str(path), str(self.json_path))
        return panoptic


def find_split(root: str | Path, split: str) -> str:
    """The split's name on disk: ``val`` may be ``val2017``.

    Raises:
        UserError: no such folder or split, or several that fit.
    """
    root = Path(root)
    if not root.is_dir():
        raise UserError(f"The data folder {root} does not exist: name a folder in COCO-panoptic layout, or 'scenes'.")
    if (root / "annotations" / f"panoptic_{split}.json").is_file():
        return split
    splits = available_splits(root)
    if not splits:
        raise UserError(
            f"{root} holds no annotations/panoptic_<split>.json with a folder panoptic_<split> of PNGs: "
            "convert your labels to COCO-panoptic layout first."
        )
    fitting = [name for name in splits if name.rstrip("0123456789") == split]
    if len(fitting) == 1:
        return fitting[0]
    problem = f"has several splits for {split!r}" if fitting else f"has no split {split!r}"
    raise NoSplit(f"{root} {problem}", f"one of {', '.join(fitting or splits)}")


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


def _png_folders(root: Path, split: str) -> list[Path]:
    return [root / "annotations" / f"panoptic_{split}", root / f"panoptic_{split}"]


def _existing(candidates: list[Path], what: str) -> Path:
    for folder in candidates:
        if folder.is_dir():
            return folder
    raise UserError(f"The {what} are missing: neither {' nor '.join(map(str, candidates))} is a folder.")
