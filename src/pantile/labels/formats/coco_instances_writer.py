"""COCO instances, written: things in one JSON, stuff in another."""

import json

from pantile.contracts.panoptic import PanopticMap
from pantile.contracts.run_lengths import encode_segments
from pantile.data.segment_rows import segments_info
from pantile.labels.collected_rows import CollectedRows
from pantile.labels.registry import WRITERS
from pantile.labels.report import Report


@WRITERS.register("coco-instances")
class CocoInstancesWriter(CollectedRows):
    """``annotations/instances_<split>.json`` for things, ``stuff_<split>.json`` for stuff, both as run lengths.

    Args:
        root: an empty folder.
        taxonomy: the classes.
    """

    images = "{split}"

    def write(
        self, split: str, image_name: str, image_id: int | str, panoptic: PanopticMap, report: Report
    ) -> PanopticMap:
        """One image. Returns what the format holds: all of it."""
        height, width = panoptic.size
        self.rows["images", split].append({"id": image_id, "file_name": image_name, "height": height, "width": width})
        masks = encode_segments(panoptic.ids, [segment.id for segment in panoptic.segments])
        for row, mask in zip(segments_info(panoptic, self.taxonomy), masks, strict=True):
            is_thing = self.taxonomy.classes[self.taxonomy.index_of_id[row["category_id"]]].is_thing
            segmentation = {"size": mask["size"], "counts": mask["counts"].decode("ascii")}
            self.rows[is_thing, split].append(row | {"image_id": image_id, "segmentation": segmentation})
        return panoptic

    def finish(self, split: str) -> None:
        """Writes the JSONs of a split; that of stuff only where there are such classes."""
        for name, is_thing in (("instances", True), ("stuff", False)):
            categories = [c for c in self.taxonomy.to_coco() if bool(c["isthing"]) == is_thing]
            if not is_thing and not categories:
                continue
            data = {
                "images": self.rows["images", split],
                "annotations": [row | {"id": k} for k, row in enumerate(self.rows[is_thing, split], start=1)],
                "categories": categories,
            }
            path = self.root / "annotations" / f"{name}_{split}.json"
            path.parent.mkdir(exist_ok=True)
            path.write_text(json.dumps(data), encoding="utf-8")
