"""COCO-panoptic as source and target. ``data.CocoPanoptic`` reads; types and paths are checked before."""

import json
from collections import defaultdict
from pathlib import Path

from pantile.contracts.errors import UserError
from pantile.contracts.panoptic import MAX_ID, PanopticMap, ids_to_rgb
from pantile.contracts.taxonomy import Taxonomy
from pantile.data.coco_panoptic import CocoPanoptic, available_splits, find_split
from pantile.data.write_coco import segments_info
from pantile.labels.class_list import classes_of
from pantile.labels.datasets import dataset_source
from pantile.labels.fields import Fields, path_inside, read_json
from pantile.labels.label_pngs import save_png
from pantile.labels.report import Report
from pantile.labels.source import LabelSource, ReadOptions


def open_coco_panoptic(src: Path, options: ReadOptions) -> LabelSource:
    """
    Raises:
        UserError: no such split, a JSON that is not COCO-panoptic, or missing files.
    """
    splits = [find_split(src, split) for split in options.splits] or available_splits(src) or [find_split(src, "train")]
    for split in splits:
        check_types(src / "annotations" / f"panoptic_{split}.json")
    return dataset_source({split: CocoPanoptic(src, split) for split in splits}, src, options.orientation)


def check_types(path: Path) -> None:
    """Types of all fields, and paths that stay in their folders; what they mean is ``read_coco_json``'s to check.

    Raises:
        UserError: a field is missing or mistyped, or a path leads outside.
    """
    top = Fields.of(read_json(path), str(path))
    classes_of(top.objects("categories", "category"), path, (), ())
    for category in top.objects("categories", "category"):
        category.flag("isthing")
    for image in top.objects("images", "image"):
        image.identifier("id")
        path_inside(path.parent, image.text("file_name"), f"{image.where}, file_name")
    for annotation in top.objects("annotations", "annotation"):
        annotation.identifier("image_id")
        name = annotation.text("file_name")
        path_inside(path.parent, name, f"{annotation.where}, file_name")
        if not name.lower().endswith(".png"):
            raise UserError(f"{annotation.where} has the file_name {name!r}, which is no PNG: correct it.")
        for segment in annotation.objects("segments_info", "segment"):
            segment.whole("id", 1, MAX_ID)
            segment.whole("category_id", 0, MAX_ID)
            segment.flag("iscrowd", default=0)


class CocoPanopticWriter:
    """The official layout: ``<split>/*``, ``annotations/panoptic_<split>.json`` and its folder of PNGs.

    Args:
        root: an empty folder.
        taxonomy: the classes.
    """

    images = "{split}"

    def __init__(self, root: Path, taxonomy: Taxonomy) -> None:
        self.root = root
        self.taxonomy = taxonomy
        self._images: dict[str, list[dict]] = defaultdict(list)
        self._annotations: dict[str, list[dict]] = defaultdict(list)

    def write(
        self, split: str, image_name: str, image_id: int | str, panoptic: PanopticMap, report: Report
    ) -> PanopticMap:
        """One image. Returns what the format holds: all of it."""
        png_name = f"{Path(image_name).stem}.png"
        height, width = panoptic.size
        self._images[split].append({"id": image_id, "file_name": image_name, "height": height, "width": width})
        rows = segments_info(panoptic, self.taxonomy)
        self._annotations[split].append({"image_id": image_id, "file_name": png_name, "segments_info": rows})
        save_png(ids_to_rgb(panoptic.ids), self.root / "annotations" / f"panoptic_{split}" / png_name)
        return panoptic

    def finish(self, split: str) -> None:
        """Writes the JSON of a split."""
        data = {
            "images": self._images[split],
            "annotations": self._annotations[split],
            "categories": self.taxonomy.to_coco(),
        }
        folder = self.root / "annotations" / f"panoptic_{split}"
        folder.mkdir(parents=True, exist_ok=True)
        folder.with_suffix(".json").write_text(json.dumps(data), encoding="utf-8")
