"""Images of opened data sets, written into one folder in COCO-panoptic layout with the splits that they are given."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from rich.console import Console
from rich.progress import track

from pantile.contracts.errors import UserError
from pantile.contracts.label_pngs import has_alpha
from pantile.contracts.panoptic import PanopticMap
from pantile.contracts.same_classes import renumber
from pantile.contracts.taxonomy import Taxonomy
from pantile.data.coco_panoptic import CocoPanoptic
from pantile.data.dataset import PanopticDataset
from pantile.data.segment_rows import segments_info
from pantile.labels.formats.coco_panoptic import CocoPanopticWriter, StoredLabel
from pantile.labels.photos.label_frames import framed_photo
from pantile.labels.photos.photo_copy import place_photo
from pantile.labels.report import Report
from pantile.labels.statistics import map_of


@dataclass(frozen=True)
class Placed:
    """One image and where it goes.

    Attributes:
        dataset, index: the image.
        split: of the target.
        name: of the file in the split's folder.
        image_id: in the target's JSON.
        classes: class index of the data set to that of the target; None where they are the same.
        label: see ``stored_label``; None where it is to be read.
    """

    dataset: PanopticDataset
    index: int
    split: str
    name: str
    image_id: int | str
    classes: tuple[int, ...] | None = None
    label: StoredLabel | None = None


def write_placed(
    placed: Sequence[Placed], splits: Iterable[str], taxonomy: Taxonomy, folder: Path, link: bool, progress: bool
) -> None:
    """
    Args:
        placed: the images; those of a split come in this order.
        splits: of the target, also those without images.
        taxonomy: of the target.
        folder: an empty one.
        link: hard-link the photos where they need no change.
        progress: show a bar on stderr.

    Raises:
        UserError: a label or photo that cannot be read.
    """
    writer, report, splits = CocoPanopticWriter(folder, taxonomy), Report(taxonomy), list(splits)
    for split in splits:
        (folder / split).mkdir()
    for own in track(placed, "writing", console=Console(stderr=True), disable=not progress):
        size = _write_label(own, writer, report)
        framed = framed_photo(own.dataset, own.index, size)
        place_photo(own.dataset.image_path(own.index), folder / own.split / own.name, link, framed)
    for split in splits:
        writer.finish(split)


def _write_label(own: Placed, writer: CocoPanopticWriter, report: Report) -> tuple[int, int]:
    """Returns (height, width) of the map."""
    label = own.label
    if label is None:
        panoptic = map_of(own.dataset, own.index)
        if own.classes is not None:
            panoptic = renumber(panoptic, own.classes)
        label = stored_label(own.dataset, own.index, panoptic, writer.taxonomy)
        if label is None:
            writer.write(own.split, own.name, own.image_id, panoptic, report)
            return panoptic.size
    writer.copy(own.split, own.name, own.image_id, label)
    return label.size


def stored_label(dataset: PanopticDataset, index: int, panoptic: PanopticMap, taxonomy: Taxonomy) -> StoredLabel | None:
    """The label of an image as its file holds it, which the target can take as it is; None of other layouts, and of
    PNGs with alpha, which the layout does not know.

    Args:
        panoptic: of the image, with classes of ``taxonomy``.
        taxonomy: of the target.
    """
    if not isinstance(dataset, CocoPanoptic) or has_alpha(dataset.label_path(index)):
        return None
    return StoredLabel(dataset.label_path(index), panoptic.size, segments_info(panoptic, taxonomy))


def flat_names(dataset: PanopticDataset) -> list[str]:
    """``city/a.png`` -> ``city_a.png``: the layout has one folder of images, and one PNG per stem.

    Raises:
        UserError: two images would share a stem.
    """
    originals = [dataset.name_of(k) for k in range(len(dataset))]
    names = ["_".join(PurePosixPath(original).parts) for original in originals]
    owner: dict[str, int] = {}
    for index, name in enumerate(names):
        stem = PurePosixPath(name).stem
        if stem in owner:
            both = " and ".join(f"{originals[k]} (id {dataset.image_id(k)})" for k in (owner[stem], index))
            raise UserError(f"{both} would both be labelled by {stem}.png: rename one of them.")
        owner[stem] = index
    return names
