"""Data sets that ``pantile.data`` reads already, as sources of labels."""

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

from pantile.contracts.errors import UserError
from pantile.data.ade20k import open_ade20k
from pantile.data.cityscapes import Cityscapes
from pantile.data.coco_panoptic import CocoPanoptic
from pantile.data.decoding import decoding
from pantile.data.mapillary import open_mapillary
from pantile.data.paired_files import PairedFiles
from pantile.labels.image_folders import check_size, choose_splits, image_size
from pantile.labels.source import ImageLabels, LabelSource, ReadOptions, SourceImage, SourceSplit

Dataset = PairedFiles | CocoPanoptic


def open_cityscapes(src: Path, options: ReadOptions) -> LabelSource:
    """
    Raises:
        UserError: a missing split or file.
    """
    return _open(src, options, lambda split: Cityscapes(src, split), {s: src / "gtFine" / s for s in ("train", "val")})


def open_ade20k_challenge(src: Path, options: ReadOptions) -> LabelSource:
    """
    Raises:
        UserError: a missing split or file.
    """
    places = {"train": src / "images" / "training", "val": src / "images" / "validation"}
    return _open(src, options, partial(open_ade20k, src), places)


def open_mapillary_vistas(src: Path, options: ReadOptions) -> LabelSource:
    """
    Raises:
        UserError: a missing split or file.
    """
    root = src.parent if src.is_file() else src
    places = {"train": root / "training", "val": root / "validation"}
    return _open(src, options, partial(open_mapillary, src), places)


def _open(
    src: Path, options: ReadOptions, open_split: Callable[[str], Dataset], places: Mapping[str, Path]
) -> LabelSource:
    present = {split: folder for split, folder in places.items() if folder.is_dir()}
    if not present:
        raise UserError(f"{src} has no {' and no '.join(map(str, places.values()))}: name the data set's own folder.")
    return dataset_source({split: open_split(split) for split in choose_splits(present, options.splits, src)}, src)


def dataset_source(datasets: Mapping[str, Dataset], src: Path) -> LabelSource:
    """
    Args:
        datasets: split to data set.
        src: for messages.

    Raises:
        UserError: the splits have different classes.
    """
    first, *others = datasets
    for split in others:
        if datasets[split].taxonomy != datasets[first].taxonomy:
            raise UserError(f"{src}: the splits {first!r} and {split!r} differ in their classes: convert each alone.")
    splits = [_split(split, dataset) for split, dataset in datasets.items()]
    return LabelSource(datasets[first].taxonomy, tuple(splits))


def _split(split: str, dataset: Dataset) -> SourceSplit:
    images = [SourceImage(dataset.image_path(k), dataset.name_of(k), dataset.image_id(k)) for k in range(len(dataset))]

    def read(index: int) -> ImageLabels:
        path = images[index].path
        size = image_size(path)
        with decoding(f"the label of {path}"):
            panoptic = dataset.load_map(index)
        check_size(path, size, panoptic.size, "its label")
        return ImageLabels(size, base=panoptic)

    return SourceSplit(split, tuple(images), read)
