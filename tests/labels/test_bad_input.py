"""A seeded fuzzer over every format: one sentence or a complete target, never a traceback, never a file elsewhere."""

import hashlib
import json
import os
import random
import re
import shutil
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from labels.tiny_labels import (
    MapData,
    box,
    counts_text,
    instances_json,
    png_text,
    random_map,
    run,
    save,
    write_ade20k_full,
    write_cvat,
    write_instances,
    write_json,
    write_labelme,
    write_pairs,
    write_rgb_labels,
    write_yolo,
)
from pantile.contracts.errors import UserError
from pantile.data import CocoPanoptic, write_coco_panoptic
from time_limit import within

CASES_PER_FORMAT = 60
WEIRD = [
    None, True, -1, 0, 1, 2**70, -(2**40), 1.5, float("nan"), float("inf"), 1e300, "", "x", "3", "\ud800", "a\0b", [],
    {}, [[]], [None], [1, "2"], {"a": 1}, "../../evil.png", "/etc/passwd",
    "..\\..\\evil.png", "C:\\evil.png", "a" * 5000,
    "[bold]", "[/x]", "9" * 21, [[[[[]]]]], "\n", ".", "..", "a.png/../../../evil.png",
]  # fmt: skip


def labelme_folder(root: Path) -> None:
    patch = np.full((3, 2), 255, dtype=np.uint8)
    shapes = [
        {"points": [[2, 1], [6, 1], [6, 4], [2, 4]]},
        {"points": [[0, 5], [1, 7]], "shape_type": "mask", "mask": png_text(patch), "group_id": 2},
        {"points": [[9, 7], [7, 5]], "shape_type": "rectangle"},
        {"points": [[8, 2], [8, 1]], "shape_type": "circle"},
    ]
    write_labelme(root, shapes)


def instances_folder(root: Path) -> None:
    annotations = [
        {"segmentation": [box(2, 1, 6, 4)], "area": 12, "bbox": [2, 1, 4, 3]},
        {"segmentation": {"size": [8, 10], "counts": [5, 3, 72]}, "iscrowd": 1},
        {"segmentation": {"size": [8, 10], "counts": counts_text()}, "category_id": 7},
    ]
    write_instances(root, annotations)
    stuff = instances_json([]) | {"categories": [{"id": 9, "name": "sand"}]}
    write_json(stuff, root / "annotations" / "stuff_train.json")
    save(np.full((8, 10), 9, dtype=np.uint8), root / "annotations" / "stuff_train_pixelmaps" / "a.png")


def cvat_folder(root: Path) -> None:
    shapes = """<polygon label="cat" points="2.0,1.0;6.0,1.0;6.0,4.0" z_order="0" group_id="1"></polygon>
    <box label="grass" xtl="7" ytl="5" xbr="9" ybr="7" z_order="0" rotation="30"></box>
    <ellipse label="cat" cx="3" cy="6" rx="2" ry="1" z_order="1"></ellipse>
    <mask label="cat" rle="1, 2, 2, 1" left="0" top="5" width="3" height="2" z_order="0"></mask>"""
    write_cvat(root, shapes)


def yolo_folder(root: Path) -> None:
    write_yolo(root, ["0 0.2 0.125 0.6 0.125 0.6 0.5 0.2 0.5", "1 0 0.625 1 0.625 1 1 0 1"])


def panoptic_folder(root: Path) -> None:
    write_coco_panoptic(MapData([random_map(3), random_map(8)]), root, "train")


BLOCKS = np.array([[3, 3, 7], [3, 0, 7]], dtype=np.uint8)
NUMBERS = np.array([[1, 2, 0], [1, 0, 0]], dtype=np.uint8)
FOLDERS: dict[str, Callable[[Path], object]] = {
    "coco-instances": instances_folder,
    "two-channel": lambda root: write_rgb_labels(root, "annotations/panoptic_2ch_train", BLOCKS, NUMBERS),
    "png-pairs": lambda root: write_pairs(root, BLOCKS, NUMBERS),
    "semantic": lambda root: write_pairs(root, BLOCKS, None),
    "labelme": labelme_folder,
    "yolo-seg": yolo_folder,
    "three-channel": lambda root: write_rgb_labels(root, "annotations/train", BLOCKS, NUMBERS),
    "cvat": cvat_folder,
    "ade20k-full": lambda root: write_ade20k_full(root, BLOCKS.astype(int), NUMBERS, {3: "cat", 7: "sky"}),
    "coco-panoptic": panoptic_folder,
}


def corrupt_json(path: Path, rng: random.Random) -> None:
    data = json.loads(path.read_text())
    places = []

    def walk(value: object) -> None:
        items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
        for key, child in items:
            places.append((value, key))
            walk(child)

    walk(data)
    for _ in range(rng.choice([1, 1, 1, 2])):
        parent, key = rng.choice(places)
        kind = rng.choice(["replace", "replace", "replace", "delete", "double", "text"])
        if (isinstance(parent, dict) and key not in parent) or (isinstance(parent, list) and key >= len(parent)):
            continue
        if kind == "delete":
            del parent[key]
        elif kind == "double" and isinstance(parent, list):
            parent.append(parent[key])
        elif kind == "text":
            parent[key] = str(parent[key])
        else:
            parent[key] = rng.choice(WEIRD)
    path.write_text(json.dumps(data))


def corrupt_text(path: Path, rng: random.Random) -> None:
    text = path.read_text()
    kind = rng.choice(["number", "number", "quoted", "cut", "byte", "line", "word"])
    weird = rng.choice(
        ["-1", "nan", "1e400", "abc", "", "../../evil.png", "/etc/passwd", "9" * 50, "a\tb", "&amp;", "[1, 2]", "~"]
    )
    if kind == "cut":
        text = text[: rng.randrange(len(text))]
    elif kind == "line":
        lines = text.splitlines()
        lines.insert(rng.randrange(len(lines) + 1), rng.choice(lines) if lines else "")
        text = "\n".join(lines)
    elif kind == "byte":
        position = rng.randrange(len(text) + 1)
        path.write_bytes(text.encode()[:position] + bytes([rng.randrange(256)]) + text.encode()[position:])
        return
    else:
        pattern = {"number": r"[0-9.]+", "quoted": r'(?<=")[^"<>]*(?=")', "word": r"[a-z_]+"}[kind]
        found = list(re.finditer(pattern, text))
        if found:
            chosen = rng.choice(found)
            text = text[: chosen.start()] + weird + text[chosen.end() :]
    path.write_text(text)


def corrupt_image(path: Path, rng: random.Random) -> None:
    content = path.read_bytes()
    kind = rng.choice(["cut", "cut", "byte", "byte", "mode", "size", "values", "empty", "text"])
    if kind == "cut":
        path.write_bytes(content[: rng.randrange(len(content))])
    elif kind == "byte":
        position = rng.randrange(8, min(len(content), 80))
        path.write_bytes(content[:position] + bytes([rng.randrange(256)]) + content[position + 1 :])
    elif kind == "mode":
        Image.open(path).convert(rng.choice(["1", "L", "RGB", "RGBA", "P", "I", "F", "LA", "CMYK"])).save(path, "TIFF")
    elif kind == "size":
        Image.open(path).resize((rng.randint(1, 20), rng.randint(1, 20))).save(path)
    elif kind == "values":
        image = np.array(Image.open(path))
        image[rng.randrange(len(image))] = rng.randrange(256)
        Image.fromarray(image).save(path)
    else:
        path.write_bytes(b"" if kind == "empty" else b"not an image")


def corrupt(src: Path, rng: random.Random) -> None:
    files = sorted(path for path in src.rglob("*") if path.is_file())
    path = rng.choice(
        [file for file in files if file.suffix in rng.choice([(".json", ".txt", ".xml", ".yaml"), (".png",)])] or files
    )
    chance = rng.random()
    if chance < 0.06:
        path.unlink()
    elif chance < 0.1:
        path.unlink()
        path.mkdir()
    elif path.suffix in (".png", ".jpg"):
        corrupt_image(path, rng)
    elif path.suffix == ".json" and chance < 0.85:
        corrupt_json(path, rng)
    else:
        corrupt_text(path, rng)


def fingerprint(root: Path) -> dict[str, str]:
    return {
        str(path.relative_to(root)): hashlib.sha1(path.read_bytes()).hexdigest() if path.is_file() else "folder"
        for path in root.rglob("*")
    }


@pytest.mark.parametrize("source", FOLDERS)
def test_corrupted_input(source, tmp_path):
    """Refused with one sentence that names the place, or converted whole; all other files stay as they are."""
    rng = random.Random(f"{source} 7")
    outcomes = {"refused": 0, "converted": 0}
    FOLDERS[source](tmp_path / "good")
    for case in range(CASES_PER_FORMAT):
        room = tmp_path / f"case{case}"
        src, dst = room / "src", room / "dst"
        shutil.copytree(tmp_path / "good", src)
        corrupt(src, rng)
        before = fingerprint(room)
        target = rng.choice(["coco-panoptic", "coco-panoptic", "two-channel", "coco-instances", "png-pairs"])
        rule = rng.choice(["last-on-top", "smaller-on-top", "error"])
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                run(src, dst, source, target, overlap=rule)
        except UserError as error:
            sentence = str(error)
            assert "\n" not in sentence and len(sentence) < 1000, sentence
            assert str(room) in sentence or "id 0 and 65535" in sentence, sentence
            assert fingerprint(room) == before
            outcomes["refused"] += 1
            continue
        after = fingerprint(room)
        assert {name: digest for name, digest in after.items() if not name.startswith("dst")} == before
        assert (dst / "convert_report.json").is_file()
        if target == "coco-panoptic":
            read_whole(dst)
        outcomes["converted"] += 1
        shutil.rmtree(room)
    assert outcomes["refused"] > CASES_PER_FORMAT // 4, outcomes
    assert outcomes["converted"] > 3, outcomes


def read_whole(dst: Path) -> None:
    for path in (dst / "annotations").glob("panoptic_*.json"):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            data = CocoPanoptic(dst, path.stem.removeprefix("panoptic_"))
        for k in range(len(data)):
            data.load_map(k)


@pytest.mark.parametrize("name", ["../evil.png", "/etc/passwd", "..\\evil.png", "x/../../evil.png", "..", "."])
def test_file_names_that_lead_outside(tmp_path, name):
    src = tmp_path / "src"
    write_instances(src, [])
    save(np.zeros((8, 10, 3), dtype=np.uint8), src / "evil.png")
    data = instances_json([], names=(name,))
    write_json(data, src / "annotations" / "instances_train.json")
    with pytest.raises(UserError, match="not inside"):
        run(src, tmp_path / "dst", "coco-instances")
    panoptic_folder(tmp_path / "panoptic")
    path = tmp_path / "panoptic" / "annotations" / "panoptic_train.json"
    good = json.loads(path.read_text())
    for key in ("images", "annotations"):
        bad = json.loads(json.dumps(good))
        bad[key][0]["file_name"] = name
        write_json(bad, path)
        with pytest.raises(UserError, match="leads out of its folder"):
            run(tmp_path / "panoptic", tmp_path / "dst", "coco-panoptic")
    assert not (tmp_path / "dst").exists()


def test_duplicate_image_ids(tmp_path):
    src = write_instances(tmp_path / "src", [])
    data = instances_json([], names=("a.png", "b.png"))
    data["images"][1]["id"] = 1
    write_json(data, src / "annotations" / "instances_train.json")
    with pytest.raises(UserError, match="lists the image id 1 twice"):
        run(src, tmp_path / "dst", "coco-instances")


def test_duplicate_ids_among_many_images_are_found_at_once(tmp_path):
    src = write_instances(tmp_path / "src", [])
    data = instances_json([], names=("a.png",))
    data["images"] = [data["images"][0] | {"id": number} for number in (*range(20_000), 19_999)]
    write_json(data, src / "annotations" / "instances_train.json")
    start = time.process_time()
    with pytest.raises(UserError, match="lists the image id 19999 twice"):
        run(src, tmp_path / "dst", "coco-instances")
    assert time.process_time() - start < 2  # comparing each with each takes 5


def test_two_images_of_one_name_in_the_target(tmp_path):
    src = tmp_path / "src"
    for name in ("x/a.png", "x_a.png"):
        save(np.zeros((8, 10, 3), dtype=np.uint8), src / "train" / name)
    write_json(instances_json([], names=("x/a.png", "x_a.png")), src / "annotations" / "instances_train.json")
    with pytest.raises(UserError, match="would both have the name 'x_a'"):
        run(src, tmp_path / "dst", "coco-instances")


def test_the_target_must_be_new_or_empty(tmp_path):
    src = write_instances(tmp_path / "src", [])
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").write_text("mine")
    for dst in (tmp_path / "full", tmp_path / "full" / "mine.txt", src):
        with pytest.raises(UserError, match="not an empty folder"):
            run(src, dst, "coco-instances")
    (tmp_path / "empty").mkdir()
    run(src, tmp_path / "empty", "coco-instances")
    assert (tmp_path / "empty" / "annotations" / "panoptic_train.json").is_file()
    assert (tmp_path / "full" / "mine.txt").read_text() == "mine"


def test_a_failure_at_the_last_image_leaves_nothing(tmp_path):
    panoptic_folder(tmp_path / "src")
    (tmp_path / "src" / "annotations" / "panoptic_train" / "image1.png").write_bytes(b"cut short")
    with pytest.raises(UserError, match=r"image1\.png"):
        run(tmp_path / "src", tmp_path / "dst", "coco-panoptic")
    assert [path.name for path in tmp_path.iterdir()] == ["src"]


def test_an_interruption_leaves_nothing(tmp_path, monkeypatch):
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    panoptic_folder(tmp_path / "src")
    monkeypatch.setattr("shutil.copyfile", interrupt)
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "src", tmp_path / "dst", "coco-panoptic")
    assert [path.name for path in tmp_path.iterdir()] == ["src"]


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"source": "labelm"}, "did you mean labelme"),
        ({"source": "labelme", "target": "yolo-seg"}, "--to 'yolo-seg' is not known"),
        ({"source": "labelme", "overlap": "smallest"}, "--overlap 'smallest' is not known"),
        ({"source": "labelme", "splits": ("../x",)}, "--split '../x' is not the name of a split"),
        ({"source": "yolo-seg", "classes": Path("x.txt")}, "--classes does not apply to yolo-seg"),
    ],
)
def test_options_that_make_no_sense(tmp_path, options, problem):
    labelme_folder(tmp_path / "src")
    with pytest.raises(UserError, match=re.escape(problem)):
        run(
            tmp_path / "src", tmp_path / "dst", options.pop("source"), options.pop("target", "coco-panoptic"), **options
        )


@pytest.mark.parametrize("source", FOLDERS)
def test_pipes_are_refused_and_not_waited_for(source: str, tmp_path: Path) -> None:
    """Each file of a folder in turn; a label or a photo that is a pipe is never left out in silence."""
    src = tmp_path / "src"
    FOLDERS[source](src)
    for path in sorted(p for p in src.rglob("*") if p.is_file()):
        content = path.read_bytes()
        path.unlink()
        os.mkfifo(path)
        with within(5), pytest.raises(UserError) as told:
            run(src, tmp_path / "dst", source, overlap="last-on-top")
        assert path.name in str(told.value), told.value
        path.unlink()
        path.write_bytes(content)
    assert run(src, tmp_path / "dst", source, overlap="last-on-top").images == {"train": 2 if "coco-p" in source else 1}
