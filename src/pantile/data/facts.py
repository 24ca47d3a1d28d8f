"""What a training has to be fitted to: sizes of images and segments, how many there are of each class, what is void."""

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from pantile.contracts.panoptic import VOID_ID
from pantile.contracts.taxonomy import Taxonomy
from pantile.data.dataset import PanopticDataset
from pantile.data.labelled_photos import LabelledPhotos
from pantile.data.subset import Subset

LOOKED_AT = 200  # images, evenly from all: what is proposed does not hang on the rest
COMPARED = 5000  # images of a split whose files are compared with those of another


@dataclass
class DataFacts:
    """Of a training split.

    Attributes:
        taxonomy: the classes.
        images: in the split.
        looked_at: of these, evenly from all; what follows is of them.
        sizes: (height, width) of each.
        targets: of each image, how many segments a model has to find, crowd left out.
        thing_sides: of each thing, the root of its pixels relative to the longer side of its image, 0..1.
        images_of: class index -> images that show it.
        void: share of the pixels without label, 0..1.
    """

    taxonomy: Taxonomy
    images: int
    looked_at: int = 0
    sizes: list[tuple[int, int]] = field(default_factory=list)
    targets: list[int] = field(default_factory=list)
    thing_sides: list[float] = field(default_factory=list)
    images_of: Counter = field(default_factory=Counter)
    void: float = 0.0

    @property
    def long_side(self) -> int:
        """Median over images, in pixels."""
        return int(np.median([max(size) for size in self.sizes]))

    @property
    def small_side(self) -> float | None:
        """Below which a tenth of the things are, as ``thing_sides``; None without things."""
        return float(np.percentile(self.thing_sides, 10)) if self.thing_sides else None

    def rare(self, share: float) -> list[str]:
        """Names of classes that fewer than this share of the images show, but at least two."""
        few = [index for index, count in self.images_of.items() if 2 <= count < share * self.looked_at]
        return [self.taxonomy.names[index] for index in sorted(few)]

    @property
    def missing(self) -> list[str]:
        """Names of classes that no image shows."""
        return [name for index, name in enumerate(self.taxonomy.names) if not self.images_of[index]]


def facts_of(dataset: PanopticDataset, most: int = LOOKED_AT) -> DataFacts:
    """Reads the labels of ``most`` images, evenly from all; with their images, where the data have no files."""
    facts = DataFacts(dataset.taxonomy, len(dataset))
    count = min(most, len(dataset))
    void = pixels = 0
    for number in range(count):
        index = number * (len(dataset) - 1) // max(1, count - 1)
        panoptic = dataset.load_map(index) if hasattr(dataset, "load_map") else dataset.load(index)[1]
        height, width = panoptic.ids.shape
        areas = dict(zip(*np.unique(panoptic.ids, return_counts=True), strict=True))
        segments = [segment for segment in panoptic.segments if not segment.is_crowd]
        things = [s for s in segments if dataset.taxonomy.classes[s.class_index].is_thing]
        facts.sizes.append((height, width))
        facts.targets.append(len(segments))
        facts.thing_sides += [float(areas.get(s.id, 0)) ** 0.5 / max(height, width) for s in things]
        facts.images_of.update({segment.class_index for segment in segments})
        void += int(areas.get(VOID_ID, 0))
        pixels += height * width
    facts.looked_at, facts.void = count, void / max(1, pixels)
    return facts


def shared_images(first: PanopticDataset, second: PanopticDataset) -> list[str] | None:
    """Names of the images of ``second`` whose files ``first`` has, too, byte by byte.

    Returns:
        None where images have no files, or there are more than ``COMPARED``.
    """
    files = [_files(dataset) for dataset in (first, second)]
    if None in files or max(map(len, files)) > COMPARED:
        return None
    sizes = {path.stat().st_size for path in files[0]}
    alike = [path for path in files[1] if path.stat().st_size in sizes]
    wanted = {path.stat().st_size for path in alike}
    known = {_digest(path) for path in files[0] if path.stat().st_size in wanted}
    return [path.name for path in alike if _digest(path) in known]


def _files(dataset: PanopticDataset) -> Sequence[Path] | None:
    if isinstance(dataset, Subset):
        inner = _files(dataset.dataset)
        return None if inner is None else [inner[index] for index in dataset.indices]
    if not isinstance(dataset, LabelledPhotos):
        return None
    return [Path(dataset.image_path(index)) for index in range(len(dataset))]


def _digest(path: Path) -> bytes:
    return hashlib.sha256(path.read_bytes()).digest()
