"""Records items of V7 Darwin with darwin-py 3.6.3: ``python record.py OUT``.

Polygons are written by the package's exporter, the item with a raster layer in the form that the package parses
and validates (its exporter writes none). Both are read by the package, and its export of masks by index is the expected
map.
"""

import json
import shutil
import sys
import tempfile
from itertools import pairwise
from pathlib import Path

import darwin.datatypes as dt
import numpy as np
from darwin.exporter.formats import semantic_mask_index
from darwin.exporter.formats.darwin import build_image_annotation
from darwin.utils import parse_darwin_json

OUT = Path(sys.argv[1])
HEIGHT, WIDTH = 30, 48


def path(*points: tuple[float, float]) -> list[dict]:
    return [{"x": x, "y": y} for x, y in points]


def polygon(number: int, name: str, paths: list[list[dict]]) -> dt.Annotation:
    flat = [point for own in paths for point in own]
    annotation = dt.make_polygon(name, paths)
    annotation.id = f"00000000-0000-4000-8000-{number:012}"
    xs, ys = [p["x"] for p in flat], [p["y"] for p in flat]
    annotation.data["bounding_box"] = {"x": min(xs), "y": min(ys), "w": max(xs) - min(xs), "h": max(ys) - min(ys)}
    return annotation


ring = [path((4, 3), (16, 3), (16, 13), (4, 13)), path((8, 6), (12, 6), (12, 10), (8, 10))]
parts = [path((22, 4), (28, 4), (28, 11), (22, 11)), path((32, 4), (38, 4), (38, 11), (32, 11))]
road = [path((0, 20), (48, 20), (48, 30), (0, 30))]
tree = [path((20, 15), (30.5, 14.5), (31, 25), (21, 24))]
shapes = [("road", road), ("cat", ring), ("cat", parts), ("tree", tree)]
slot = dt.Slot(name="0", type="image", source_files=[{"file_name": "a.png", "url": ""}], width=WIDTH, height=HEIGHT)
file = dt.AnnotationFile(
    path=Path("a.json"),
    filename="a.png",
    annotation_classes=set(),
    annotations=[polygon(n, name, paths) for n, (name, paths) in enumerate(shapes)],
    image_width=WIDTH,
    image_height=HEIGHT,
    remote_path="/yard",
    slots=[slot],
)
first = build_image_annotation(file, "team")
first["annotations"][0]["slot_names"] = ["0"]
first["annotations"].append({"id": "line", "name": "cat", "line": {"path": path((1, 1), (5, 5))}, "slot_names": ["0"]})

numbers = np.zeros((HEIGHT, WIDTH), dtype=int)
numbers[20:] = 1
numbers[3:12, 4:14] = numbers[5:8, 20:25] = 2
numbers[8:24, 28:40] = 3
ids = {1: "raster-road", 2: "raster-cat", 3: "raster-cat-2"}
names = {1: "road", 2: "cat", 3: "cat"}
flat = numbers.ravel()
starts = np.concatenate([[0], np.flatnonzero(flat[1:] != flat[:-1]) + 1, [flat.size]])
dense = [int(v) for a, b in pairwise(starts.tolist()) for v in (flat[a], b - a)]
layer = {"dense_rle": dense, "mask_annotation_ids_mapping": {ids[n]: n for n in ids}, "total_pixels": int(flat.size)}
second = json.loads(json.dumps(first).replace("a.png", "b.png"))
second["annotations"] = [{"id": ids[n], "name": names[n], "mask": {}, "slot_names": ["0"]} for n in ids]
second["annotations"].append({"id": "layer", "name": "__raster_layer__", "raster_layer": layer, "slot_names": ["0"]})

(OUT / "items").mkdir(parents=True, exist_ok=True)
for name, data in (("a", first), ("b", second)):
    (OUT / "items" / f"{name}.json").write_text(json.dumps(data))
with tempfile.TemporaryDirectory() as folder:
    for name in ("a", "b"):
        own = Path(folder, name)
        semantic_mask_index.export([parse_darwin_json(OUT / "items" / f"{name}.json", None)], own)
        shutil.copy(next((own / "masks").rglob("*.png")), OUT / f"{name}_masks.png")
        shutil.copy(own / "class_mapping.csv", OUT / f"{name}_classes.csv")
