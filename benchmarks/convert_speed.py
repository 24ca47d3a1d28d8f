"""Time per image of ``pantile data convert``, and two processes against one.

    python benchmarks/convert_speed.py [--images 10000] [--size 480 640] [--repeats 1]

Generates images with twenty polygons each as COCO instances, converts them to COCO-panoptic with one process and with
two, in turns, and prints the seconds per image of each (the least of the repeats) and their ratio.
"""

import argparse
import json
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

from pantile.labels import ConvertOptions, convert

OBJECTS = 20


def write(root: Path, images: int, size: tuple[int, int]) -> None:
    """JPEGs of smooth noise, and ellipses as polygons of 40 points."""
    rng, (height, width) = np.random.default_rng(0), size
    (root / "train").mkdir(parents=True)
    (root / "annotations").mkdir()
    entries, annotations = [], []
    angles = np.linspace(0, 2 * np.pi, 40, endpoint=False)
    for index in range(images):
        small = rng.integers(0, 256, (height // 16, width // 16, 3), dtype=np.uint8)
        Image.fromarray(small).resize((width, height)).save(root / "train" / f"{index:06d}.jpg")
        entries.append({"id": index, "file_name": f"{index:06d}.jpg", "height": height, "width": width})
        for _ in range(OBJECTS):
            x, y, rx, ry = rng.uniform((0, 0, 5, 5), (width, height, width / 8, height / 8))
            points = np.stack([x + rx * np.cos(angles), y + ry * np.sin(angles)], -1).clip(0, (width, height))
            row = {"id": len(annotations), "image_id": index, "category_id": 1 + int(rng.integers(3)), "iscrowd": 0}
            annotations.append(row | {"segmentation": [points.round(2).ravel().tolist()]})
    categories = [{"id": k, "name": f"class {k}", "isthing": 1} for k in (1, 2, 3)]
    data = {"images": entries, "annotations": annotations, "categories": categories}
    (root / "annotations" / "instances_train.json").write_text(json.dumps(data))


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--images", type=int, default=10_000)
    parser.add_argument("--size", type=int, nargs=2, default=(480, 640), metavar=("HEIGHT", "WIDTH"))
    parser.add_argument("--repeats", type=int, default=1)
    args = parser.parse_args()
    seconds: dict[int, list[float]] = {1: [], 2: []}
    with tempfile.TemporaryDirectory() as top:
        write(Path(top, "src"), args.images, tuple(args.size))
        for repeat in range(args.repeats):
            for workers in seconds:
                options = ConvertOptions("coco-instances", overlap="last-on-top", link=True, workers=workers)
                start = time.perf_counter()
                convert(Path(top, "src"), Path(top, f"dst{workers}_{repeat}"), options)
                seconds[workers].append(time.perf_counter() - start)
    for workers, own in seconds.items():
        print(f"{workers} process(es): {1000 * min(own) / args.images:.1f} ms per image, {min(own):.1f} s in all")
    print(f"two are {min(seconds[1]) / min(seconds[2]):.2f} times as fast as one")


if __name__ == "__main__":
    main()
