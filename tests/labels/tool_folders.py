"""A small folder of each format of annotation tools, from the recordings: what ``test_bad_input`` corrupts."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np

from labels.recordings import RECORDINGS
from labels.tiny_labels import photo, save


def copied(*parts: str) -> Callable[[Path], object]:
    """Files and folders of a recording."""

    def make(root: Path) -> None:
        for part in parts:
            source = RECORDINGS / part
            if source.is_dir():
                shutil.copytree(source, root, dirs_exist_ok=True)
            else:
                root.mkdir(parents=True, exist_ok=True)
                shutil.copy(source, root)

    return make


def one_task(root: Path) -> None:
    """Without the tasks that say little."""
    (root / "images").mkdir(parents=True)
    shutil.copy(RECORDINGS / "label_studio" / "images" / "00000000-yard.png", root / "images")
    tasks = json.loads((RECORDINGS / "label_studio" / "export.json").read_text())
    (root / "export.json").write_text(json.dumps(tasks[:1]))


def object_masks(root: Path) -> None:
    photo(root / "images" / "a.png")
    save(np.eye(8, 10, dtype=np.uint8), root / "masks" / "a" / "cell" / "0.png")


def darwin_items(root: Path) -> None:
    shutil.copytree(RECORDINGS / "darwin" / "items", root)
    for name in ("a.png", "b.png"):
        photo(root / "images" / name, (30, 48))


def encord_rows(root: Path) -> None:
    root.mkdir(parents=True)
    shutil.copy(RECORDINGS / "encord" / "labels.json", root)
    for name in ("a.png", "b.png", "c.png"):
        photo(root / "images" / name, (30, 48))


def superannotate_images(root: Path) -> None:
    (root / "classes").mkdir(parents=True)
    for name in ("a.png", "b.png"):
        shutil.copy(RECORDINGS / "superannotate" / f"{name}.json", root)
        photo(root / name, (30, 48))


TOOL_FOLDERS: dict[str, Callable[[Path], object]] = {
    "label-studio": one_task,
    "supervisely": copied("supervisely/project"),
    "segments-ai": copied("segments_ai/yard-v1.json", "segments_ai/segments/owner_yard/v1"),
    "darwin": darwin_items,
    "encord": encord_rows,
    "superannotate": superannotate_images,
    "datumaro": copied("datumaro/json"),
    "cvat-masks": copied("datumaro/masks"),
    "colour-masks": lambda root: (
        photo(root / "images" / "a.png"),
        save(np.full((8, 10, 3), 9, dtype=np.uint8), root / "masks" / "a.png"),
        (root / "class_dict.csv").write_text("name,r,g,b\ncat,9,9,9\n"),
    ),
    "object-masks": object_masks,
}
