#!/usr/bin/env bash
# A guess: the `file_name` of the images in a COCO-panoptic JSON names the photos, so predictions are paired with it by file name.
# The JSON that Cityscapes' own scripts write names photos that do not exist, aachen_..._gtFine_leftImg8bit.png instead of
# aachen_..._leftImg8bit.png; only the id fits. Whoever gives predictions ids and names like this ground truth finds no image by its name.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check cityscapesScripts==2.2.4 numpy==1.26.4 pillow==11.3.0
cd "$work"
"$work/venv/bin/python" - <<'PY'
import json
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import numpy as np
from PIL import Image

stem = "aachen_000000_000019"
photo = Path(f"leftImg8bit/val/aachen/{stem}_leftImg8bit.png")
label = Path(f"gtFine/val/aachen/{stem}_gtFine_instanceIds.png")
Path("out").mkdir()
for path in (photo, label):
    path.parent.mkdir(parents=True)
Image.fromarray(np.zeros((4, 6, 3), np.uint8)).save(photo)
Image.fromarray(np.full((4, 6), 7, np.uint16)).save(label)  # road
command = "cityscapesscripts.preparation.createPanopticImgs"
subprocess.run(
    [sys.executable, "-m", command, "--dataset-folder", "gtFine", "--output-folder", "out", "--set-names", "val"],
    check=True, stdout=subprocess.DEVNULL,
)  # fmt: skip
(image,) = json.loads(Path("out/cityscapes_panoptic_val.json").read_text())["images"]
print("cityscapesScripts", version("cityscapesScripts"))
print("the photo:", photo.name)
print("the JSON :", image["file_name"], "id", image["id"])
assert image["file_name"] == f"{stem}_gtFine_leftImg8bit.png"
assert not list(Path("leftImg8bit").rglob(image["file_name"]))
assert image["id"] == stem and photo.name.startswith(image["id"])
PY
