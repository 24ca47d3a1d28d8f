"""``pantile data split`` as typed."""

import pytest

from pantile.cli.main import main
from pantile.data import CocoPanoptic, Scenes, available_splits, write_coco_panoptic


@pytest.fixture
def folder(tmp_path):
    write_coco_panoptic(Scenes(6, size=(60, 80), seed=1), tmp_path / "data", "all")
    return tmp_path / "data"


def test_splits_and_tells_how(folder, tmp_path, capsys):
    out = tmp_path / "out"
    shares = ["--val", "0.2", "--test", "0.2"]
    assert main(["data", "split", str(folder), str(out), "--split", "all", *shares]) == 0
    printed = capsys.readouterr().out
    assert "6 images in 6 groups" in printed and printed.splitlines()[-1] == str(out)
    assert available_splits(out) == ["test", "train", "val"]
    assert sum(len(CocoPanoptic(out, split)) for split in available_splits(out)) == 6


def test_names_decide_alone(folder, tmp_path, capsys):
    rule = ["--group-by-name", r"scene_train_00000[0-2]|scene_train_", "--group-by-content", "none"]
    assert main(["data", "split", str(folder), str(tmp_path / "out"), "--split", "all", "--val", "0.5", *rule]) == 0
    assert "4 groups; 3 images share a group with others, the largest has 3" in " ".join(
        capsys.readouterr().out.split()
    )


def test_refuses_in_one_sentence(folder, tmp_path, capsys):
    out = tmp_path / "out"
    for arguments, told in (
        (["--split", "all", "--val", "0"], "--val is 0"),
        (["--split", "all", "--group-by-name", "["], "no regular expression"),
        (["--split", "all", "--group-by-content", "hash"], "choose from overlap, none"),
        (["--split", "all", "--group-by-name", "scene"], "too few for 2 splits"),
        ([], "no split 'train'"),
    ):
        assert main(["data", "split", str(folder), str(out), *arguments]) == 2
        error = [line for line in capsys.readouterr().err.splitlines() if line.startswith("pantile: ")]
        assert len(error) == 1 and told in error[0]
        assert not out.exists()
    out.mkdir()
    (out / "precious").touch()
    assert main(["data", "split", str(folder), str(out), "--split", "all"]) == 2
    assert main(["data", "split", "scenes:3", str(tmp_path / "new")]) == 2
