#!/usr/bin/env bash
# One would guess that a label PNG gives the numbers that lie in it, whoever reads it. A palette PNG (PASCAL VOC, and
# what most tools write) and a 16-bit PNG (Cityscapes' instance ids, ADE20K-Full) do not: OpenCV gives the colours of
# the palette even with IMREAD_UNCHANGED, and their brightness with IMREAD_GRAYSCALE, which looks like a label map of
# other classes; of 16 bits it keeps the upper eight unless told otherwise, so ids below 256 become 0. imageio and
# scikit-image give colours, too. Pillow gives the palette's numbers, but convert("L") cuts 16 bits off at 255.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet opencv-python-headless==5.0.0.93 pillow==13.0.0 imageio==2.38.1 scikit-image==0.26.0
cd "$work"
"$work/venv/bin/python" -W ignore - <<'PYTHON'
import cv2
import imageio.v3 as imageio
import numpy as np
import PIL
from PIL import Image
from skimage import io

labels = np.array([[0, 1, 2], [3, 255, 1]], dtype=np.uint8)
colours = np.zeros((256, 3), dtype=np.uint8)
colours[[1, 2, 3, 255]] = (128, 0, 0), (0, 128, 0), (128, 128, 0), (224, 224, 192)
palette = Image.new("P", (3, 2))
palette.putdata(labels.ravel().tolist())
palette.putpalette(colours.ravel().tolist())
palette.save("palette.png")
Image.fromarray(np.array([[26001, 7, 24012]], dtype=np.uint16)).save("deep.png")

print(f"opencv {cv2.__version__}, Pillow {PIL.__version__}, imageio 2.38.1, scikit-image 0.26.0")
print("palette PNG with the labels", labels.tolist())
pillow = np.asarray(Image.open("palette.png"))
unchanged, grey = (cv2.imread("palette.png", flag) for flag in (cv2.IMREAD_UNCHANGED, cv2.IMREAD_GRAYSCALE))
print("  Pillow                    ", pillow.tolist())
print("  OpenCV, IMREAD_UNCHANGED   an array of shape", unchanged.shape)
print("  OpenCV, IMREAD_GRAYSCALE  ", grey.tolist())
print("  imageio, scikit-image      arrays of shape", imageio.imread("palette.png").shape, io.imread("palette.png").shape)
print("16-bit PNG with the ids [26001, 7, 24012]")
deep = cv2.imread("deep.png", cv2.IMREAD_GRAYSCALE)[0].tolist()
whole = cv2.imread("deep.png", cv2.IMREAD_UNCHANGED)[0].tolist()
cut = np.asarray(Image.open("deep.png").convert("L"))[0].tolist()
print("  OpenCV, IMREAD_GRAYSCALE  ", deep)
print("  OpenCV, IMREAD_UNCHANGED  ", whole)
print('  Pillow, convert("L")      ', cut)
changed = "this changed"
assert pillow.tolist() == labels.tolist(), changed
assert unchanged.shape == imageio.imread("palette.png").shape == io.imread("palette.png").shape == (2, 3, 3), changed
assert grey.tolist() == [[0, 38, 75], [113, 220, 38]], changed
assert (deep, whole, cut) == ([101, 0, 93], [26001, 7, 24012], [255, 7, 255]), changed
PYTHON
