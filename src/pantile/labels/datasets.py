"""Data sets that ``pantile.data`` reads already, as sources of labels."""

from collections.abc import Callable, Iterable
from pathlib import Path

from pantile.contracts.errors import NoSplit, UserError
from pantile.contracts.same_classes import match_classes, renumber
from pantile.data.decoding import decoding
from pantile.data.labelled_photos import LabelledPhotos
from pantile.data.layouts import Layout
from pantile.data.video_photos import VideoPhotos
from pantile.labels.photos.label_frames import frame_of_map
from pantile.labels.reading.missing import noting_missing
from pantile.labels.source import ImageLabels, LabelSource, ReadOptions, SourceImage, SourceSplit


def open_layout(layout: Layout, src: Path, options: ReadOptions) -> LabelSource:
    """A data set in a layout of its own; all splits that it has unless ``options`` names some.

    Raises:
        UserError: it has no split with labels, not the one that was asked for, lacks files, or is not of image files.
    """
    splits = options.splits or tuple(layout.splits(src))
    if not splits:
        raise UserError(
            f"{src} has no split with labels of {layout.title} ({layout.marks}): name the data set's own folder."
        )
    return dataset_source(splits, lambda split: layout.open(src, split, options.skip_missing), src, options.orientation)


def dataset_source(
    names: Iterable[str], open_split: Callable[[str], LabelledPhotos], src: Path, orientation: str | None
) -> LabelSource:
    """
    Args:
        names: of the splits.
        open_split: name to data set.
        src: for messages.
        orientation: see ``ReadOptions``.

    Raises:
        UserError: a split does not open, is no ``LabelledPhotos``, or the splits have different classes; only their
            order, ids and colours may differ.
    """
    with noting_missing(notes := []):
        datasets = {split: _opened(open_split, split, src) for split in names}
    first = next(iter(datasets))
    taxonomy = datasets[first].taxonomy
    splits = []
    for split, dataset in datasets.items():
        where = (f"the split {split!r} of {src}", f"the split {first!r}")
        order = match_classes(dataset.taxonomy, taxonomy, *where, "convert each alone")
        splits.append(_split(split, dataset, order, orientation))
    return LabelSource(taxonomy, tuple(splits), tuple(notes))


def _opened(open_split: Callable[[str], LabelledPhotos], split: str, src: Path) -> LabelledPhotos:
    try:
        dataset = open_split(split)
    except NoSplit as error:
        raise NoSplit(error.problem, error.choices, "--split") from None
    if not isinstance(dataset, LabelledPhotos):
        raise UserError(
            f"{src} is read by {type(dataset).__name__}, which has no files of images that could be copied "
            "(pantile.data.LabelledPhotos): write it with pantile.data.write_coco_panoptic instead."
        )
    return dataset


def _split(split: str, dataset: LabelledPhotos, order: tuple[int, ...], orientation: str | None) -> SourceSplit:
    images = [SourceImage(dataset.image_path(k), dataset.name_of(k), dataset.image_id(k)) for k in range(len(dataset))]

    def read(index: int) -> ImageLabels:
        path = images[index].path
        with decoding(f"the label of {path}"):
            panoptic = renumber(dataset.load_map(index), order)
        framed = frame_of_map(path, panoptic.size, orientation or dataset.orientation, "its label")
        return ImageLabels(panoptic.size, base=panoptic, pooled_crowd=dataset.pooled_crowd, framed=framed)

    return SourceSplit(split, tuple(images), read, isinstance(dataset, VideoPhotos))
