#!/usr/bin/env bash
# One would guess that a polygon means the same pixels everywhere. A square from 5 to 15 is 100 pixels for pycocotools,
# rasterio and its own geometry, and 121 for OpenCV, Pillow and scikit-image, which also paint the pixels that the
# outline runs through: neighbours that share an edge then overlap by it. cv2.findContours goes the other way and walks
# through the centres of the outermost pixels, so a block of 10x10 becomes a polygon of area 81, which COCO's tools
# fill as 81 pixels: small objects lose a fifth of theirs from mask to polygon to mask, and each further round takes
# another ring.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet opencv-python-headless==5.0.0.93 pillow==13.0.0 scikit-image==0.26.0 \
    pycocotools==2.0.11 rasterio==1.4.4
"$work/venv/bin/python" -W ignore - <<'PYTHON'
import cv2
import numpy as np
from PIL import Image, ImageDraw
from pycocotools import mask as coco
from rasterio.features import rasterize
from skimage.draw import polygon2mask

SIZE = (40, 40)


def by_opencv(corners):
    mask = np.zeros(SIZE, dtype=np.uint8)
    return cv2.fillPoly(mask, [corners], 1)


def by_pillow(corners):
    image = Image.new("L", SIZE)
    ImageDraw.Draw(image).polygon([tuple(corner) for corner in corners.tolist()], fill=1)
    return np.asarray(image)


def by_coco(corners):
    return coco.decode(coco.frPyObjects([corners.ravel().astype(float).tolist()], *SIZE))[..., 0]


def by_rasterio(corners):
    ring = [*corners.tolist(), corners[0].tolist()]
    return rasterize([{"type": "Polygon", "coordinates": [ring]}], SIZE)


def by_scikit_image(corners):
    return polygon2mask(SIZE, corners[:, ::-1])


square = np.array([[5, 5], [15, 5], [15, 15], [5, 15]])
areas = {}
print("opencv 5.0.0.93, Pillow 13.0.0, scikit-image 0.26.0, pycocotools 2.0.11, rasterio 1.4.4")
print("a square from 5 to 15, and how much of it a second one from 15 to 25 covers")
for fill in (by_coco, by_rasterio, by_opencv, by_pillow, by_scikit_image):
    first, second = (fill(square + [shift, 0]).astype(bool) for shift in (0, 10))
    areas[fill.__name__[3:]] = int(first.sum()), int((first & second).sum())
    print(f"  {fill.__name__[3:]:13} {first.sum():4} pixels, {(first & second).sum():3} shared")

block, rounds = np.zeros(SIZE, dtype=np.uint8), []
block[5:15, 5:15] = 1
for _ in range(3):
    rounds.append(int(block.sum()))
    contours, _ = cv2.findContours(block, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    block = by_coco(contours[0].reshape(-1, 2))
print("a block of 10x10 pixels through cv2.findContours and pycocotools, again and again:", rounds)
assert areas == {
    "coco": (100, 0), "rasterio": (100, 0), "opencv": (121, 11), "pillow": (121, 11), "scikit_image": (121, 11)
}, f"this changed: {areas}"
assert rounds == [100, 81, 64], f"this changed: {rounds}"
PYTHON
