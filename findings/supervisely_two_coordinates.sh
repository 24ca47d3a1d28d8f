#!/usr/bin/env bash
# One would guess that a Supervisely JSON means the same pixels wherever it comes from. There are two counts of
# coordinates, and no field says which: files of the package have the columns and rows of pixels, a box ends with the
# last pixel inside; the labeling tool counts from the edges of pixels, a box ends before the first pixel outside, and
# points of polygons lie at halves. The package turns one into the other where it talks to the server, and nowhere else:
# an annotation in the tool's count that is read with Annotation.from_json has boxes of one row and column too many.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet supervisely==6.74.51
cd "$work"
"$work/venv/bin/python" -W ignore - <<'PYTHON'
import numpy as np
import supervisely as sly

kind = sly.ObjClass("thing", sly.AnyGeometry)
meta = sly.ProjectMeta([kind])
corners = [sly.PointLocation(row, column) for row, column in ((10, 10), (10, 29), (19, 29), (19, 10))]
box, polygon = sly.Rectangle(top=10, left=10, bottom=19, right=29), sly.Polygon(corners)
written = sly.Annotation((40, 60), [sly.Label(box, kind), sly.Label(polygon, kind)]).to_json()
tool = sly.Annotation._to_subpixel_coordinate_system_json(written)  # what the package sends to the server


def areas(data):
    found = []
    for label in sly.Annotation.from_json(data, meta).labels:
        mask = np.zeros((40, 60), dtype=np.uint8)
        label.geometry.draw(mask, 1)
        found.append(int(mask.sum()))
    return found


points = [[own["points"]["exterior"] for own in data["objects"]] for data in (written, tool)]
back = sly.Annotation._to_pixel_coordinate_system_json(tool)  # what it does with what comes from there
print("supervisely 6.74.51: a box and a polygon of 20x10 pixels")
print("  as the package writes them     ", points[0], "are", areas(written), "pixels")
print("  as the labeling tool has them  ", points[1], "are", areas(tool), "pixels if read as they are")
print("  after the package's conversion  are", areas(back), "pixels")
assert written.keys() == tool.keys(), f"this changed: {tool.keys() - written.keys()} tell the two apart"
assert points[0][0] == [[10, 10], [29, 19]] and points[1][0] == [[10, 10], [30, 20]], f"this changed: {points}"
assert (areas(written), areas(tool), areas(back)) == ([200, 200], [231, 200], [200, 200]), "this changed: the areas"
PYTHON
