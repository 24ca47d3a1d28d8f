#!/usr/bin/env bash
# One would guess that the COCO export of Encord's package has every object of an image as it was drawn. A turned box loses its
# turn: its segmentation is the upright box, and the angle is an attribute that no reader of COCO knows. Ellipses and circles
# are left out without a word. Every bitmask, and every polygon of two parts or with a hole, is iscrowd 1, which readers of
# instances leave out of training and evaluation. And a bitmask's rleString in Encord's own export looks like COCO's counts,
# but its runs go along the rows: pycocotools decodes it without an error, into other pixels.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet 'encord[coco]==0.1.211'
cat > "$work/export.py" <<'PYTHON'
from datetime import datetime

import numpy as np
from encord.objects import Object, ObjectInstance, OntologyStructure, Shape
from encord.objects.bitmask import BitmaskCoordinates
from encord.objects.coordinates import CircleCoordinates, EllipseCoordinates, RotatableBoundingBoxCoordinates
from encord.objects.ontology_labels_impl import LabelRowV2
from encord.ontology import Ontology
from encord.orm.ontology import Ontology as Row
from encord.orm.storage import CustomerProvidedImageMetadata
from encord.utilities.coco.exporter import CocoExporter
from pycocotools import mask as coco_mask

made, height, width = datetime(2024, 1, 1), 40, 60
kinds = [Shape.BITMASK, Shape.ROTATABLE_BOUNDING_BOX, Shape.ELLIPSE, Shape.CIRCLE]
structure = OntologyStructure()
for kind in kinds:
    structure.add_object(kind.value, kind)
ontology = Ontology(Row("yard", structure, "00000000-0000-4000-8000-000000000000", made, made), None)
meta = CustomerProvidedImageMetadata(mime_type="image/png", file_size=1, height=height, width=width)
row = LabelRowV2.from_media_metadata(ontology, meta)
drawn = np.zeros((height, width), dtype=bool)
drawn[5:15, 30:50] = True
shapes = [
    BitmaskCoordinates(drawn),
    RotatableBoundingBoxCoordinates(height=0.2, width=0.5, top_left_x=0.2, top_left_y=0.4, theta=45.0),
    EllipseCoordinates(0.5, 0.5, 0.2, 0.1),
    CircleCoordinates(0.5, 0.5, 0.1),
]
for kind, shape in zip(kinds, shapes, strict=True):
    instance = ObjectInstance(structure.get_child_by_title(kind.value, type_=Object))
    instance.set_for_frames(shape, 0, created_by="annotator", created_at=made, last_edited_at=made)
    row.add_object_instance(instance)
labels = row.to_encord_dict()
(unit,) = labels["data_units"].values()
unit["data_title"] = "a.png"
coco = CocoExporter([labels], structure).export()
names = {own["id"]: own["name"] for own in coco["categories"]}
found = {names[own["category_id"]]: own for own in coco["annotations"]}
print(f"encord 0.1.211, drawn: {', '.join(kind.value for kind in kinds)}")
print("  in its COCO export:  ", ", ".join(found))
box = found["rotatable_bounding_box"]
print("  the box, turned by 45 degrees:", [round(value) for value in box["segmentation"][0]])
print("  iscrowd of the bitmask:", found["bitmask"]["iscrowd"])
runs = unit["labels"]["objects"][0]["bitmask"]["rleString"]
as_coco = coco_mask.decode({"counts": runs.encode(), "size": [height, width]}).astype(bool)
print(f"  rleString taken for COCO's counts: {(as_coco & drawn).sum()} of {drawn.sum()} pixels in place")
assert list(found) == ["bitmask", "rotatable_bounding_box"], "this changed"
assert [round(value) for value in box["segmentation"][0]] == [12, 16, 42, 16, 42, 24, 12, 24], "this changed"
assert found["bitmask"]["iscrowd"] == 1 and (as_coco & drawn).sum() < drawn.sum() / 2, "this changed"
PYTHON
"$work/venv/bin/python" -W ignore "$work/export.py"
