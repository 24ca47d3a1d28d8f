#!/usr/bin/env bash
# One would guess that writing a map of segment ids either keeps them or fails. numpy makes int32 of most id maps, and
# cv2.imwrite saves those as an 8-bit PNG in which every id above 255 is 255, and returns True; a warning goes to the
# console, not to Python's warnings. Panoptic ids (R + 256 G + 65536 B) become one single segment. The same call keeps
# them in a TIFF. Pillow refuses since version 13.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet opencv-python-headless==5.0.0.93 pillow==13.0.0
cd "$work"
"$work/venv/bin/python" -W ignore - 2>/dev/null <<'PYTHON'
import cv2
import numpy as np
import PIL
from PIL import Image

ids = np.array([[7, 300, 65535, 70000, 1234567]], dtype=np.int32)
print(f"opencv {cv2.__version__}, Pillow {PIL.__version__}: ids {ids[0].tolist()} as int32")
read = {}
for name in ("ids.png", "ids.tif"):
    returned = cv2.imwrite(name, ids)
    read[name] = cv2.imread(name, cv2.IMREAD_UNCHANGED)[0].tolist()
    print(f"  cv2.imwrite({name!r}) returns {returned}; read back: {read[name]}")
try:
    Image.fromarray(ids).save("pillow.png")
    refused = None
except OSError as error:
    refused = str(error)
print("  Pillow:", refused)
assert read == {"ids.png": [7, 255, 255, 255, 255], "ids.tif": ids[0].tolist()}, f"this changed: {read}"
assert refused == "cannot write mode I as PNG", f"this changed: {refused}"
PYTHON
