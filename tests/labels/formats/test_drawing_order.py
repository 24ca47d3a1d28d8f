"""One drawing order for all readers, the file's: random rectangles against a painter that follows the file."""

from pathlib import Path

import numpy as np
import pytest

from labels.tiny_labels import box, result, run, write_cvat, write_instances, write_labelme, write_yolo

SIZE = (8, 16)  # powers of two: shares of them are exact
NAMES = ("cat", "grass")  # a thing and stuff


def rectangles(seed: int) -> list[tuple[int, int, int, int, int]]:
    """(class, left, top, right, bottom), which overlap in every way."""
    rng = np.random.default_rng(seed)
    rows = [(0, 1, 1, 5, 4), (1, 3, 2, 9, 6)]
    for _ in range(5):
        left, top = int(rng.integers(0, 12)), int(rng.integers(0, 6))
        rows.append((int(rng.integers(0, 2)), left, top, left + int(rng.integers(2, 6)), top + int(rng.integers(2, 4))))
    return rows


def painted(rows: list[tuple], crowd: list[bool]) -> set[tuple]:
    """Later ones hide earlier ones; all grass is one segment, every cat its own."""
    owner = np.full(SIZE, -1)
    for k, (_, left, top, right, bottom) in enumerate(rows):
        owner[top:bottom, left:right] = k
    segments: dict[tuple, list[int]] = {}
    for k, (kind, *_) in enumerate(rows):
        key = ("cat", crowd[k], k) if kind == 0 else ("grass", False, -1)
        segments.setdefault(key, []).extend(np.flatnonzero(owner == k).tolist())
    return {(name, flag, tuple(sorted(pixels))) for (name, flag, _), pixels in segments.items() if pixels}


def coco(root: Path, rows: list[tuple], crowd: list[bool]) -> Path:
    own = [
        {"segmentation": [box(*corners)], "category_id": (3, 7)[kind], "iscrowd": int(crowd[k])}
        for k, (kind, *corners) in enumerate(rows)
    ]
    return write_instances(root, own, SIZE)


def labelme(root: Path, rows: list[tuple], crowd: list[bool]) -> Path:
    shapes = [
        {"label": NAMES[kind], "shape_type": "rectangle", "points": [[left, top], [right, bottom]]}
        for kind, left, top, right, bottom in rows
    ]
    return write_labelme(root, shapes, SIZE)


def cvat(root: Path, rows: list[tuple], crowd: list[bool]) -> Path:
    """Listed in another order than ``z_order`` says, which two shapes share."""
    texts = [
        f'<box label="{NAMES[kind]}" xtl="{left}" ytl="{top}" xbr="{right}" ybr="{bottom}" z_order="{k // 2}"/>'
        for k, (kind, left, top, right, bottom) in enumerate(rows)
    ]
    return write_cvat(root, "".join([*texts[4:], *texts[:4]]), SIZE)


def yolo(root: Path, rows: list[tuple], crowd: list[bool]) -> Path:
    lines = []
    for kind, *corners in rows:
        flat = box(*corners)
        lines.append(" ".join([str(kind), *(str(v / SIZE[1 - k % 2]) for k, v in enumerate(flat))]))
    return write_yolo(root, lines, SIZE)


@pytest.mark.parametrize(
    ("source", "write"), [("coco-instances", coco), ("labelme", labelme), ("cvat", cvat), ("yolo-seg", yolo)]
)
def test_last_on_top_is_the_file_s_order(tmp_path, source, write):
    for seed in range(12):
        rows = rectangles(seed)
        crowd = [source == "coco-instances" and kind == 0 and k % 2 == 0 for k, (kind, *_) in enumerate(rows)]
        src, dst = write(tmp_path / f"src{seed}", rows, crowd), tmp_path / f"dst{seed}"
        run(src, dst, source, overlap="last-on-top", stuff=("grass",))
        assert result(dst) == painted(rows, crowd), (source, seed)
