"""Whatever `data check` accepts, training and scores read, and the reverse: a field of the JSON changed at a time."""

import json
from pathlib import Path

import numpy as np
import pytest

from labels.checked_folder import SIZE, clean_ids, edit, json_of, rows_of, write_folder, write_ids
from labels.tiny_labels import photo
from pantile.contracts.errors import UserError
from pantile.data import CocoPanoptic
from pantile.labels import ConvertOptions, ReadOptions, convert
from pantile.labels.checks.check import check
from pantile.score.sources import open_truth


def row(**fields):
    return lambda root: edit(root, lambda data: rows_of(data)[0].update(fields))


def without(*keys):
    return lambda root: edit(root, lambda data: [rows_of(data)[0].pop(key) for key in keys])


def category(**fields):
    """In both splits, whose classes must agree."""

    def plant(root: Path) -> None:
        for split in ("train", "val"):
            edit(root, lambda data: data["categories"][0].update(fields), split)

    return plant


def image(**fields):
    return lambda root: edit(root, lambda data: data["images"][0].update(fields))


def annotation(**fields):
    return lambda root: edit(root, lambda data: data["annotations"][0].update(fields))


def renamed(key: str, old: str, new: str):
    """A file, and the entry that names it."""

    def plant(root: Path) -> None:
        folder = root / ("train" if key == "images" else "annotations/panoptic_train")
        (folder / new).parent.mkdir(exist_ok=True)
        (folder / old).rename(folder / new)
        edit(root, lambda data: data[key][0].update(file_name=new))

    return plant


def both_ids(value):
    return lambda root: edit(
        root, lambda data: (data["images"][0].update(id=value), data["annotations"][0].update(image_id=value))
    )


def void(root: Path) -> None:
    write_ids(root, np.zeros(SIZE, dtype=np.int32))
    edit(root, lambda data: data["annotations"][0].update(segments_info=[]))


def with_bom(root: Path) -> None:
    json_of(root).write_text("\ufeff" + json_of(root).read_text(), encoding="utf-8")


def third(image_id: int, name: str, png: str):
    """One more pair of entries, with files."""

    def plant(root: Path) -> None:
        photo(root / "train" / name, SIZE, seed=77)
        write_ids(root, clean_ids(), name=Path(png).stem)
        edit(
            root,
            lambda data: (
                data["images"].append(data["images"][0] | {"id": image_id, "file_name": name}),
                data["annotations"].append(data["annotations"][0] | {"image_id": image_id, "file_name": png}),
            ),
        )

    return plant


HUGE = 10**30
#: name -> (plant, whether both take it)
TABLE = {
    "as it is": (lambda root: None, True),
    "iscrowd null": (row(iscrowd=None), True),
    "iscrowd missing": (without("iscrowd"), True),
    "iscrowd true": (row(iscrowd=True), True),
    "iscrowd false": (row(iscrowd=False), True),
    "iscrowd '0'": (row(iscrowd="0"), True),
    "iscrowd '1'": (row(iscrowd="1"), True),
    "iscrowd 'true'": (row(iscrowd="True"), True),
    "iscrowd 0.0": (row(iscrowd=0.0), True),
    "iscrowd 2": (row(iscrowd=2), False),
    "iscrowd -1": (row(iscrowd=-1), False),
    "iscrowd 0.5": (row(iscrowd=0.5), False),
    "iscrowd text": (row(iscrowd="no"), False),
    "iscrowd empty": (row(iscrowd=""), False),
    "iscrowd list": (row(iscrowd=[0]), False),
    "isthing true": (category(isthing=True), True),
    "isthing '1'": (category(isthing="1"), True),
    "isthing 1.0": (category(isthing=1.0), True),
    "isthing null": (category(isthing=None), False),
    "isthing 2": (category(isthing=2), False),
    "isthing text": (category(isthing="yes"), False),
    "isthing list": (category(isthing=[]), False),
    "isthing missing": (lambda root: edit(root, lambda d: d["categories"][0].pop("isthing")), False),
    "category extra": (category(supercategory="animal", frequency="r"), True),
    "category name number": (category(name=5), True),
    "category name null": (category(name=None), False),
    "category name empty": (category(name=""), False),
    "category name list": (category(name=["cat"]), False),
    "category name twice": (category(name="grass"), False),
    "category id text": (category(id="3"), False),
    "category id float": (category(id=3.0), False),
    "category id negative": (category(id=-3), False),
    "category id true": (category(id=True), False),
    "category is no object": (lambda root: edit(root, lambda d: d["categories"].append("dog")), False),
    "no categories": (lambda root: edit(root, lambda d: d.update(categories=[])), False),
    "color": (category(color=[1, 2, 3]), True),
    "color null": (category(color=None), True),
    "color empty": (category(color=[]), True),
    "color floats": (category(color=[1.0, 2.0, 3.0]), True),
    "color beyond": (category(color=[1, 2, 300]), False),
    "color text": (category(color="#ff0000"), False),
    "color texts": (category(color=["1", "2", "3"]), False),
    "color of two": (category(color=[1, 2]), False),
    "area missing": (without("area"), True),
    "area float": (row(area=48.0), True),
    "area null": (row(area=None), True),
    "box missing": (without("bbox"), True),
    "box floats": (row(bbox=[2.0, 0.0, 8.0, 6.0]), True),
    "area and box missing": (without("area", "bbox"), True),
    "segment extra": (row(score=0.5, attributes={"a": [1]}), True),
    "segment id text": (row(id="5"), False),
    "segment id float": (row(id=5.0), False),
    "segment id true": (row(id=True), False),
    "segment id null": (row(id=None), False),
    "segment id huge": (row(id=HUGE), False),
    "segment id missing": (without("id"), False),
    "segment category text": (row(category_id="3"), False),
    "segment category float": (row(category_id=3.0), False),
    "segment category list": (row(category_id=[3]), False),
    "segment category missing": (without("category_id"), False),
    "segment category huge": (row(category_id=HUGE), False),
    "segments_info empty": (void, True),
    "segments_info null": (annotation(segments_info=None), False),
    "segments_info object": (annotation(segments_info={}), False),
    "segment is no object": (lambda root: edit(root, lambda d: rows_of(d).append(5)), False),
    "image without size": (image(height=None, width=None), True),
    "image size floats": (image(height=12.0, width=20.0), True),
    "image extra": (image(license=1, coco_url="http://x"), True),
    "image id text": (both_ids("a"), True),
    "image id empty": (both_ids(""), True),
    "image id negative": (both_ids(-4), True),
    "image id huge": (both_ids(HUGE), True),
    "image id float": (both_ids(1.5), False),
    "image id null": (both_ids(None), False),
    "image id true": (both_ids(True), False),
    "image id list": (both_ids([1]), False),
    "image id number and text": (image(id="0"), False),
    "annotation extra": (annotation(id=4), True),
    "annotation twice": (lambda root: edit(root, lambda d: d["annotations"].append(d["annotations"][0])), False),
    "image twice": (lambda root: edit(root, lambda d: d["images"].append(d["images"][0])), False),
    "no annotation": (lambda root: edit(root, lambda d: d["annotations"].pop(0)), False),
    "no image": (lambda root: edit(root, lambda d: d["images"].pop(0)), False),
    "one more": (third(5, "c.png", "c.png"), True),
    "one photo, two ids": (third(5, "a.png", "c.png"), False),
    "one label, two ids": (third(5, "c.png", "a.png"), False),
    "photo in a folder": (renamed("images", "a.png", "sub/a.png"), True),
    "label in a folder": (renamed("annotations", "a.png", "sub/a.png"), True),
    "label .PNG": (renamed("annotations", "a.png", "a.PNG"), True),
    "label .tif": (renamed("annotations", "a.png", "a.tif"), False),
    "name with a dot": (image(file_name="./a.png"), True),
    "name up and down": (image(file_name="../train/a.png"), False),
    "name through a folder": (image(file_name="sub/../a.png"), False),
    "name absolute": (image(file_name="/a.png"), False),
    "name of Windows": (image(file_name="C:\\a.png"), False),
    "name with backslashes": (image(file_name="..\\a.png"), False),
    "name with a line": (renamed("images", "a.png", "a\nb.png"), False),
    "name with a null": (image(file_name="a.png\0"), False),
    "half a surrogate": (image(file_name="\ud800.png"), False),
    "name is a dot": (image(file_name="."), False),
    "name empty": (image(file_name=""), False),
    "name null": (image(file_name=None), False),
    "name number": (image(file_name=5), False),
    "name missing": (lambda root: edit(root, lambda d: d["images"][0].pop("file_name")), False),
    "byte order mark": (with_bom, True),
    "top level extra": (lambda root: edit(root, lambda d: d.update(licenses=[], info=None)), True),
    "no image at all": (lambda root: edit(root, lambda d: d.update(images=[], annotations=[])), False),
    "images null": (lambda root: edit(root, lambda d: d.update(images=None)), False),
    "digits without end": (
        lambda root: json_of(root).write_text(json_of(root).read_text().replace('"area": 48', f'"area": {"9" * 5000}')),
        False,
    ),
    "not a number": (
        lambda root: json_of(root).write_text(json_of(root).read_text().replace('"iscrowd": 0', '"iscrowd": NaN')),
        False,
    ),
}


def read_all(root: Path) -> bool:
    try:
        data = CocoPanoptic(root, "train")
        for index in range(len(data)):
            data.load(index)
    except UserError as error:
        assert "\n" not in str(error) and len(str(error)) < 1000
        return False
    return len(data) > 0  # a training refuses an empty one


def accepted(root: Path) -> bool:
    try:
        return check(root).errors == 0
    except UserError as error:
        assert "\n" not in str(error) and len(str(error)) < 1000
        return False


@pytest.mark.parametrize("name", TABLE)
def test_both_take_it_or_neither_does(tmp_path, name):
    plant, good = TABLE[name]
    root = write_folder(tmp_path / "in")
    plant(root)
    assert read_all(root) == good
    assert accepted(root) == good


#: what only concerns photos, or the colours of classes: no score depends on it, so none is refused for it
NOT_SCORED = {name for name, (_, good) in TABLE.items() if not good and name.startswith(("color", "name "))}
NOT_SCORED |= {"image id number and text", "image twice", "no image", "one photo, two ids", "images null"}
NOT_SCORED |= {"no image at all", "no annotation"}


def scored(root: Path) -> bool:
    """As ground truth."""
    try:
        maps = open_truth(json_of(root))
        for index in range(len(maps.names)):
            maps.load(index)
    except UserError as error:
        assert "\n" not in str(error) and len(str(error)) < 1000
        return False
    return True


@pytest.mark.parametrize("name", TABLE)
def test_a_score_takes_what_they_take(tmp_path, name):
    plant, good = TABLE[name]
    root = write_folder(tmp_path / "in")
    plant(root)
    assert scored(root) == (good or name in NOT_SCORED)


@pytest.mark.parametrize("name", [name for name, (_, good) in TABLE.items() if good])
def test_what_is_read_can_be_converted(tmp_path, name):
    root = write_folder(tmp_path / "in")
    TABLE[name][0](root)
    convert(root, tmp_path / "out", ConvertOptions("coco-panoptic", read=ReadOptions(("train",))))
    assert read_all(tmp_path / "out") and accepted(tmp_path / "out")
    data = json.loads(json_of(tmp_path / "out").read_text())
    assert all(own["iscrowd"] in (0, 1) for own in rows_of(data))
