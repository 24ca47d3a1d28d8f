"""Parts of a folder, and folders as one: every image is there once with its segments, or a sentence says why not."""

import json
from pathlib import Path

import numpy as np
import pytest

from labels.checked_folder import clean_ids, edit, json_of, tree_hash, write_folder, write_ids
from labels.tiny_labels import meaning
from pantile.cli.main import main
from pantile.contracts.errors import UserError
from pantile.data import CocoPanoptic
from pantile.labels.checks.check import check
from pantile.labels.splitting.merging import MergeOptions, merge_folders
from pantile.labels.splitting.subset import SubsetOptions, take_subset


@pytest.fixture
def folder(tmp_path) -> Path:
    """Splits train (a, b) and val (c); b has no cat."""
    root = write_folder(tmp_path / "first")
    write_ids(root, np.where(clean_ids() == 5, 0, clean_ids()), name="b")
    edit(root, lambda data: data["annotations"][1]["segments_info"].pop(0))
    return root


def names(root: Path, split: str) -> list[str]:
    return [entry["file_name"] for entry in json.loads(json_of(root, split).read_text())["images"]]


def contents(root: Path, split: str) -> list[set]:
    data = CocoPanoptic(root, split)
    return [meaning(data.load_map(k), data.taxonomy) for k in range(len(data))]


def test_a_subset_is_the_images_as_they_are(folder, tmp_path):
    before = tree_hash(folder)
    counts = take_subset(folder, tmp_path / "out", SubsetOptions(classes=("cat",)))
    assert counts == {"train": (1, 2), "val": (1, 1)}
    assert contents(tmp_path / "out", "train") == contents(folder, "train")[:1]
    assert (tmp_path / "out" / "train" / "a.png").read_bytes() == (folder / "train" / "a.png").read_bytes()
    assert tree_hash(folder) == before and check(tmp_path / "out").errors == 0


def test_a_draw_is_the_same_each_time(folder, tmp_path):
    drawn = []
    for name, seed in (("x", 1), ("y", 1), ("z", 2)):
        take_subset(folder, tmp_path / name, SubsetOptions(("train",), images=1, seed=seed))
        drawn.append(names(tmp_path / name, "train"))
    assert drawn[0] == drawn[1] and len(drawn[2]) == 1
    with pytest.raises(UserError, match="The split 'train' has 1 such images, not 2: lower --images"):
        take_subset(folder, tmp_path / "w", SubsetOptions(("train",), images=2, classes=("cat",)))
    assert not (tmp_path / "w").exists()


@pytest.mark.parametrize("listed", ["b\nc", "train/b.png\n\nval/c", "b.png\nc.png\n"])
def test_names_of_a_file(folder, tmp_path, listed):
    (tmp_path / "names.txt").write_text(listed)
    assert take_subset(folder, tmp_path / "out", SubsetOptions(names=tmp_path / "names.txt")) == {
        "train": (1, 2),
        "val": (1, 1),
    }
    assert names(tmp_path / "out", "train") == ["b.png"]
    (tmp_path / "names.txt").write_text("b\nnobody")
    with pytest.raises(UserError, match=r"names 'nobody', which no image has"):
        take_subset(folder, tmp_path / "other", SubsetOptions(names=tmp_path / "names.txt"))


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (SubsetOptions(), "Nothing says which images"),
        (SubsetOptions(images=0), "--images is 0"),
        (SubsetOptions(classes=("bird",)), "'bird' is not a class; choose from cat, grass"),
        (SubsetOptions(("train",), classes=("cat",), names=Path("b.txt")), "No image of"),
    ],
)
def test_conditions_that_nothing_meets(folder, tmp_path, monkeypatch, options, said):
    monkeypatch.chdir(tmp_path)
    Path("b.txt").write_text("b")
    with pytest.raises(UserError, match=said):
        take_subset(folder, tmp_path / "out", options)
    assert not (tmp_path / "out").exists()


def second(root: Path) -> Path:
    """The same names and ids, another order and other ids of the classes, one class more, and a split of its own."""
    write_folder(root)
    (root / "val").rename(root / "test")
    (root / "annotations" / "panoptic_val").rename(root / "annotations" / "panoptic_test")
    json_of(root, "val").rename(json_of(root, "test"))

    def change(data: dict) -> None:
        data["categories"] = [{"id": 3, "name": "grass", "isthing": 0}, {"id": 9, "name": "cat", "isthing": 1}]
        data["categories"].append({"id": 7, "name": "dog", "isthing": 1})
        for annotation in data["annotations"]:
            for row in annotation["segments_info"]:
                row["category_id"] = {3: 9, 7: 3}[row["category_id"]]

    for split in ("train", "test"):
        edit(root, change, split)
    return root


def test_a_merge_joins_by_names(folder, tmp_path):
    other = second(tmp_path / "second")
    with pytest.raises(UserError, match=r"other classes .*dog.*--union"):
        merge_folders([folder, other], tmp_path / "out", MergeOptions())
    merged = merge_folders([folder, other], tmp_path / "out", MergeOptions(union=True))
    assert merged.images == {"train": [2, 2], "val": [1, 0], "test": [0, 1]}
    assert [(c.name, c.id) for c in merged.taxonomy.classes] == [("cat", 3), ("grass", 7), ("dog", 8)]
    assert (merged.renamed, merged.renumbered) == (4, True)
    assert names(tmp_path / "out", "train") == ["first_a.png", "first_b.png", "second_a.png", "second_b.png"]
    assert contents(tmp_path / "out", "train") == contents(folder, "train") + contents(other, "train")
    assert contents(tmp_path / "out", "test") == contents(other, "test")
    ids = [entry["id"] for entry in json.loads(json_of(tmp_path / "out").read_text())["images"]]
    assert ids == [1, 2, 3, 4]


def test_a_class_that_is_both_kinds_is_refused(folder, tmp_path):
    other = second(tmp_path / "second")
    for split in ("train", "test"):
        edit(other, lambda data: data["categories"][1].update(isthing=0), split)
    with pytest.raises(UserError, match=r"'cat' is stuff in .*second and a thing before"):
        merge_folders([folder, other], tmp_path / "out", MergeOptions(union=True))
    for roots, said in (([folder], "at least two"), ([folder, folder], "named twice")):
        with pytest.raises(UserError, match=said):
            merge_folders(roots, tmp_path / "out", MergeOptions())
    assert not (tmp_path / "out").exists()


def test_the_verbs(folder, tmp_path, capsys):
    other = second(tmp_path / "second")
    assert main(["data", "merge", str(folder), str(other), str(tmp_path / "all"), "--union", "--link"]) == 0
    said = capsys.readouterr().out
    assert "train: 2 + 2 = 4 images" in said and "count anew" in said
    assert main(["data", "subset", str(tmp_path / "all"), str(tmp_path / "few"), "--images", "1"]) == 0
    assert "train: 1 of 4 images" in capsys.readouterr().out
    assert main(["data", "subset", str(folder), str(tmp_path / "none")]) == 2
