"""Records an export of Label Studio with label-studio-sdk 2.1.2: ``python record.py OUT``.

The regions are checked by the package against a labeling configuration, as its server checks what comes in. Brushes are
encoded by its converter and rendered by its export of PNGs, corners of rectangles are those of its export of turned
boxes, polygons those of its COCO export. Ellipses it renders nowhere.
"""

import json
import sys
import tempfile
from pathlib import Path

import numpy as np
from label_studio_sdk.converter import Converter, brush
from label_studio_sdk.converter.utils import convert_annotation_to_yolo_obb
from label_studio_sdk.label_interface import LabelInterface
from PIL import Image

OUT = Path(sys.argv[1])
HEIGHT, WIDTH = 30, 48
CONFIG = """<View><Image name="image" value="$image"/>
<PolygonLabels name="polygon" toName="image"><Label value="cat"/><Label value="tree"/><Label value="road"/>
</PolygonLabels>
<RectangleLabels name="box" toName="image"><Label value="cat"/><Label value="tree"/></RectangleLabels>
<EllipseLabels name="ellipse" toName="image"><Label value="cat"/></EllipseLabels>
<BrushLabels name="brush" toName="image"><Label value="cat"/><Label value="tree"/></BrushLabels>
<KeyPointLabels name="point" toName="image"><Label value="cat"/></KeyPointLabels>
<Rectangle name="plain" toName="image"/><Labels name="kind" toName="image"><Label value="tree"/></Labels></View>"""


def percent(points: list[tuple[float, float]]) -> list[list[float]]:
    return [[100 * x / WIDTH, 100 * y / HEIGHT] for x, y in points]


def box(left: float, top: float, width: float, height: float, rotation: float = 0) -> dict:
    shares = {"x": left / WIDTH, "y": top / HEIGHT, "width": width / WIDTH, "height": height / HEIGHT}
    return {key: 100 * share for key, share in shares.items()} | {"rotation": rotation}


def region(number: int, control: str, kind: str, value: dict) -> dict:
    return {
        "id": f"region{number}",
        "from_name": control,
        "to_name": "image",
        "type": kind,
        "origin": "manual",
        "image_rotation": 0,
        "original_width": WIDTH,
        "original_height": HEIGHT,
        "value": value,
    }


brushed = np.zeros((HEIGHT, WIDTH), dtype=np.uint8)
brushed[2:10, 3:11] = brushed[2:6, 14:18] = 255
brushed[4:7, 5:8] = 0
rle = brush.mask2rle(brushed)
polygon = [(20, 3), (31, 3), (34, 12.5), (22, 14)]
road = [(0, 22), (48, 22), (48, 30), (0, 30)]
turned = box(16, 14, 12, 6, 30)
first = [
    region(0, "polygon", "polygonlabels", {"points": percent(road), "closed": True, "polygonlabels": ["road"]}),
    region(
        1, "polygon", "polygonlabels", {"points": percent(polygon), "closed": True, "polygonlabels": ["cat", "tree"]}
    ),
    region(2, "box", "rectanglelabels", turned | {"rectanglelabels": ["tree"]}),
    region(3, "brush", "brushlabels", {"format": "rle", "rle": rle, "brushlabels": ["cat"]}),
    region(4, "point", "keypointlabels", {"x": 90.0, "y": 10.0, "width": 0.5, "keypointlabels": ["cat"]}),
]
ellipse = {"x": 100 * 30 / WIDTH, "y": 100 * 12 / HEIGHT, "radiusX": 100 * 9 / WIDTH, "radiusY": 100 * 4 / HEIGHT}
plain = box(2, 3, 10, 5)
second = [
    region(5, "ellipse", "ellipselabels", ellipse | {"rotation": 20, "ellipselabels": ["cat"]}),
    region(6, "plain", "rectangle", plain),
    region(6, "kind", "labels", plain | {"labels": ["tree"]}),
]
interface = LabelInterface(CONFIG)
tasks = []
for number, (name, result) in enumerate({"yard.png": first, "my gate.png": second, "empty.png": []}.items()):
    shown = {"image": f"/data/upload/1/{number:08x}-{name.replace(' ', '%20')}"}
    annotation = {"id": 70 + number, "result": result, "completed_by": 1, "was_cancelled": False, "ground_truth": False}
    task = {"id": 10 + number, "data": shown, "annotations": [annotation], "predictions": []}
    assert interface.validate_annotation({"result": result}), name
    tasks.append(task)
skipped = {"id": 80, "result": [first[0]], "completed_by": 1, "was_cancelled": True, "ground_truth": False}
tasks[0]["annotations"].append(skipped)

(OUT / "images").mkdir(parents=True, exist_ok=True)
for number, name in enumerate(("yard.png", "my gate.png", "empty.png")):
    Image.new("RGB", (WIDTH, HEIGHT), (90, 120, 40 * number)).save(OUT / "images" / f"{number:08x}-{name}")
(OUT / "export.json").write_text(json.dumps(tasks))

with tempfile.TemporaryDirectory() as folder:
    converter = Converter(CONFIG, folder)
    converter.convert(str(OUT / "export.json"), folder, "BRUSH_TO_PNG", is_dir=False)
    (rendered,) = Path(folder).glob("*.png")
    alpha = np.asarray(Image.open(rendered))
    (OUT / "brush.png").write_bytes(rendered.read_bytes())
    assert ((alpha > 0) == (brushed > 0)).all()
with tempfile.TemporaryDirectory() as folder:
    bare = [
        task | {"annotations": [task["annotations"][0] | {"result": task["annotations"][0]["result"][:2]}]}
        for task in tasks[:1]
    ]
    Path(folder, "bare.json").write_text(json.dumps(bare))
    Converter(CONFIG, folder).convert(f"{folder}/bare.json", folder, "COCO", is_dir=False)
    rows = json.loads(Path(folder, "result.json").read_text())["annotations"]
    outlines = [row["segmentation"][0] for row in rows]
corners = convert_annotation_to_yolo_obb(turned | {"original_width": WIDTH, "original_height": HEIGHT}, normalize=False)
(OUT / "outlines.json").write_text(json.dumps({"polygons": outlines, "turned": corners}))
