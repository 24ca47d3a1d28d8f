"""What the formats of one label PNG per image share: opening a source from pairs of files, and writing."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from pantile.contracts.panoptic import PanopticMap
from pantile.contracts.taxonomy import Taxonomy
from pantile.labels.collected_rows import CollectedRows
from pantile.labels.photos.label_frames import frame_of_map
from pantile.labels.reading.image_folders import image_ids
from pantile.labels.reading.pairs import Pairs
from pantile.labels.source import ImageLabels, LabelSource, Note, SourceImage, SourceSplit


def paired_source(
    taxonomy: Taxonomy,
    pairs: list[Pairs],
    notes: tuple[Note, ...],
    read: Callable[[Pairs, int], PanopticMap],
    orientation: str | None,
) -> LabelSource:
    """A source whose labels are maps already; ``read`` gives the map of one image of a split."""
    splits = [_split(own, read, orientation) for own in pairs]
    return LabelSource(taxonomy, tuple(splits), (*notes, *(note for own in pairs for note in own.notes)))


def _split(pairs: Pairs, read: Callable[[Pairs, int], PanopticMap], orientation: str | None) -> SourceSplit:
    ids = image_ids(pairs.stems)
    images = tuple(
        SourceImage(path, f"{stem}{path.suffix}", i)
        for path, stem, i in zip(pairs.images, pairs.stems, ids, strict=True)
    )

    def labels(index: int) -> ImageLabels:
        panoptic = read(pairs, index)
        framed = frame_of_map(images[index].path, panoptic.size, orientation, str(pairs.labels[index]))
        return ImageLabels(panoptic.size, base=panoptic, pooled_crowd=True, framed=framed)

    return SourceSplit(pairs.split, images, labels)


def save_png(pixels: np.ndarray, path: Path) -> None:
    """(H, W) uint8 or uint16, or (H, W, 3) uint8."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path, compress_level=1)


class PngWriter(CollectedRows):
    """Base of the writers of label PNGs: images in ``images/<split>``, the classes in ``classes.json``.

    Args:
        root: an empty folder.
        taxonomy: the classes.
    """

    images = "images/{split}"

    def finish(self, split: str) -> None:
        """Writes the classes."""
        (self.root / "classes.json").write_text(json.dumps(self.taxonomy.to_coco(), indent=1), encoding="utf-8")
