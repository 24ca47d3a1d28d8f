"""ColorMasks: photos beside masks in the colours of the classes, as paint programs give them.

::

    root/colors.txt                     a class a line: name, thing or stuff, R G B
    root/<split>/images/<name>.png
    root/<split>/masks/<name>.png       RGB; other colours are void

Pixels of a thing's colour that touch along an edge are one instance.
"""

from pathlib import Path

import numpy as np
from scipy.ndimage import label

from pantile.contracts.errors import UserError
from pantile.contracts.panoptic import PanopticMap, Segment
from pantile.contracts.taxonomy import ClassInfo, Taxonomy
from pantile.data import register_layout
from pantile.data.label_files import RGB_8, read_label
from pantile.data.labelled_photos import LabelledPhotos

COLORS = "colors.txt"


def has_colors(root: Path) -> bool:
    return (root / COLORS).is_file()


def splits(root: Path) -> list[str]:
    return sorted(folder.parent.name for folder in root.glob("*/masks"))


@register_layout("color-masks", "colour masks", marks=COLORS, fits=has_colors, splits=splits)
class ColorMasks(LabelledPhotos):
    def __init__(self, root: Path, split: str, skip_missing: bool = False) -> None:
        self.taxonomy = _read_classes(root / COLORS)
        self._masks = sorted((root / split / "masks").glob("*.png"))
        if skip_missing:
            self._masks = [path for path in self._masks if self._photo_of(path).exists()]
        if not self._masks:
            raise UserError(f"{root} has no masks in {split}/masks: choose one of {', '.join(splits(root))}.")

    def __len__(self) -> int:
        return len(self._masks)

    def name_of(self, index: int) -> str:
        return self._masks[index].name

    def image_id(self, index: int) -> str:
        return self._masks[index].stem

    def segment_counts(self) -> list[int]:
        return []  # not known without reading the masks

    def label_path(self, index: int) -> Path:
        return self._masks[index]

    def image_path(self, index: int) -> Path:
        return self._photo_of(self._masks[index])

    def load_map(self, index: int) -> PanopticMap:
        colors = read_label(self._masks[index], (RGB_8,))
        ids, segments = np.zeros(colors.shape[:2], np.int32), []
        for class_index, info in enumerate(self.taxonomy.classes):
            pixels = (colors == info.color).all(axis=-1)
            parts, count = label(pixels) if info.is_thing else (pixels, int(pixels.any()))
            for number in range(1, count + 1):
                segments.append(Segment(len(segments) + 1, class_index))
                ids[parts == number] = len(segments)
        return PanopticMap(ids, tuple(segments))

    def _photo_of(self, mask: Path) -> Path:
        return mask.parents[1] / "images" / mask.name


def _read_classes(path: Path) -> Taxonomy:
    try:
        rows = [line.split() for line in path.read_text(encoding="utf-8").splitlines()]
        classes = [
            ClassInfo(name, {"thing": True, "stuff": False}[kind], number, (int(r), int(g), int(b)))
            for number, (name, kind, r, g, b) in enumerate(rows, start=1)
        ]
    except (KeyError, ValueError):
        raise UserError(f"{path}: write a class a line, such as `car thing 0 0 142`.") from None
    return Taxonomy(tuple(classes))
