"""Records label rows of Encord with encord 0.1.211 (extra ``coco``): ``python record.py OUT``.

Rows without a server, as the package makes and serialises them; titles and hashes of files, which a server gives, are
filled in.
The package's COCO export is the expected rendering of bitmasks, polygons and boxes.
"""

import json
import sys
from datetime import datetime
from pathlib import Path
from uuid import NAMESPACE_URL, uuid5

import numpy as np
from encord.objects import Object, ObjectInstance, OntologyStructure, Shape
from encord.objects.bitmask import BitmaskCoordinates
from encord.objects.coordinates import (
    BoundingBoxCoordinates,
    CircleCoordinates,
    EllipseCoordinates,
    PointCoordinate,
    PolygonCoordinates,
    PolylineCoordinates,
    RotatableBoundingBoxCoordinates,
)
from encord.objects.ontology_labels_impl import LabelRowV2
from encord.ontology import Ontology
from encord.orm.ontology import Ontology as OntologyRow
from encord.orm.storage import CustomerProvidedImageMetadata
from encord.utilities.coco.exporter import CocoExporter

OUT = Path(sys.argv[1])
HEIGHT, WIDTH = 30, 48

structure = OntologyStructure()
KINDS = {
    "road": Shape.BITMASK,
    "cat": Shape.POLYGON,
    "tree": Shape.BOUNDING_BOX,
    "sign": Shape.ROTATABLE_BOUNDING_BOX,
    "pond": Shape.ELLIPSE,
    "wheel": Shape.CIRCLE,
    "wire": Shape.POLYLINE,
    "dog": Shape.BITMASK,
}
for name, shape in KINDS.items():
    structure.add_object(name, shape)
made = datetime(2024, 1, 1)
ontology = Ontology(OntologyRow("yard", structure, "00000000-0000-4000-8000-000000000000", made, made), None)


def point(x: float, y: float) -> PointCoordinate:
    return PointCoordinate(x=x / WIDTH, y=y / HEIGHT)


def ring(*points: tuple[float, float]) -> list[PointCoordinate]:
    return [point(*own) for own in points]


def box(kind: type, x: float, y: float, w: float, h: float, **more: float):
    return kind(height=h / HEIGHT, width=w / WIDTH, top_left_x=x / WIDTH, top_left_y=y / HEIGHT, **more)


def add(row: LabelRowV2, name: str, coordinates, frame: int = 0) -> None:
    instance = ObjectInstance(structure.get_child_by_title(name, type_=Object))
    instance.set_for_frames(coordinates, frame, created_by="annotator", created_at=made, last_edited_at=made)
    row.add_object_instance(instance)


def titled(row: LabelRowV2, *titles: str) -> dict:
    data, units = row.to_encord_dict(), {}
    for unit, title in zip(data["data_units"].values(), titles, strict=True):
        key = str(uuid5(NAMESPACE_URL, title))
        units[key] = unit | {"data_hash": key, "data_title": title, "data_link": f"https://storage.example.org/{title}"}
    return data | {"data_units": units}


meta = CustomerProvidedImageMetadata(mime_type="image/png", file_size=100, height=HEIGHT, width=WIDTH)
road = np.zeros((HEIGHT, WIDTH), dtype=bool)
road[20:] = True
ears = np.zeros((HEIGHT, WIDTH), dtype=bool)
ears[3:9, 30:34] = ears[3:9, 40:44] = ears[14:19, 33:40] = True

single = LabelRowV2.from_media_metadata(ontology, meta)
add(single, "road", BitmaskCoordinates(road))
outer, hole = ring((4, 3), (16, 3), (16, 13), (4, 13)), ring((8, 6), (12, 6), (12, 10), (8, 10))
add(single, "cat", PolygonCoordinates(polygons=[[outer, hole], [ring((18, 4), (24, 4), (24, 11), (18, 11))]]))
add(single, "cat", PolygonCoordinates(values=ring((2, 15), (14, 15), (14, 22), (2, 22))))
add(single, "tree", box(BoundingBoxCoordinates, 16, 14, 6, 12))
add(single, "dog", BitmaskCoordinates(ears))
add(single, "wire", PolylineCoordinates(values=ring((0, 0), (47, 1))))

group = LabelRowV2.from_media_metadata(ontology, [meta, meta])
add(group, "sign", box(RotatableBoundingBoxCoordinates, 10, 10, 20, 6, theta=30.0), 0)
add(group, "pond", EllipseCoordinates(40 / WIDTH, 8 / HEIGHT, 6 / WIDTH, 3 / HEIGHT, 90.0), 1)
add(group, "wheel", CircleCoordinates(12 / WIDTH, 15 / HEIGHT, 8 / WIDTH, 0.5, 0.0), 1)

rows = [titled(single, "a.png"), titled(group, "b.png", "c.png")]
(OUT / "labels.json").write_text(json.dumps(rows))
coco = CocoExporter(rows, structure).export()
(OUT / "coco.json").write_text(json.dumps({key: coco[key] for key in ("images", "annotations", "categories")}))
