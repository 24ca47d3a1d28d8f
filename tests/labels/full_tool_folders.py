"""As ``full_folders``, for the formats of annotation tools that come with photos under other names, or with bitmaps."""

from collections.abc import Callable
from pathlib import Path

import numpy as np

from labels.full_folders import SIZE, Content, alone, exists, extra, polygon, some
from labels.tiny_labels import photo, save, write_json

LABELS = ("cat", "dog")
NAMES = ("a", "city/b", "city/c", "deep/er/d")


def label_studio(root: Path, rng: np.random.Generator) -> Content:
    content, used, tasks = Content(), set(), []
    for k, name in enumerate(NAMES):
        there = exists(rng, k)
        if there:
            photo(root / f"{name}.png", SIZE)
        annotations = []
        if k == 0 or rng.random() < 0.8:
            regions = [_region(rng, used) for _ in some(rng)] if k else [_region(rng, used, "cat")]
            other = {"result": [_region(rng, set())], "was_cancelled": True}
            annotations = [{"result": regions, "was_cancelled": False}, other][: 1 + (there and rng.random() < 0.5)]
        content.annotations += sum(len(own["result"]) for own in annotations)
        tasks.append({"data": {"image": f"https://host/{name}.png?token=1"}, "annotations": annotations})
    write_json(tasks, root / "export.json")
    content.images, content.classes = len(NAMES) + extra(rng, root), len(used)
    return content


def _region(rng: np.random.Generator, used: set[str], label: str | None = None) -> dict:
    """A region, or a result that is none."""
    label = label or LABELS[rng.integers(2)]
    kind = ["polygon", "keypoint", "choices", "polygon"][rng.integers(4)]
    if kind == "choices":
        return {"type": kind, "from_name": "tag", "value": {"choices": [label]}}
    used.add(label)
    points = [[100 * x / SIZE[1], 100 * y / SIZE[0]] for x, y in polygon(rng)]
    return {
        "id": "r",
        "from_name": "tag",
        "type": f"{kind}labels",
        "value": {"points": points, f"{kind}labels": [label]},
    }


def supervisely(root: Path, rng: np.random.Generator) -> Content:
    content = Content(classes=len(LABELS))
    write_json(
        {"classes": [{"title": name, "shape": "any", "color": "#102030"} for name in LABELS]}, root / "meta.json"
    )
    for k, name in enumerate(NAMES):
        folder, stem = Path(name).parent, Path(name).name
        if exists(rng, k):
            photo(root / folder / "img" / f"{stem}.png", SIZE)
        objects = []
        for _ in some(rng):
            kind = ["polygon", "rectangle", "line"][rng.integers(3)]
            points = polygon(rng)
            points = (
                points[::2]
                if kind == "rectangle" and len(points) == 4
                else points[:2]
                if kind == "rectangle"
                else points
            )
            ring = {"exterior": points, "interior": []}
            objects.append({"classTitle": [*LABELS, "bird"][rng.integers(3)], "geometryType": kind, "points": ring})
        size = {"height": SIZE[0], "width": SIZE[1]}
        write_json({"size": size, "objects": objects}, root / folder / "ann" / f"{stem}.png.json")
        content.images, content.annotations = content.images + 1, content.annotations + len(objects)
    content.images += extra(rng, root / "img", root)
    return content


def segments_ai(root: Path, rng: np.random.Generator) -> Content:
    content, samples = Content(classes=len(LABELS)), []
    for k, name in enumerate(NAMES):
        there = exists(rng, k)
        if there:
            photo(root / f"{name}.jpg", SIZE)
        numbers = rng.integers(0, 4, SIZE)
        rows = [{"id": int(n), "category_id": int(rng.integers(0, 3))} for n in (1, 2, 5) if rng.random() < 0.7]
        save(numbers.astype(np.uint8), root / "bitmaps" / f"{Path(name).name}_label_ground-truth.png")
        content.annotations += len(
            {row["id"] for row in rows} | (set(numbers.ravel().tolist()) - {0} if there else set())
        )
        address = {"url": "https://host/x.png"}
        label = {"attributes": {"annotations": rows, "segmentation_bitmap": address}}
        samples.append(
            {
                "name": f"{name}.jpg",
                "attributes": {"image": {"url": f"https://host/{k}.jpg"}},
                "labels": {"ground-truth": label},
            }
        )
    samples.append(samples[0] | {"name": "bare.jpg", "labels": {"ground-truth": None}})
    categories = [{"id": k, "name": name, "has_instances": True} for k, name in enumerate(LABELS)]
    attributes = {"task_type": "segmentation-bitmap", "task_attributes": {"categories": categories}}
    write_json({"dataset": attributes | {"labelsets": [{"name": "ground-truth"}], "samples": samples}}, root / "r.json")
    content.images = len(samples) + extra(rng, root)
    return content


def datumaro(root: Path, rng: np.random.Generator) -> Content:
    names = ["background", *LABELS]
    content = Content(classes=len(names))
    items = []
    for k, name in enumerate(NAMES):
        if exists(rng, k):
            photo(root / "images" / "train" / f"{name}.png", SIZE)
        annotations = []
        for _ in some(rng):
            flat = [value for point in polygon(rng) for value in point]
            kind = ["polygon", "polyline"][rng.integers(2)]
            row = {"label_id": int(rng.integers(0, 4)), "points": flat, "group": int(rng.integers(0, 2))}
            annotations.append({"type": kind, "z_order": int(rng.integers(-1, 2))} | row)
        items.append({"id": name, "annotations": annotations, "image": {"path": f"{name}.png", "size": list(SIZE)}})
        content.annotations += len(annotations)
    top = {"categories": {"label": {"labels": [{"name": name} for name in names]}}, "items": items}
    write_json(top, root / "annotations" / "train.json")
    content.images = len(NAMES) + extra(rng, root / "images" / "train")
    return content


COLOURS = np.array([(0, 0, 0), (90, 90, 90), (200, 0, 0)], dtype=np.uint8)


def _colour_pngs(bases: tuple[str, str], photos: str, listed: str | None) -> Callable:
    def make(root: Path, rng: np.random.Generator) -> Content:
        content = Content(classes=2)
        for k, name in enumerate(NAMES):
            classes, numbers = rng.integers(0, 3, SIZE), rng.integers(1, 3, SIZE)
            for base, values in zip(bases, (classes, numbers), strict=True):
                save(COLOURS[values], root / base / f"{name}.png")
            if exists(rng, k):
                photo(root / photos / f"{name}.png", SIZE)
                kept = classes > 0
                content.annotations += len(set(zip(classes[kept].tolist(), numbers[kept].tolist(), strict=True)))
            elif not listed:
                content.files += 1  # of instances
        content.images = len(NAMES)
        if listed:
            (root / listed).parent.mkdir(parents=True)
            (root / listed).write_text("\n".join([*NAMES, "bare"]))
            content.images += 1 + extra(rng, root / photos)
        else:
            content.images += extra(rng, root / photos, root / "images", root)
            content.files += alone(rng, root / "masks", root / "instances", root / "instances" / "train")
        (root / "labelmap.txt").write_text("road:90,90,90::\ncat:200,0,0::\n")
        return content

    return make


def object_masks(root: Path, rng: np.random.Generator) -> Content:
    content, used = Content(), set()
    for k in range(len(NAMES)):
        if exists(rng, k):
            photo(root / "images" / f"x{k}.png", SIZE)
        for n in some(rng) if k else range(2):
            label = LABELS[rng.integers(2)]
            used.add(label)
            save(
                (rng.random(SIZE) < [0, 0.3][rng.integers(2)]).astype(np.uint8),
                root / "masks" / f"x{k}" / label / f"{n}.png",
            )
            content.annotations += 1
        (root / "masks" / f"x{k}").mkdir(parents=True, exist_ok=True)
    content.images, content.classes = len(NAMES) + extra(rng, root / "images", root), len(used)
    return content


def darwin(root: Path, rng: np.random.Generator) -> Content:
    content, used = Content(), set()
    for k, name in enumerate(NAMES):
        if exists(rng, k):
            photo(root / "images" / f"{name}.png", SIZE)
        annotations = []
        for _ in some(rng) if k else range(2):
            label, kind = LABELS[rng.integers(2)], ["polygon", "line", "mask"][rng.integers(3)]
            used.add(label)
            path = [{"x": x, "y": y} for x, y in polygon(rng)]
            value = {"polygon": {"paths": [path]}, "line": {"path": path}, "mask": {}}[kind]
            annotations.append({"id": f"m{len(annotations)}", "name": label, kind: value})
        content.annotations += len(annotations)
        numbers = {own["id"]: n for n, own in enumerate(annotations, start=1) if "mask" in own}
        if numbers:
            area = SIZE[0] * SIZE[1]
            layer = {"dense_rle": [0, area - 2, 1, 2], "mask_annotation_ids_mapping": numbers, "total_pixels": area}
            annotations.append({"id": "l", "name": "__raster_layer__", "raster_layer": layer})
        slot = {"slot_name": "0", "type": "image", "width": SIZE[1], "height": SIZE[0]}
        folder, own = str(Path(name).parent), f"{Path(name).name}.png"
        item = {"name": own, "path": "/" if folder == "." else f"/{folder}", "slots": [slot]}
        write_json({"version": "2.0", "item": item, "annotations": annotations}, root / "items" / f"{k}.json")
    content.images, content.classes = len(NAMES) + extra(rng, root / "images"), len(used)
    return content


def encord(root: Path, rng: np.random.Generator) -> Content:
    content, used, units = Content(), set(), {}
    for k, name in enumerate(NAMES):
        if exists(rng, k):
            photo(root / "images" / f"{name}.png", SIZE)
        objects = []
        for _ in some(rng) if k else range(2):
            label, kind = LABELS[rng.integers(2)], ["polygon", "polyline", "bitmask"][rng.integers(3)]
            used.add(label)
            flat = [part for x, y in polygon(rng) for part in (x / SIZE[1], y / SIZE[0])]
            size = {"height": SIZE[0], "width": SIZE[1], "top": 0, "left": 0}
            value = {"polygon": [[flat]], "polyline": {}, "bitmask": size | {"rleString": "`2"}}[kind]
            key = "polygons" if kind == "polygon" else kind
            objects.append({"name": label, "shape": kind, "isDeleted": bool(rng.random() < 0.2), key: value})
        content.annotations += len(objects)
        size = {"width": SIZE[1], "height": SIZE[0]}
        units[str(k)] = {"data_title": f"{name}.png", "labels": {"objects": objects} if objects else {}} | size
    row = {"label_hash": "0", "data_type": "img_group", "data_units": units, "object_answers": {}}
    write_json([row], root / "labels.json")
    content.images, content.classes = len(NAMES) + extra(rng, root / "images", root), len(used)
    return content


def superannotate(root: Path, rng: np.random.Generator) -> Content:
    content, used = Content(), set()
    write_json([{"name": "cat"}], root / "classes" / "classes.json")
    for k, name in enumerate(NAMES):
        if exists(rng, k):
            photo(root / f"{name}.png", SIZE)
        instances = []
        for _ in some(rng) if k else range(2):
            label, kind = LABELS[rng.integers(2)], ["polygon", "polyline"][rng.integers(2)]
            used.add(label)
            flat = [value for point in polygon(rng) for value in point]
            row = {"type": kind, "className": label, "points": flat, "groupId": int(rng.integers(0, 2))}
            instances.append(row | ({"exclude": [[1, 1, 2, 1, 2, 2]]} if rng.random() < 0.3 else {}))
        content.annotations += len(instances)
        meta = {"name": f"{name}.png", "width": SIZE[1], "height": SIZE[0]}
        write_json({"instances": instances, "metadata": meta}, root / f"{name}.png.json")
    content.images, content.classes = len(NAMES) + extra(rng, root), len(used)
    return content


TOOL_MAKERS: dict[str, Callable[[Path, np.random.Generator], Content]] = {
    "label-studio": label_studio,
    "supervisely": supervisely,
    "segments-ai": segments_ai,
    "darwin": darwin,
    "encord": encord,
    "superannotate": superannotate,
    "datumaro": datumaro,
    "cvat-masks": _colour_pngs(
        ("SegmentationClass", "SegmentationObject"), "JPEGImages", "ImageSets/Segmentation/train.txt"
    ),
    "colour-masks": _colour_pngs(("masks/train", "instances/train"), "images/train", None),
    "object-masks": object_masks,
}
