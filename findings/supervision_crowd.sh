#!/usr/bin/env bash
# One would guess that a COCO file flags crowd where a person said so. supervision's DetectionDataset.as_coco writes
# iscrowd 1 for every mask with a hole and for every mask of several parts, because only its run lengths hold such a
# mask, and iscrowd 0 for the others. Read as COCO means it, such objects are void in training and ignored by PQ: the
# more occluded or ring-shaped a class is, the less of it is learnt, and no number shows it.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet supervision==0.31.0
cd "$work"
"$work/venv/bin/python" -W ignore - <<'PYTHON'
import json

import numpy as np
import supervision
from PIL import Image

masks = np.zeros((3, 40, 60), dtype=bool)
masks[0, 5:15, 5:15] = True
masks[1, 20:35, 5:20] = True
masks[1, 25:30, 10:15] = False
masks[2, 5:15, 30:38] = masks[2, 5:15, 42:50] = True
Image.new("RGB", (60, 40)).save("a.png")
objects = supervision.Detections(
    xyxy=supervision.mask_to_xyxy(masks), mask=masks, class_id=np.zeros(3, dtype=int)
)
dataset = supervision.DetectionDataset(classes=["cell"], images=["a.png"], annotations={"a.png": objects})
dataset.as_coco(annotations_path="a.json")
rows = json.load(open("a.json"))["annotations"]
flags = [row["iscrowd"] for row in rows]
print(f"supervision {supervision.__version__}: three objects, none of them a crowd")
for what, row in zip(("one piece", "with a hole", "in two parts"), rows):
    print(f"  {what}: iscrowd {row['iscrowd']}, segmentation is a {type(row['segmentation']).__name__}")
assert flags == [0, 1, 1], f"this changed: iscrowd is {flags}, it was [0, 1, 1]"
PYTHON
