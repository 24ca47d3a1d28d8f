"""Label Studio, written: a brush for every segment, as pre-annotations of tasks.

::

    root/<split>.json           to import; tasks have predictions, which a person may accept or change
    root/labeling_config.xml    for the project's settings: Labeling Interface, Code
    root/images/<split>/*       root is the document root of a local storage
"""

import json
from collections import defaultdict
from pathlib import Path
from xml.sax.saxutils import quoteattr

import numpy as np

from pantile.contracts.taxonomy import Taxonomy
from pantile.labels.reading.label_studio_rle import encode_brush
from pantile.labels.registry import WRITERS
from pantile.labels.writing.tool_writer import ToolWriter, hex_of

CONTROL, IMAGE = "brush", "image"
MODEL = "pantile"


@WRITERS.register("label-studio")
class LabelStudioWriter(ToolWriter):
    """See the module."""

    def __init__(self, root: Path, taxonomy: Taxonomy) -> None:
        super().__init__(root, taxonomy)
        self._tasks: dict[str, list[dict]] = defaultdict(list)

    def add(self, split: str, image_name: str, size: tuple[int, int], masks: list[tuple[str, np.ndarray]]) -> None:
        regions = [_region(number, name, mask) for number, (name, mask) in enumerate(masks)]
        prediction = {"model_version": MODEL, "result": regions}
        address = f"/data/local-files/?d=images/{split}/{image_name}"
        self._tasks[split].append({"data": {IMAGE: address}, "predictions": [prediction]})

    def finish(self, split: str) -> None:
        """Writes the tasks, the classes, and the configuration that the regions belong to."""
        super().finish(split)
        (self.root / f"{split}.json").write_text(json.dumps(self._tasks.pop(split, [])), encoding="utf-8")
        labels = "\n".join(
            f"    <Label value={quoteattr(own.name)} background={quoteattr(hex_of(own.color))}/>"
            for own in self.taxonomy.classes
        )
        config = f"""<View>
  <Image name="{IMAGE}" value="${IMAGE}" zoom="true"/>
  <BrushLabels name="{CONTROL}" toName="{IMAGE}">
{labels}
  </BrushLabels>
</View>
"""
        (self.root / "labeling_config.xml").write_text(config, encoding="utf-8")


def _region(number: int, name: str, mask: np.ndarray) -> dict:
    height, width = mask.shape
    return {
        "id": f"segment{number}",
        "from_name": CONTROL,
        "to_name": IMAGE,
        "type": "brushlabels",
        "image_rotation": 0,
        "original_width": width,
        "original_height": height,
        "value": {"format": "rle", "rle": encode_brush(mask), "brushlabels": [name]},
    }
