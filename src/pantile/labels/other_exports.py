"""Exports that hold no masks, or that no reader takes: each is called what it is, with what to export instead."""

from pathlib import Path

from pantile.contracts.json_marks import json_has
from pantile.labels.reading.looking import files_of, head

#: marks of JSON files, and what they are
JSONS = (
    (("_via_img_metadata",), "is a project of VIA: export it as COCO and take --from coco-instances."),
    (("keypoints", "skeleton"), "has keypoints of COCO and no masks: take the file instances_<split>.json instead."),
    (("info", "licenses", "questions"), "has questions about images and no masks."),
)


def other_export(src: Path) -> str | None:
    """What files are that no reader takes, as the end of a sentence; None where nothing is known of them."""
    texts = [src] if src.is_file() else [*files_of(src, ".json"), *files_of(src, ".xml"), *files_of(src, ".txt")]
    for path in texts:
        if (told := _of_file(path)) is not None:
            return told
    return None


def _of_file(path: Path) -> str | None:
    suffix = path.suffix.lower()
    if suffix == ".json":
        return next((told for names, told in JSONS if all(json_has(path, *names))), None)
    start = head(path)
    if suffix == ".xml" and "<bndbox>" in start:
        return f"has boxes of Pascal VOC ({path.name}) and no masks: export polygons or masks from the tool instead."
    if suffix == ".xml" and "<track" in start and "<annotations" in start:
        return f"has tracks of CVAT for video ({path.name}): export it as CVAT for images 1.1 and take --from cvat."
    if suffix == ".txt" and _is_yolo_line(start):
        return f"has labels of YOLO ({path.name}) without the data.yaml that names their classes: export it too."
    return None


def _is_yolo_line(text: str) -> bool:
    parts = text.partition("\n")[0].split()
    if len(parts) < 5 or not parts[0].isdecimal():
        return False
    try:
        return all(0 <= float(part) <= 1 for part in parts[1:])
    except ValueError:
        return False
