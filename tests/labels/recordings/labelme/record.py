"""Records a file of labelme with what labelme 6.3.1 paints from it: ``python record.py OUT``.

The rendering is the package's ``shapes_to_label`` (Pillow 13), of which only that module is loaded: the package itself
wants Qt. ``classes.png`` has the position of the label in ``LABELS``, ``instances.png`` the number of the instance.
"""

import base64
import importlib.util
import io
import json
import sys
import types
from importlib.metadata import version
from pathlib import Path

import numpy as np
from PIL import Image

OUT = Path(sys.argv[1])
HEIGHT, WIDTH = 120, 160
LABELS = ["", "road", "cat", "tree", "dog"]

place = Path(importlib.util.find_spec("labelme").submodule_search_locations[0])
for name, members in (("labelme", {}), ("labelme._label_file", {"ShapeDict": dict})):
    sys.modules[name] = types.ModuleType(name)
    vars(sys.modules[name]).update(members)
spec = importlib.util.spec_from_file_location("shape", place / "utils" / "shape.py")
shape_module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(shape_module)

angles = np.linspace(0, 2 * np.pi, 24, endpoint=False)
blob = np.stack([40 + 22 * np.cos(angles), 40 + 16 * np.sin(angles) + 4 * np.cos(3 * angles)], -1).round(1)
star = np.stack([110 + (20 - 9 * (np.arange(24) % 2)) * np.cos(angles), 35 + 18 * np.sin(angles)], -1).round()
patch = np.indices((14, 20)).sum(0) % 5 < 3
shapes = [
    ("road", "polygon", [[0, 90], [159, 84], [159, 119], [0, 119]], None),
    ("cat", "polygon", blob.tolist(), None),
    ("cat", "polygon", star.tolist(), 1),
    ("cat", "polygon", [[140, 60], [154, 60], [154, 70], [140, 72]], 1),
    ("tree", "rectangle", [[10, 70], [30, 100]], None),
    ("tree", "oriented_rectangle", [[60, 70], [80, 62], [86, 77], [66, 85]], None),
    ("dog", "circle", [[120, 90], [120, 102]], None),
    ("dog", "mask", [[40, 95], [59, 108]], None),
]
rows = []
for label, kind, points, group in shapes:
    row = {"label": label, "points": points, "group_id": group, "description": "", "shape_type": kind, "flags": {}}
    rows.append(row | {"mask": patch if kind == "mask" else None})
classes, instances = shape_module.shapes_to_label((HEIGHT, WIDTH), rows, {name: k for k, name in enumerate(LABELS)})
Image.fromarray(classes.astype(np.uint8)).save(OUT / "classes.png")
Image.fromarray(instances.astype(np.uint8)).save(OUT / "instances.png")

buffer = io.BytesIO()
Image.fromarray(patch.astype(np.uint8)).save(buffer, format="PNG")
rows[-1]["mask"] = base64.b64encode(buffer.getvalue()).decode()
data = {"version": version("labelme"), "flags": {}, "shapes": rows, "imagePath": "a.png", "imageData": None}
(OUT / "a.json").write_text(json.dumps(data | {"imageHeight": HEIGHT, "imageWidth": WIDTH}))
