"""COCO-panoptic as source and target; ``data.CocoPanoptic`` reads and checks."""

import json
from functools import partial
from pathlib import Path

from pantile.contracts.panoptic import PanopticMap, ids_to_rgb
from pantile.data.coco_panoptic import CocoPanoptic, available_splits, find_split
from pantile.data.segment_rows import segments_info
from pantile.labels.collected_rows import CollectedRows
from pantile.labels.datasets import dataset_source
from pantile.labels.reading.label_pngs import save_png
from pantile.labels.registry import WRITERS, register_reader
from pantile.labels.report import Report
from pantile.labels.source import LabelSource, ReadOptions


@register_reader("coco-panoptic", options=())
def open_coco_panoptic(src: Path, options: ReadOptions) -> LabelSource:
    """
    Raises:
        UserError: no such split, a JSON that is not COCO-panoptic, or missing files.
    """
    splits = [find_split(src, split) for split in options.splits] or available_splits(src) or [find_split(src, "train")]
    open_split = partial(CocoPanoptic, src, skip_missing=options.skip_missing)
    return dataset_source(splits, open_split, src, options.orientation)


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
        png_name = f"{Path(image_name).stem}.png"
        height, width = panoptic.size
        self.rows["images", split].append({"id": image_id, "file_name": image_name, "height": height, "width": width})
        rows = segments_info(panoptic, self.taxonomy)
        self.rows["annotations", split].append({"image_id": image_id, "file_name": png_name, "segments_info": rows})
        save_png(ids_to_rgb(panoptic.ids), self.root / "annotations" / f"panoptic_{split}" / png_name)
        return panoptic

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
