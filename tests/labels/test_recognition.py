"""``--from auto``: a format is recognised from its files, nothing is taken for two, and a wrong name has a remedy."""

import json
from pathlib import Path

import numpy as np
import pytest

from data.official_folders import write_ade20k, write_cityscapes
from data.semantic_folders import write_coco_stuff_164k, write_pascal_context
from labels.checked_folder import write_folder
from labels.full_folders import MAKERS
from labels.tiny_labels import photo, run, save, write_cvat, write_instances, write_json, write_labelme, write_yolo
from pantile.contracts.errors import UserError
from pantile.data import LAYOUTS
from pantile.labels import READERS
from pantile.labels.recognition import AUTO, choose_format, recognise

#: read the files of another format in another way, so that a person has to ask for them
VARIANTS = {"ade20k-847", "coco-lvis-as-published", "pascal-context-59"}


def test_every_format_says_what_is_its_own():
    silent = {name for name, reader in READERS.items() if reader.fits is None}
    assert silent - LAYOUTS.keys() == VARIANTS


@pytest.mark.parametrize("source", sorted(MAKERS))
@pytest.mark.parametrize("seed", range(3))
def test_a_folder_is_recognised_as_its_format_alone(tmp_path, source, seed):
    MAKERS[source](tmp_path, np.random.default_rng(seed))
    assert [seen.name for seen in recognise(tmp_path)] == [source]


def layouts() -> dict:
    codes = np.array([[7000, 26001], [26002, 7000]])
    return {
        "cityscapes": lambda root: write_cityscapes(root, "val", {"a_0_0": codes}),
        "pascal-context": lambda root: write_pascal_context(root, "val", {"a": np.ones((2, 2))}),
        "coco-stuff-164k": lambda root: write_coco_stuff_164k(root, "train2017", {"000000000001": np.ones((2, 2))}),
        "coco-panoptic": write_folder,
    }


@pytest.mark.parametrize("name", layouts())
def test_layouts_are_recognised_too(tmp_path, name):
    layouts()[name](tmp_path)
    assert [seen.name for seen in recognise(tmp_path)] == [name]


def test_a_description_says_what_its_pngs_are(tmp_path):
    save(np.ones((3, 4), np.uint8), tmp_path / "semantic" / "train" / "a.png")
    photo(tmp_path / "images" / "train" / "a.png", (3, 4))
    classes = [{"id": 1, "name": "cat"}]
    write_json(classes, tmp_path / "classes.json")
    assert choose_format(tmp_path).name == "semantic"
    (tmp_path / "dataset.yaml").write_text("classes:\n  - {id: 1, name: cat, isthing: 1}\n")
    assert choose_format(tmp_path).name == "described"


@pytest.mark.parametrize(
    ("write", "file", "name"),
    [
        (lambda root: write_instances(root, []), "annotations/instances_train.json", "coco-instances"),
        (lambda root: write_cvat(root, ""), "annotations.xml", "cvat"),
        (lambda root: write_yolo(root, []), "data.yaml", "yolo-seg"),
    ],
)
def test_a_file_is_recognised_alone(tmp_path, write, file, name):
    assert choose_format(write(tmp_path) / file).name == name


def test_what_was_seen_is_told(tmp_path):
    report = run(write_yolo(tmp_path / "src", []), tmp_path / "dst", AUTO)
    assert report.notes[0].startswith("Taken as yolo-seg (names and a split in data.yaml)")
    about = json.loads((tmp_path / "dst" / "convert_report.json").read_text())
    assert about["source"]["format"] == "yolo-seg"


def test_two_that_fit_are_asked_about(tmp_path):
    write_yolo(tmp_path, [])
    write_cvat(tmp_path, "")
    with pytest.raises(UserError, match=r"cvat \(.*annotations.xml\) or yolo-seg .*--from cvat or --from yolo-seg"):
        run(tmp_path, tmp_path.parent / "dst", AUTO)
    assert run(tmp_path, tmp_path.parent / "yolo", "yolo-seg").images == {"train": 1}


def test_none_that_fits_says_what_there_is(tmp_path):
    for name in "abcdefg":
        (tmp_path / name).touch()
    with pytest.raises(UserError, match=r"no format that is recognised; it has a, b, c, d, e and 2 more"):
        run(tmp_path, tmp_path.parent / "dst", AUTO)


def voc(root: Path) -> None:
    (root / "a.xml").write_text("<annotation><object><bndbox><xmin>1</xmin></bndbox></object></annotation>")


def tracks(root: Path) -> None:
    (root / "annotations.xml").write_text('<annotations><track id="0" label="cat"/></annotations>')


def lines(root: Path) -> None:
    (root / "a.txt").write_text("0 0.1 0.1 0.5 0.5 0.2 0.9\n")


def keypoints(root: Path) -> None:
    write_json({"categories": [{"skeleton": []}], "annotations": [{"keypoints": [1]}]}, root / "x.json")


@pytest.mark.parametrize(
    ("write", "said"),
    [
        (voc, "boxes of Pascal VOC"),
        (tracks, "CVAT for video"),
        (lines, "without the data.yaml"),
        (keypoints, "keypoints"),
    ],
)
@pytest.mark.parametrize("source", [AUTO, "labelme", "coco-instances"])
def test_exports_without_masks_are_called_what_they_are(tmp_path, write, said, source):
    write(tmp_path)
    with pytest.raises(UserError, match=said):
        run(tmp_path, tmp_path.parent / "dst", source)


@pytest.mark.parametrize("asked", ["coco-instances", "labelme", "yolo-seg", "png-pairs", "cityscapes", "coco-panoptic"])
def test_a_wrong_name_has_the_right_one_as_remedy(tmp_path, asked):
    write_cvat(tmp_path / "src", "")
    with pytest.raises(UserError, match=r"It looks like cvat \(.*\): try --from cvat\.$"):
        run(tmp_path / "src", tmp_path / "dst", asked)
    assert not (tmp_path / "dst").exists()


def test_a_fault_of_the_right_format_has_no_other_remedy(tmp_path):
    src = write_labelme(tmp_path / "src", [{"points": [[1, "x"]]}])
    with pytest.raises(UserError, match=r"a list of \[x, y\] pairs\.$"):
        run(src, tmp_path / "dst", "labelme")


def test_ade20k_of_the_challenge_is_no_other_format(tmp_path):
    write_ade20k(tmp_path, "training", {"ADE_train_1": np.ones((2, 2), np.uint8)}, None)
    assert [seen.name for seen in recognise(tmp_path)] == ["ade20k"]
