"""COCO-panoptic as source and target; ``data.CocoPanoptic`` reads and checks."""

import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from pantile.contracts.errors import UserError
from pantile.contracts.panoptic import PanopticMap, ids_to_rgb
from pantile.data.coco_panoptic import CocoPanoptic
from pantile.data.coco_panoptic_files import PREFIX, available_splits, find_split
from pantile.data.segment_rows import segments_info
from pantile.labels.collected_rows import CollectedRows
from pantile.labels.datasets import dataset_source
from pantile.labels.reading.beside import top_of, unlabelled, unused_labels
from pantile.labels.reading.label_pngs import save_png
from pantile.labels.registry import WRITERS, register_reader
from pantile.labels.report import Report
from pantile.labels.source import LabelSource, LeftOut, ReadOptions


@register_reader("coco-panoptic", options=("images",))
def open_coco_panoptic(src: Path, options: ReadOptions) -> LabelSource:
    """A folder in one of the layouts of ``coco_panoptic_files``, or a JSON with its PNGs in the folder beside it.

    Raises:
        UserError: no such split, a JSON that is not COCO-panoptic, or missing files.
    """
    names = _splits(src, options.splits)
    datasets: list[CocoPanoptic] = []

    def open_split(name: str) -> CocoPanoptic:
        datasets.append(CocoPanoptic(src, names[name], skip_missing=options.skip_missing, images=options.images))
        return datasets[-1]

    source = dataset_source(names, open_split, src, options.orientation)
    beside = () if options.splits else _beside(datasets, top_of(src, options.images))
    return replace(source, notes=(*source.notes, *beside))


def _beside(datasets: Sequence[CocoPanoptic], top: Path | None) -> tuple[LeftOut, ...]:
    """Photos and PNGs that are in no JSON."""
    photos = [own.image_folder / name for own in datasets for name in own.listed_images]
    pngs = [own.png_folder / name for own in datasets for name in own.listed_pngs]
    folders, places = {own.png_folder for own in datasets}, {own.image_folder for own in datasets}
    if any(folder.absolute().is_relative_to(place.absolute()) for folder in folders for place in places):
        places = {path.parent for path in photos}  # no other pictures, such as those of labels
    why = "are in no JSON"
    return (*unlabelled(places, [*photos, *pngs], why, top), *unused_labels(folders, pngs, why))


def _splits(src: Path, wanted: Sequence[str]) -> dict[str, str]:
    """Name in the target to name at the source; one name given renames the split of a JSON."""
    if src.is_file():
        own = src.stem.removeprefix(PREFIX)
        if len(wanted) > 1:
            raise UserError(f"{src} is one JSON: give one name with --split.")
        return dict.fromkeys(wanted or [own], own)
    names = [find_split(src, split) for split in wanted] or available_splits(src) or [find_split(src, "train")]
    return {name: name for name in names}


@dataclass(frozen=True)
class StoredLabel:
    """A label that lies in a file as the target would hold it.

    Attributes:
        png: the file.
        size: (height, width) of its map.
        rows: its ``segments_info``, with the categories of the target.
    """

    png: Path
    size: tuple[int, int]
    rows: list[dict]


@WRITERS.register("coco-panoptic")
class CocoPanopticWriter(CollectedRows):
    """The official layout: ``<split>/*``, ``annotations/panoptic_<split>.json`` and its folder of PNGs.

    Args:
        root: an empty folder.
        taxonomy: the classes.
    """

    images = "{split}"

    def write(
        self, split: str, image_name: str, image_id: int | str, panoptic: PanopticMap, report: Report
    ) -> PanopticMap:
        """One image. Returns what the format holds: all of it."""
        rows = segments_info(panoptic, self.taxonomy)
        save_png(ids_to_rgb(panoptic.ids), self._list(split, image_name, image_id, panoptic.size, rows))
        return panoptic

    def copy(self, split: str, image_name: str, image_id: int | str, label: StoredLabel) -> None:
        """One image whose label is not made anew: its file is copied, byte by byte."""
        target = self._list(split, image_name, image_id, label.size, label.rows)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(label.png, target)

    def _list(self, split: str, image_name: str, image_id: int | str, size: tuple[int, int], rows: list[dict]) -> Path:
        """Takes the rows of an image. Returns where its PNG belongs."""
        png_name, (height, width) = f"{Path(image_name).stem}.png", size
        self.rows["images", split].append({"id": image_id, "file_name": image_name, "height": height, "width": width})
        self.rows["annotations", split].append({"image_id": image_id, "file_name": png_name, "segments_info": rows})
        return self.root / "annotations" / f"panoptic_{split}" / png_name

    def finish(self, split: str) -> None:
        """Writes the JSON of a split."""
        data = {
            "images": self.rows["images", split],
            "annotations": self.rows["annotations", split],
            "categories": self.taxonomy.to_coco(),
        }
        folder = self.root / "annotations" / f"panoptic_{split}"
        folder.mkdir(parents=True, exist_ok=True)
        folder.with_suffix(".json").write_text(json.dumps(data), encoding="utf-8")
