"""SegmentIndex: which images show which class, for samplers that start from a class.

The index holds no boxes. A segment and its box are drawn from the map when the image is loaded anyway, so that they
never disagree with the pixels, and so that COCO-panoptic needs no pixel here: its reader checks at every load that each
segment of the JSON has some. Maps of other formats are read once, by several processes, and what they show is
remembered in the user's cache folder under a key that changes with anything it depends on.
"""

import hashlib
import os
import warnings
from dataclasses import dataclass
from functools import singledispatch
from pathlib import Path

import numpy as np
import PIL
import torch
from rich.console import Console
from rich.progress import track
from torch.utils.data import Dataset

from pantile.contracts.atomic import replacing
from pantile.contracts.errors import UserError
from pantile.contracts.panoptic import Segment
from pantile.data.coco_json import CocoTable
from pantile.data.coco_panoptic import CocoPanoptic
from pantile.data.coco_split import VOID_CLASS, CocoSplit
from pantile.data.dataset import PanopticDataset
from pantile.data.loader import Loader
from pantile.data.paired_files import FileSet, PairedFiles
from pantile.data.renumbered import Renumbered
from pantile.data.scenes import Scenes
from pantile.data.subset import Subset

CHUNK = 8  # images a worker takes at a time
SMALL = 64  # a data set of fewer images is read anew each time


@dataclass(frozen=True)
class SegmentIndex:
    """Images by class; crowd counts for nothing.

    Attributes:
        classes: class indices that occur, ascending.
        images: of each of ``classes``, (n,) int64 indices of the images with a segment of it, ascending, n >= 1.
    """

    classes: tuple[int, ...]
    images: tuple[np.ndarray, ...]

    @classmethod
    def of_presence(cls, presence: np.ndarray) -> "SegmentIndex":
        """From (images, classes) bool."""
        classes = np.flatnonzero(presence.any(axis=0)).tolist()
        return cls(tuple(classes), tuple(np.flatnonzero(presence[:, k]) for k in classes))


def default_cache() -> Path:
    """``pantile/segments`` in the user's cache folder."""
    folder = os.environ.get("XDG_CACHE_HOME")
    return (Path(folder) if folder else Path.home() / ".cache") / "pantile" / "segments"


def segment_index(
    dataset: PanopticDataset, workers: int = 0, cache: Path | None = None, progress: bool = False
) -> SegmentIndex:
    """The index of a data set; the same whatever the number of workers.

    Args:
        dataset: whose segments; of a ``Subset`` only its images are read.
        workers: processes that read maps; 0 reads in this one.
        cache: folder for what was read; None for ``default_cache()``. Nothing is written beside the data.
        progress: show a bar on a terminal's stderr while maps are read.

    Raises:
        UserError: no image has a segment (crowd does not count), or a map cannot be read.

    Warns:
        UserWarning: the cache folder cannot be used; the index is built all the same.
    """
    presence = class_presence(dataset, workers, cache, progress)
    if not presence.any():
        raise UserError(
            f"None of the {len(dataset)} training images has a segment that is no crowd, so no crop can be made around "
            "one: label the images, or switch paired crops off with augment.pairs=null."
        )
    return SegmentIndex.of_presence(presence)


def class_presence(
    dataset: PanopticDataset, workers: int = 0, cache: Path | None = None, progress: bool = False
) -> np.ndarray:
    """(images, classes) bool: which classes an image shows, crowd left out. Arguments as for ``segment_index``."""
    whole, indices, order = _resolve(dataset)
    presence = _listed(whole)
    presence = _read(whole, indices, workers, cache, progress) if presence is None else presence[indices]
    return presence[:, order]


def _resolve(dataset: PanopticDataset) -> tuple[PanopticDataset, np.ndarray, np.ndarray]:
    """The data set below any subsets, which of its images are meant, and its class index of each class."""
    indices, order = np.arange(len(dataset)), np.arange(len(dataset.taxonomy))
    while isinstance(dataset, Subset):
        if isinstance(dataset, Renumbered):
            order = np.argsort(dataset.order)[order]
        indices = np.asarray(dataset.indices, dtype=np.int64)[indices]
        dataset = dataset.dataset
    return dataset, indices, order


@singledispatch
def _listed(dataset: PanopticDataset) -> np.ndarray | None:
    """(images, classes) bool from tables that are already in memory; None where maps have to be read."""
    return None


@_listed.register(CocoPanoptic)
@_listed.register(CocoSplit)
def _(dataset: CocoPanoptic | CocoSplit) -> np.ndarray:
    table: CocoTable = dataset._table
    presence = np.zeros((len(dataset), len(dataset.taxonomy)), dtype=bool)
    image = np.repeat(np.arange(len(dataset)), np.diff(table.starts))
    counts = ~table.segment_crowd & (table.segment_classes != VOID_CLASS)
    presence[image[counts], table.segment_classes[counts]] = True
    return presence


@singledispatch
def _sources(dataset: PanopticDataset, indices: np.ndarray) -> list | None:
    """What the maps of these images depend on besides code and taxonomy; None where that cannot be known."""
    return None


@_sources.register
def _(dataset: PairedFiles, indices: np.ndarray) -> list | None:
    """Every file that is not the image itself: readers keep them as FileSets."""
    labels = [v for _, v in sorted(vars(dataset).items()) if isinstance(v, FileSet) and v is not dataset._images]
    keys = [dataset._keys[index] for index in indices.tolist()]
    return [_stamp(files.path(key)) for files in labels for key in keys] or None


@_sources.register
def _(dataset: Scenes, indices: np.ndarray) -> list | None:
    if type(dataset) is not Scenes:
        return None
    return [*sorted((k, v) for k, v in vars(dataset).items() if k != "taxonomy"), indices.tolist()]


def _stamp(path: Path) -> tuple:
    """Path, size and time of a file; a missing one has neither."""
    try:
        status = path.stat()
    except OSError:
        return (str(path.absolute()),)
    return str(path.absolute()), status.st_size, status.st_mtime_ns


def _key(dataset: PanopticDataset, indices: np.ndarray) -> str | None:
    sources = _sources(dataset, indices)
    if sources is None:
        return None
    code = hashlib.blake2b()  # of this room: a corrected reader must not meet what the wrong one found
    for path in sorted(Path(__file__).parent.rglob("*.py")):
        code.update(path.read_bytes())
    versions = (np.__version__, PIL.__version__)
    text = repr((code.hexdigest(), versions, type(dataset).__qualname__, dataset.taxonomy, sources))
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=20).hexdigest()


def _read(
    dataset: PanopticDataset, indices: np.ndarray, workers: int, cache: Path | None, progress: bool
) -> np.ndarray:
    """(len(indices), classes) bool from the maps, or as an earlier run found it."""
    key = _key(dataset, indices) if len(indices) >= SMALL else None
    file = None if key is None else (cache or default_cache()) / f"{key}.npy"
    shape = (len(indices), len(dataset.taxonomy))
    if file is not None and (known := _load(file, shape)) is not None:
        return known
    loader = Loader(
        _Presence(dataset, indices),
        batch_size=CHUNK,
        num_workers=workers,
        collate_fn=np.stack,
        generator=torch.Generator(),  # else torch's global one would depend on whether the cache knew the answer
    )
    console = Console(stderr=True)
    hidden = not (progress and console.is_terminal)
    chunks = track(loader, "reading labels", len(loader), console=console, transient=True, disable=hidden)
    presence = np.concatenate([np.zeros((0, shape[1]), dtype=bool), *chunks])
    if file is not None:
        _save(presence, file)
    return presence


class _Presence(Dataset):
    """(classes,) bool of each image: what its map shows."""

    def __init__(self, dataset: PanopticDataset, indices: np.ndarray) -> None:
        self.dataset = dataset
        self.indices = indices

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, position: int) -> np.ndarray:
        present = np.zeros(len(self.dataset.taxonomy), dtype=bool)
        present[[s.class_index for s in self._segments(int(self.indices[position])) if not s.is_crowd]] = True
        return present

    def _segments(self, index: int) -> tuple[Segment, ...]:
        if isinstance(self.dataset, PairedFiles):
            return self.dataset.load_map(index).segments  # the image need not be decoded
        return self.dataset.load(index)[1].segments


def _load(file: Path, shape: tuple[int, int]) -> np.ndarray | None:
    """None where there is nothing, or nothing usable: then the labels are read anew."""
    try:
        packed = np.load(file, allow_pickle=False)
        presence = np.unpackbits(packed, axis=1, count=shape[1]).astype(bool)
    except (OSError, ValueError, EOFError):
        return None
    return presence if presence.shape == shape else None


def _save(presence: np.ndarray, file: Path) -> None:
    try:
        with replacing(file) as temporary:
            np.save(temporary, np.packbits(presence, axis=1))
    except OSError as error:
        warnings.warn(
            f"{file.parent} cannot be written ({error.strerror}): the labels will be read anew next time.", stacklevel=2
        )
