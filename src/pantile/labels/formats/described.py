"""The folders of a ``dataset.yaml``; ``data.description`` reads and checks."""

from dataclasses import replace
from pathlib import Path

from pantile.data.description import described_splits
from pantile.data.files_below import files_in
from pantile.data.layouts import LAYOUTS
from pantile.labels.datasets import open_layout
from pantile.labels.reading.beside import unlabelled, unused_labels
from pantile.labels.registry import register_reader
from pantile.labels.source import LabelSource, LeftOut, ReadOptions


@register_reader("described", options=())
def open_described(src: Path, options: ReadOptions) -> LabelSource:
    """
    Raises:
        UserError: as ``data.description.DescribedFolder``.
    """
    source = open_layout(LAYOUTS["described"], src, options)
    beside = () if options.splits else _beside(src)
    return replace(source, notes=(*source.notes, *beside))


def _beside(src: Path) -> tuple[LeftOut, ...]:
    """What is of no split, and numbers of instances that are of no image."""
    folders = [src / "images" / split for split in described_splits(src)]
    photos = {path: path.relative_to(src / "images").with_suffix(".png") for top in folders for path in files_in(top)}
    numbers = [src / "instances" / name for name in photos.values()]
    return (
        *unlabelled(folders, photos, "are of no split", src),
        *unused_labels((), (), "lie beside the folders of splits", src / "semantic"),
        *unused_labels([src / "instances"], numbers, "of instances belong to no image"),
    )
