"""Files that labels name and that are missing: how many, the first in full, and --skip-missing."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from labels.checked_folder import write_folder
from labels.tiny_labels import (
    box,
    instances_json,
    photo,
    run,
    save,
    write_ade20k_full,
    write_cvat,
    write_json,
    write_labelme,
    write_pairs,
)
from pantile.cli.main import main
from pantile.contracts.errors import UserError
from pantile.data import CocoPanoptic, open_dataset
from pantile.labels.checks.check import check

CLASSES, NUMBERS = np.full((8, 10), 7, dtype=np.uint8), np.zeros((8, 10), dtype=np.uint8)


def coco(root: Path) -> tuple[Path, Path]:
    photo(root / "train" / "a.png")
    photo(root / "train" / "b.png")
    row = {"segmentation": [box(2, 1, 6, 4)]}
    write_json(
        instances_json([row, row | {"image_id": 2}], names=("a.png", "b.png")),
        root / "annotations/instances_train.json",
    )
    return root, root / "train" / "a.png"  # the first one, by which the folder of images is found


def labelme(root: Path) -> tuple[Path, Path]:
    write_labelme(root, [])
    photo(root / "b.jpg")
    points = [[2, 1], [6, 1], [6, 4]]
    write_json({"shapes": [{"label": "cat", "points": points}], "imagePath": "b.jpg"}, root / "b.json")
    return root, root / "a.jpg"


def cvat(root: Path) -> tuple[Path, Path]:
    write_cvat(root, "")
    photo(root / "images" / "b.png")
    path = root / "annotations.xml"
    second = '<image id="1" name="b.png" width="10" height="8"></image></annotations>'
    path.write_text(path.read_text().replace("</annotations>", second))
    return root, root / "images" / "a.png"


def pairs(root: Path) -> tuple[Path, Path]:
    write_pairs(root, CLASSES, NUMBERS)
    for folder in ("images", "semantic", "instances"):
        shutil.copy(root / folder / "train" / "a.png", root / folder / "train" / "b.png")
    return root, root / "images" / "train" / "a.png"


def pairs_without_numbers(root: Path) -> tuple[Path, Path]:
    return pairs(root)[0], root / "instances" / "train" / "a.png"


def ade20k_full(root: Path) -> tuple[Path, Path]:
    write_ade20k_full(root, np.full((8, 10), 5), NUMBERS, {5: "wall"})
    folder = next(root.rglob("*_seg.png")).parent
    for suffix in (".jpg", "_seg.png", ".json"):
        shutil.copy(folder / f"ADE_train_00000001{suffix}", folder / f"ADE_train_00000002{suffix}")
    return root, folder / "ADE_train_00000001.jpg"


def panoptic(root: Path) -> tuple[Path, Path]:
    return write_folder(root), root / "train" / "a.png"


def panoptic_png(root: Path) -> tuple[Path, Path]:
    return write_folder(root), root / "annotations" / "panoptic_train" / "a.png"


def cityscapes(root: Path) -> tuple[Path, Path]:
    for key in ("aachen_000000_000019", "aachen_000001_000019"):
        photo(root / "leftImg8bit/train/aachen" / f"{key}_leftImg8bit.png")
        save(np.full((8, 10), 7, dtype=np.uint16), root / "gtFine/train/aachen" / f"{key}_gtFine_instanceIds.png")
    return root, root / "gtFine/train/aachen/aachen_000000_000019_gtFine_instanceIds.png"


READERS = {
    "coco-instances": coco,
    "labelme": labelme,
    "cvat": cvat,
    "png-pairs": pairs,
    "png-pairs, numbers": pairs_without_numbers,
    "ade20k-full": ade20k_full,
    "coco-panoptic": panoptic,
    "coco-panoptic, PNG": panoptic_png,
    "cityscapes": cityscapes,
}


@pytest.mark.parametrize("name", READERS)
def test_a_conversion_refuses_or_leaves_out_and_says(tmp_path, name):
    src, lost = READERS[name](tmp_path / "src")
    source = name.partition(",")[0]
    assert run(src, tmp_path / "whole", source, splits=("train",)).images == {"train": 2}
    lost.unlink()
    with pytest.raises(UserError) as caught:
        run(src, tmp_path / "dst", source, splits=("train",))
    named = src / "semantic/train/a.png" if name == "png-pairs" else lost
    told = str(caught.value)
    assert str(named) in told and "1 of" in told and "2 " in told and "--skip-missing" in told
    assert not (tmp_path / "dst").exists()
    report = run(src, tmp_path / "dst", source, splits=("train",), skip_missing=True)
    assert report.images == {"train": 1}
    assert any("1 of the 2" in note and "left out" in note and str(named) in note for note in report.notes)
    assert check(tmp_path / "dst").errors == 0


def test_the_first_names_are_told_in_full_and_how_many(tmp_path):
    names = [f"{k:03}.png" for k in range(12)]
    photo(tmp_path / "train" / names[7])
    write_json(instances_json([], names=tuple(names)), tmp_path / "annotations/instances_train.json")
    first = ", ".join(str(tmp_path / "train" / name) for name in names[:5])
    with pytest.raises(UserError) as caught:
        run(tmp_path, tmp_path / "dst", "coco-instances")
    assert str(caught.value).startswith(f"{first} and 6 more do not exist (11 of the 12 images that")
    assert run(tmp_path, tmp_path / "dst", "coco-instances", skip_missing=True).images == {"train": 1}


def test_nothing_at_all_is_refused_even_then(tmp_path):
    root = write_folder(tmp_path / "src")
    for path in (root / "train").iterdir():
        path.unlink()
    with pytest.raises(UserError, match=r"do not exist \(2 of the 2 files"):
        CocoPanoptic(root, "train", skip_missing=True)


def test_data_sets_leave_out_and_warn(tmp_path):
    root, lost = panoptic(tmp_path / "panoptic")
    whole = CocoPanoptic(root, "train").load_map(1)
    lost.unlink()
    with pytest.warns(UserWarning, match=r"1 of the 2 files that .* are missing and were left out: .*a.png"):
        data = open_dataset(root, "train", skip_missing=True)
    assert len(data) == 1 and data.name_of(0) == "b.png" and data.segment_counts() == [2]
    assert (data.load(0)[1].ids == whole.ids).all() and data.load_map(0).segments == whole.segments
    root, lost = cityscapes(tmp_path / "cityscapes")
    lost.unlink()
    with pytest.warns(UserWarning, match="1 of the 2 labels of the images"):
        assert len(open_dataset(root, "train", skip_missing=True)) == 1
    assert [f.kind for f in check(root).findings if "missing" in f.kind] == ["files-missing"]


def test_links_to_nowhere_are_missing(tmp_path):
    """What git-annex or DVC leave for a file that was not fetched."""
    for write in (panoptic, cityscapes, described):
        root, lost = write(tmp_path / write.__name__)
        lost.unlink()
        lost.symlink_to("nowhere")
        with pytest.raises(UserError, match="--skip-missing"):
            open_dataset(root, "train")
        with pytest.warns(UserWarning, match="left out"):
            assert len(list(open_dataset(root, "train", skip_missing=True))) == 1
    root, lost = pairs(tmp_path / "pairs")
    lost.unlink()
    lost.symlink_to("nowhere")
    with pytest.raises(UserError, match="--skip-missing"):
        run(root, tmp_path / "dst", "png-pairs")
    assert run(root, tmp_path / "dst", "png-pairs", skip_missing=True).images["train"] == 1


def described(root: Path) -> tuple[Path, Path]:
    src, _ = pairs(root)
    (src / "dataset.yaml").write_text(
        "classes:\n- {name: cat, thing: true, id: 3}\n- {name: grass, thing: false, id: 7}\n"
    )
    for name in "ab":
        save(np.zeros((8, 10), dtype=np.uint16), src / "instances/train" / f"{name}.png")
    return src, src / "semantic/train/a.png"


def test_a_described_folder_does_so_too(tmp_path):
    src, _ = pairs(tmp_path)
    (src / "dataset.yaml").write_text(
        "classes:\n- {name: cat, thing: true, id: 3}\n- {name: grass, thing: false, id: 7}\n"
    )
    for folder in ("images", "semantic", "instances"):
        shutil.copy(src / folder / "train/a.png", src / folder / "train/c.png")
    path = src / "instances/train/a.png"
    save(np.zeros((8, 10), dtype=np.uint16), path)
    for name in "bc":
        shutil.copy(path, src / "instances/train" / f"{name}.png")
    path.unlink()
    (src / "images/train/c.png").unlink()
    with pytest.raises(UserError, match=r"c.png has no image of that name"):
        open_dataset(src, "train")
    with pytest.warns(UserWarning, match="left out") as caught:
        data = open_dataset(src, "train", skip_missing=True)
    assert len(caught) == 2 and [data.name_of(k) for k in range(len(data))] == ["b.png"]


def test_verbs_take_the_option_and_name_their_own_of_splits(tmp_path, capsys):
    root, lost = panoptic(tmp_path / "panoptic")
    lost.unlink()
    skip = ["--skip-missing"]
    assert main(["data", "stats", str(root)]) == 2
    assert "--skip-missing" in capsys.readouterr().err
    assert main(["data", "stats", str(root), *skip, "--json", str(tmp_path / "s.json")]) == 0
    assert json.loads((tmp_path / "s.json").read_text())["images"] == 1
    assert main(["data", "show", str(root), *skip, "--out", str(tmp_path / "show")]) == 0
    assert main(["data", "convert", str(root), str(tmp_path / "dst"), "--from", "coco-panoptic", *skip]) == 0
    assert "1 of the 2 files" in " ".join(capsys.readouterr().out.split())
    (root / "annotations" / "panoptic_val.json").unlink()
    start = ["train", "remax_nano", "--data", str(root), "--out", str(tmp_path / "run"), *skip]
    for arguments, told in (
        (start, "no split 'val': choose one of train with --val-split"),
        ([*start, "--train-split", "x"], "with --train-split"),
    ):
        assert main(arguments) == 2
        assert told in capsys.readouterr().err
    assert not (tmp_path / "run").exists()
