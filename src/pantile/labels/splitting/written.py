"""Images of opened data sets, written into one folder in COCO-panoptic layout with the splits that they are given."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from rich.console import Console
from rich.progress import track

from pantile.contracts.errors import UserError
from pantile.contracts.same_classes import renumber
from pantile.contracts.taxonomy import Taxonomy
from pantile.data.dataset import PanopticDataset
from pantile.labels.formats.coco_panoptic import CocoPanopticWriter
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
    """

    dataset: PanopticDataset
    index: int
    split: str
    name: str
    image_id: int | str
    classes: tuple[int, ...] | None = None


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
        panoptic = map_of(own.dataset, own.index)
        framed = framed_photo(own.dataset, own.index, panoptic.size)
        if own.classes is not None:
            panoptic = renumber(panoptic, own.classes)
        writer.write(own.split, own.name, own.image_id, panoptic, report)
        place_photo(own.dataset.image_path(own.index), folder / own.split / own.name, link, framed)
    for split in splits:
        writer.finish(split)


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
