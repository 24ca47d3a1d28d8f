"""Data sets that ``pantile.data`` reads already, as sources of labels."""

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from pathlib import Path

from pantile.contracts.errors import UserError
from pantile.contracts.same_classes import match_classes, renumber
from pantile.data.ade20k import open_ade20k
from pantile.data.cityscapes import Cityscapes
from pantile.data.coco_panoptic import CocoPanoptic
from pantile.data.coco_split import CocoSplit
from pantile.data.decoding import decoding
from pantile.data.mapillary import open_mapillary
from pantile.data.paired_files import PairedFiles
from pantile.labels.image_folders import choose_splits
from pantile.labels.label_frames import frame_of_map
from pantile.labels.missing import noting_missing
from pantile.labels.source import ImageLabels, LabelSource, ReadOptions, SourceImage, SourceSplit

Dataset = PairedFiles | CocoPanoptic


def open_cityscapes(src: Path, options: ReadOptions) -> LabelSource:
    """
    Raises:
        UserError: a missing split or file.
    """
    return _open(
        src,
        options,
        lambda split: Cityscapes(src, split, options.skip_missing),
        {s: src / "gtFine" / s for s in ("train", "val")},
    )


def open_ade20k_challenge(src: Path, options: ReadOptions) -> LabelSource:
    """
    Raises:
        UserError: a missing split or file.
    """
    places = {"train": src / "images" / "training", "val": src / "images" / "validation"}
    return _open(src, options, partial(open_ade20k, src, skip_missing=options.skip_missing), places)


def open_mapillary_vistas(src: Path, options: ReadOptions) -> LabelSource:
    """
    Raises:
        UserError: a missing split or file.
    """
    root = src.parent if src.is_file() else src
    places = {"train": root / "training", "val": root / "validation"}
    return _open(src, options, partial(open_mapillary, src, skip_missing=options.skip_missing), places)


def _open(
    src: Path, options: ReadOptions, open_split: Callable[[str], Dataset], places: Mapping[str, Path]
) -> LabelSource:
    present = {split: folder for split, folder in places.items() if folder.is_dir()}
    if not present:
        raise UserError(f"{src} has no {' and no '.join(map(str, places.values()))}: name the data set's own folder.")
    return dataset_source(choose_splits(present, options.splits, src), open_split, src, options.orientation)


def dataset_source(
    names: Iterable[str], open_split: Callable[[str], Dataset], src: Path, orientation: str | None
) -> LabelSource:
    """
    Args:
        names: of the splits.
        open_split: name to data set.
        src: for messages.
        orientation: see ``ReadOptions``.

    Raises:
        UserError: a split does not open, or the splits have different classes; only their order, ids and colours may
            differ.
    """
    with noting_missing(notes := []):
        datasets = {split: open_split(split) for split in names}
    first = next(iter(datasets))
    taxonomy = datasets[first].taxonomy
    splits = []
    for split, dataset in datasets.items():
        where = (f"the split {split!r} of {src}", f"the split {first!r}")
        order = match_classes(dataset.taxonomy, taxonomy, *where, "convert each alone")
        splits.append(_split(split, dataset, order, orientation))
    return LabelSource(taxonomy, tuple(splits), tuple(notes))


def _split(split: str, dataset: Dataset, order: tuple[int, ...], orientation: str | None) -> SourceSplit:
    images = [SourceImage(dataset.image_path(k), dataset.name_of(k), dataset.image_id(k)) for k in range(len(dataset))]

    def read(index: int) -> ImageLabels:
        path = images[index].path
        with decoding(f"the label of {path}"):
            panoptic = renumber(dataset.load_map(index), order)
        framed = frame_of_map(path, panoptic.size, orientation or dataset.orientation, "its label")
        # a JSON lists its crowd regions one by one; codes of pixels have one "not separated" per class
        pooled = not isinstance(dataset, CocoPanoptic | CocoSplit)
        return ImageLabels(panoptic.size, base=panoptic, pooled_crowd=pooled, framed=framed)

    return SourceSplit(split, tuple(images), read)
