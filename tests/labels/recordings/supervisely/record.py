"""Records a project of Supervisely with supervisely 6.74.51: ``python record.py OUT``.

``project`` is what the package writes and downloads, ``exported`` the same in the coordinates of the labeling tool,
into which the package turns them where it uploads. The package's own drawing, in the order of the objects, is the
expected map.
"""

import json
import shutil
import sys
from pathlib import Path

import cv2
import numpy as np
import supervisely as sly

OUT = Path(sys.argv[1])
HEIGHT, WIDTH = 30, 48


def points(*pairs: tuple[int, int]) -> list[sly.PointLocation]:
    return [sly.PointLocation(y, x) for x, y in pairs]


def ring(top: int, left: int) -> sly.Bitmap:
    data = np.ones((9, 8), dtype=bool)
    data[3:6, 3:5] = False
    return sly.Bitmap(data, origin=sly.PointLocation(top, left))


road = sly.ObjClass("road", sly.Polygon, color=[90, 90, 90])
cat = sly.ObjClass("cat", sly.AnyGeometry, color=[200, 0, 0])
tree = sly.ObjClass("tree", sly.Bitmap, color=[0, 160, 0])
sign = sly.ObjClass("sign", sly.Polyline, color=[0, 0, 255])
classes = [road, cat, tree, sign]
hole = points((30, 24), (36, 24), (36, 26), (30, 26))
parts = [points((38, 10), (45, 9), (44, 13)), points((40, 17), (46, 16), (46, 22), (41, 23))]
multipolygon = sly.Multipolygon([sly.Polygon(part) for part in parts])
alpha = np.array([[0, 40, 255], [200, 0, 1]], dtype=np.uint8)
labels = [
    sly.Label(sly.Polygon(points((0, 20), (47, 18), (47, 29), (0, 29)), [hole]), road),
    sly.Label(sly.Polygon(points((3, 3), (15, 2), (17, 12), (9, 15), (2, 11))), cat),
    sly.Label(sly.Rectangle(top=12, left=12, bottom=22, right=20), cat),
    sly.Label(ring(14, 30), tree),
    sly.Label(ring(2, 26), cat),
    sly.Label(multipolygon, cat),
    sly.Label(sly.AlphaMask(alpha, origin=sly.PointLocation(1, 44)), cat),
    sly.Label(sly.Polyline(points((1, 1), (5, 5))), sign),
]
annotation = sly.Annotation((HEIGHT, WIDTH), labels)
photo = np.full((HEIGHT, WIDTH, 3), (60, 120, 180), dtype=np.uint8)

shutil.rmtree(OUT / "project", ignore_errors=True)
shutil.rmtree(OUT / "exported", ignore_errors=True)
project = sly.Project(str(OUT / "project"), sly.OpenMode.CREATE)
project.set_meta(sly.ProjectMeta(classes))
for name, own in (("street", annotation), ("park", sly.Annotation((HEIGHT, WIDTH), labels[4:5]))):
    project.create_dataset(name).add_item_np("a.png" if name == "street" else "b.png", photo, own)

for path in sorted((OUT / "project").rglob("*.json")):
    data = json.loads(path.read_text())
    target = OUT / "exported" / path.relative_to(OUT / "project")
    target.parent.mkdir(parents=True, exist_ok=True)
    if path.parent.name == "ann":
        for object_ in data["objects"]:  # the package stamps its own time
            for key in ("createdAt", "updatedAt", "labelerLogin"):
                object_.pop(key, None)
        path.write_text(json.dumps(data))
        data = sly.Annotation._to_subpixel_coordinate_system_json(data)
    target.write_text(json.dumps(data))
for path in sorted((OUT / "project").rglob("*.png")):
    target = OUT / "exported" / path.relative_to(OUT / "project")
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(path, target)


def draw(own: sly.Annotation) -> np.ndarray:
    """The number of the object on top, as the package draws it; of an alpha mask, which it would mix, what is not 0."""
    drawn = np.zeros((HEIGHT, WIDTH), dtype=np.uint8)
    for number, label in enumerate(own.labels[:7], start=1):
        geometry = label.geometry
        if isinstance(geometry, sly.AlphaMask):
            geometry = sly.Bitmap(geometry.data > 0, origin=geometry.origin)
        geometry.draw(drawn, number)
    return drawn


written, exported = (json.loads((OUT / name / "street/ann/a.png.json").read_text()) for name in ("project", "exported"))
drawn = draw(sly.Annotation.from_json(written, project.meta))
back = sly.Annotation._to_pixel_coordinate_system_json(exported)
assert (draw(sly.Annotation.from_json(back, project.meta)) == drawn).all()
cv2.imwrite(str(OUT / "drawn.png"), drawn)
