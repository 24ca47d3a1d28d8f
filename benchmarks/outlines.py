"""Things of a data set written as COCO polygons, along the edges of pixels and through their centres, and read again.

    python benchmarks/outlines.py DATA [--split val]

A thing becomes a polygon for each of its connected pieces (pixels that touch at a side), without holes, and comes back
through ``pantile.labels.convert`` with the smaller object on top. Prints the mean IoU of the things per size class, of
what came back against what was written, for outlines along edges, through centres with areas that say so, and through
centres that nobody tells apart.
"""

import argparse
import json
import tempfile
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from scipy import ndimage

from claims import Claims
from pantile.contracts.panoptic import PanopticMap
from pantile.data import CocoPanoptic, open_dataset
from pantile.labels import ConvertOptions, ReadOptions, convert
from pantile.labels.statistics import size_of

Point = tuple[int, int]
CASES = (("edges", None), ("centres", None), ("centres", "edges"))


def loop_of(piece: np.ndarray) -> list[tuple[Point, Point]]:
    """The outer boundary of a connected piece, clockwise: corners (x, y), each with the pixel to the right of it."""
    steps: dict[Point, list[tuple[Point, Point]]] = defaultdict(list)
    padded = np.pad(piece, 1)
    for dx, dy, start, end in (
        (0, -1, (0, 0), (1, 0)),
        (1, 0, (1, 0), (1, 1)),
        (0, 1, (1, 1), (0, 1)),
        (-1, 0, (0, 1), (0, 0)),
    ):
        beside = np.roll(padded, (-dy, -dx), (0, 1))[1:-1, 1:-1]
        for y, x in np.argwhere(piece & ~beside).tolist():
            steps[x + start[0], y + start[1]].append(((x + end[0], y + end[1]), (x, y)))
    y, x = np.argwhere(piece)[0].tolist()  # the first of the top row: its upper edge is of the outer boundary
    at, loop, before = (x, y), [], (0, -1)
    while True:
        ways = steps[at]
        # where two pixels touch at a corner, the right turn stays at this one
        chosen = max(ways, key=lambda way: before[0] * (way[0][1] - at[1]) - before[1] * (way[0][0] - at[0]))
        ways.remove(chosen)
        loop.append((at, chosen[1]))
        before, at = (chosen[0][0] - at[0], chosen[0][1] - at[1]), chosen[0]
        if at == (x, y):
            return loop


def polygons(mask: np.ndarray, kind: str) -> Iterator[list[int]]:
    """Flat polygons of the pieces of a mask; of pieces without three centres there are none."""
    labels, _ = ndimage.label(mask)
    for number, (rows, columns) in enumerate(ndimage.find_objects(labels), start=1):
        loop = loop_of(labels[rows, columns] == number)
        points = [corner for corner, _ in loop] if kind == "edges" else [pixel for _, pixel in loop]
        points = [point for k, point in enumerate(points) if point != points[k - 1]]
        if len(points) >= 3:
            yield [value for x, y in points for value in (x + columns.start, y + rows.start)]


def write(dataset: CocoPanoptic, folder: Path, kind: str) -> None:
    images, annotations = [], []
    for index in range(len(dataset)):
        panoptic, name = dataset.load_map(index), f"{index}.png"
        height, width = panoptic.size
        images.append({"id": index, "file_name": name, "height": height, "width": width})
        (folder / "train").mkdir(parents=True, exist_ok=True)
        (folder / "train" / name).write_bytes(dataset.image_path(index).read_bytes())
        for segment in things(panoptic, dataset):
            mask = panoptic.ids == segment.id
            row = {"id": len(annotations), "image_id": index, "iscrowd": 0, "area": int(mask.sum())}
            row["category_id"] = dataset.taxonomy.classes[segment.class_index].id
            annotations.append(row | {"segmentation": list(polygons(mask, kind))})
    categories = [c for c in dataset.taxonomy.to_coco() if c["isthing"]]
    (folder / "annotations").mkdir()
    data = {"images": images, "annotations": annotations, "categories": categories}
    (folder / "annotations" / "instances_train.json").write_text(json.dumps(data))


def things(panoptic: PanopticMap, dataset: CocoPanoptic) -> list:
    classes = dataset.taxonomy.classes
    return [s for s in panoptic.segments if classes[s.class_index].is_thing and not s.is_crowd]


def overlaps(true: PanopticMap, read: PanopticMap, dataset: CocoPanoptic) -> Iterator[tuple[int, float]]:
    """Pixels of every thing, and its IoU with what it came back as; 0 for one that did not."""
    areas = dict(zip(*np.unique(read.ids, return_counts=True), strict=True))
    for segment in things(true, dataset):
        mask = true.ids == segment.id
        ids, counts = np.unique(read.ids[mask], return_counts=True)
        shared = [(n / (areas[i] + mask.sum() - n)) for i, n in zip(ids, counts, strict=True) if i]
        yield int(mask.sum()), max(shared, default=0.0)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("data", type=Path)
    parser.add_argument("--split", default="val")
    args = parser.parse_args()
    dataset, claims = open_dataset(args.data, args.split), Claims()
    print(f"{'outlines':<10}{'read along':<12}{'small':>8}{'medium':>8}{'large':>8}{'all':>8}{'things':>8}")
    means = {}
    for kind, said in CASES:
        with tempfile.TemporaryDirectory() as top:
            write(dataset, Path(top, "src"), kind)
            options = ConvertOptions("coco-instances", read=ReadOptions(outline=said), overlap="smaller-on-top")
            convert(Path(top, "src"), Path(top, "dst"), options)
            back = CocoPanoptic(Path(top, "dst"), "train")
            rows = [
                row for k in range(len(dataset)) for row in overlaps(dataset.load_map(k), back.load_map(k), dataset)
            ]
        of_size = defaultdict(list)
        for area, iou in rows:
            of_size[size_of(area)].append(iou)
        every = [iou for _, iou in rows]
        own = [
            float(np.mean(of_size[size])) if of_size[size] else float("nan") for size in ("small", "medium", "large")
        ]
        means[kind, said] = float(np.mean(every))
        print(
            f"{kind:<10}{said or 'its areas':<12}"
            + "".join(f"{v:8.3f}" for v in [*own, means[kind, said]])
            + f"{len(rows):8}"
        )
    claims.at_least("mean IoU along edges", means["edges", None], 0.995)
    claims.at_least("mean IoU through centres, told by areas", means["centres", None], 0.995)
    claims.finish()


if __name__ == "__main__":
    main()
