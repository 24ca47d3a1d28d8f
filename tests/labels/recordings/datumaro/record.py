"""Records exports of datumaro 1.13.12: ``python record.py OUT``.

The same items in its own JSON, and as CVAT exports masks ("Segmentation mask 1.1"): shapes to masks, masks of an
instance merged, then datumaro's ``voc_segmentation`` with CVAT's label map. The masks are the expected map.
"""

import shutil
import sys
from pathlib import Path

import datumaro as dm
import numpy as np
from datumaro.components.media import Image

OUT = Path(sys.argv[1])
HEIGHT, WIDTH = 30, 48
names = ["background", "road", "cat", "tree"]
photo = np.full((HEIGHT, WIDTH, 3), (60, 120, 180), dtype=np.uint8)
mask = np.zeros((HEIGHT, WIDTH), dtype=np.uint8)
mask[3:12, 4:14] = mask[5:8, 20:25] = 1
mask[5:8, 7:10] = 0
road = dm.Polygon([0, 20, 48, 18, 48, 30, 0, 30], label=1, z_order=0, id=1, group=1)
cat = dm.Mask(mask, label=2, z_order=1, id=2, group=2)
first = dm.Polygon([28, 3, 36, 4, 35, 13, 27, 12], label=3, z_order=2, id=3, group=3)
second = dm.Polygon([38, 15, 45, 15, 45, 24, 38, 24], label=3, z_order=2, id=4, group=3)
box = dm.Bbox(14, 16, 9, 8, label=2, z_order=3, id=5, group=4)
crowd = dm.Mask(np.roll(mask, (17, -2), axis=(0, 1)), label=3, z_order=4, id=6, group=6, attributes={"is_crowd": True})
ellipse = dm.Ellipse(36, 1, 47, 9, label=2, z_order=5, id=8, group=8)
line = dm.PolyLine([1, 1, 5, 5], label=2, id=7, group=7)


def data_set(annotations: list) -> dm.Dataset:
    items = [
        dm.DatasetItem("a", subset="train", media=Image.from_numpy(photo), annotations=annotations),
        dm.DatasetItem("sub/b", subset="train", media=Image.from_numpy(photo), annotations=[annotations[1]]),
        dm.DatasetItem("c", subset="val", media=Image.from_numpy(photo), annotations=[]),
    ]
    return dm.Dataset.from_iterable(items, categories=names)


for name in ("json", "masks"):
    shutil.rmtree(OUT / name, ignore_errors=True)
data_set([road, cat, first, second, box, crowd, line, ellipse]).export(str(OUT / "json"), "datumaro", save_media=True)
shapes = data_set([road, cat, first, second, box])
for step in ("polygons_to_masks", "boxes_to_masks", "merge_instance_segments"):
    shapes.transform(step)
colours = {"background": (0, 0, 0), "road": (90, 90, 90), "cat": (200, 0, 0), "tree": (0, 160, 0)}
label_map = {name: [colour, [], []] for name, colour in colours.items()}
shapes.export(str(OUT / "masks"), "voc_segmentation", save_media=True, apply_colormap=True, label_map=label_map)
