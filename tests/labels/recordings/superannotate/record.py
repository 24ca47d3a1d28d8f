"""Records a project of SuperAnnotate with superannotate 4.6.2: ``python record.py OUT``.

Its converter writes the tool's own files from a project of VIA (polygon, box, ellipse, circle, line, point), and from
COCO instances, of which an annotation in two parts with an id twice is a group.
"""

import json
import shutil
import sys
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image
from superannotate import import_annotation

OUT = Path(sys.argv[1])
HEIGHT, WIDTH = 30, 48


def region(label: str, kind: str, **values: object) -> dict:
    return {"shape_attributes": {"name": kind} | values, "region_attributes": {"type": label}}


regions = [
    region("road", "polygon", all_points_x=[0, 48, 48, 0], all_points_y=[20, 20, 30, 30]),
    region("tree", "rect", x=4, y=14, width=6, height=12),
    region("pond", "ellipse", cx=36, cy=8, rx=8, ry=4, theta=0),
    region("wheel", "circle", cx=20, cy=18, r=5),
    region("wire", "polyline", all_points_x=[0, 47], all_points_y=[0, 1]),
    region("wire", "point", cx=3, cy=3),
]
parts = [[22.5, 4, 28, 4, 28, 11, 22, 11], [12, 4, 18, 4, 18, 11, 12, 11]]
row = {"id": 7, "image_id": 1, "category_id": 1, "iscrowd": 0, "bbox": [0, 0, 1, 1], "area": 1}
coco = {
    "images": [{"id": 1, "file_name": "b.png", "height": HEIGHT, "width": WIDTH}],
    "annotations": [row | {"segmentation": [part]} for part in parts],
    "categories": [{"id": 1, "name": "cat", "supercategory": "pet"}],
}
with tempfile.TemporaryDirectory() as top:
    for name, image, kind, task, data in (
        ("via", "a.png", "VGG", "vector_annotation", {"a": {"filename": "a.png", "regions": regions}}),
        ("coco", "b.png", "COCO", "instance_segmentation", coco),
    ):
        source, target = Path(top, name), Path(top, f"{name}_sa")
        source.mkdir()
        Image.fromarray(np.zeros((HEIGHT, WIDTH, 3), dtype=np.uint8)).save(source / image)
        (source / f"{name}.json").write_text(json.dumps(data))
        import_annotation(source, target, kind, name, "Vector", task)
        shutil.copy(target / f"{image}.json", OUT / f"{image}.json")
        shutil.copy(target / "classes" / "classes.json", OUT / f"{name}_classes.json")
