"""All splits of a labelled folder, opened."""

from pathlib import Path

from pantile.contracts.errors import UserError
from pantile.data.coco_panoptic_files import available_splits, is_coco_panoptic
from pantile.data.dataset import open_dataset
from pantile.data.labelled_photos import LabelledPhotos
from pantile.data.layouts import LAYOUTS, layout_of


def open_splits(root: Path, wanted: tuple[str, ...], skip_missing: bool) -> dict[str, LabelledPhotos]:
    """
    Args:
        root: the folder.
        wanted: names of splits; empty for all.
        skip_missing: images of which a file is missing are left out, with a warning.

    Raises:
        UserError: no such folder or split, or data without files of images.
    """
    if not root.exists():
        raise UserError(f"The data folder {root} does not exist: name the folder of a labelled data set.")
    root = root.resolve()  # a folder called "scenes" is meant as such
    names = list(wanted) or (available_splits(root) if is_coco_panoptic(root) else _splits(root))
    opened = {name: open_dataset(root, name, skip_missing, option="--split") for name in dict.fromkeys(names)}
    if not opened:
        raise UserError(f"{root} has no split with labels: convert it with `pantile data convert` first.")
    for dataset in opened.values():
        if not isinstance(dataset, LabelledPhotos):
            raise UserError(f"{root} has no files of images that could be copied: write it as COCO-panoptic first.")
    return opened


def _splits(root: Path) -> list[str]:
    layout = layout_of(root)
    return list(LAYOUTS[layout].splits(root)) if layout else ["train"]  # which says what was looked for
