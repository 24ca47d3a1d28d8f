"""labelme, written: a JSON beside each image, a mask for every segment."""

import base64
import io
import json
from pathlib import PurePosixPath

import numpy as np
from PIL import Image

from pantile.labels.registry import WRITERS
from pantile.labels.writing.tool_writer import ToolWriter, box_of

VERSION = "5.5.0"  # of the form; shapes of the type mask came with 5.3


@WRITERS.register("labelme")
class LabelmeWriter(ToolWriter):
    """See the module. A folder for each split."""

    images = "{split}"

    def add(self, split: str, image_name: str, size: tuple[int, int], masks: list[tuple[str, np.ndarray]]) -> None:
        data = {
            "version": VERSION,
            "flags": {},
            "shapes": [_shape(name, mask) for name, mask in masks],
            "imagePath": image_name,
            "imageData": None,
            "imageHeight": size[0],
            "imageWidth": size[1],
        }
        path = self.root / split / f"{PurePosixPath(image_name).stem}.json"
        path.write_text(json.dumps(data), encoding="utf-8")


def _shape(name: str, mask: np.ndarray) -> dict:
    """The mask is a PNG of the box between its points, both corners included."""
    left, top, right, bottom = box_of(mask)
    buffer = io.BytesIO()
    Image.fromarray(mask[top:bottom, left:right].astype(np.uint8)).save(buffer, format="PNG")
    return {
        "label": name,
        "points": [[left, top], [right - 1, bottom - 1]],
        "group_id": None,
        "description": "",
        "shape_type": "mask",
        "flags": {},
        "mask": base64.b64encode(buffer.getvalue()).decode("ascii"),
    }
