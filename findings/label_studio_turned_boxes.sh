#!/usr/bin/env bash
# One would guess that a box turned in Label Studio lies at the same place in each of its exports. Its JSON has percent of
# the width and of the height and a rotation, which turns pixels about the box's upper left corner. The export of turned
# boxes (YOLO OBB) turns pixels; the exports as COCO, YOLO and VOC turn percent, so the box that they give is sheared by
# the image's shape: a bar of 400x40 pixels, turned by 30 degrees on a photo of 1600x400, lies in a box of 366x235 pixels
# in one and of 426x85, 60 pixels to the left, in the other. On square photos both agree, so a first try shows nothing.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet label-studio-sdk==2.1.2
cd "$work"
"$work/venv/bin/python" -W ignore - <<'PYTHON'
import json
from pathlib import Path

from label_studio_sdk.converter import Converter
from label_studio_sdk.converter.utils import convert_annotation_to_yolo_obb

CONFIG = """<View><Image name="image" value="$image"/>
<RectangleLabels name="box" toName="image"><Label value="bar"/></RectangleLabels></View>"""


def boxes(width, height):
    """(x, y, width, height) of a bar of 400x40 pixels at (600, 100), turned by 30 degrees: COCO's, and around the corners."""
    value = {"x": 60000 / width, "y": 10000 / height, "width": 40000 / width, "height": 4000 / height, "rotation": 30}
    size = {"original_width": width, "original_height": height}
    result = {"id": "a", "from_name": "box", "to_name": "image", "type": "rectanglelabels", **size}
    result["value"] = value | {"rectanglelabels": ["bar"]}
    task = {"id": 1, "data": {"image": "a.png"}, "annotations": [{"id": 1, "result": [result], "completed_by": 1}]}
    Path("tasks.json").write_text(json.dumps([task]))
    Converter(CONFIG, ".").convert("tasks.json", "out", "COCO", is_dir=False)
    (row,) = json.loads(Path("out/result.json").read_text())["annotations"]
    xs, ys = zip(*convert_annotation_to_yolo_obb(value | size, normalize=False))
    return [round(v) for v in row["bbox"]], [round(v) for v in (min(xs), min(ys), max(xs) - min(xs), max(ys) - min(ys))]


print("label-studio-sdk 2.1.2: a bar of 400x40 pixels at (600, 100), turned by 30 degrees; x, y, width and height around it")
found = {size: boxes(*size) for size in ((1600, 1600), (1600, 400))}
for (width, height), (coco, corners) in found.items():
    print(f"  photo of {width}x{height}: as COCO {coco}, around the corners of its YOLO OBB export {corners}")
square, wide = found[1600, 1600], found[1600, 400]
assert square[0] == square[1], f"this changed: on a square photo {square}"
assert wide[1] == square[1] and wide[0] != wide[1], f"this changed: on a wide photo {wide}"
assert abs(wide[0][3] - wide[1][3]) > 100, f"this changed: on a wide photo {wide}"
PYTHON
