"""``pantile data convert`` as typed: what it prints, what it writes, and how it refuses."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pantile.cli.main import main
from pantile.data import CocoPanoptic


@pytest.fixture
def folder(tmp_path) -> Path:
    """Two overlapping polygons of labelme, one with a name that looks like markup, and a point."""
    src = tmp_path / "src"
    src.mkdir()
    Image.fromarray(np.zeros((20, 30, 3), dtype=np.uint8)).save(src / "a.png")
    shapes = [
        {"label": "road", "points": [[0, 10], [30, 10], [30, 20], [0, 20]], "shape_type": "polygon"},
        {"label": "[/red]", "points": [[5, 5], [10, 5], [10, 15], [5, 15]], "shape_type": "polygon"},
        {"label": "road", "points": [[5, 5]], "shape_type": "point"},
    ]
    (src / "a.json").write_text(json.dumps({"shapes": shapes, "imagePath": "a.png"}))
    return src


def test_converts_and_reports(folder, tmp_path, capsys):
    dst = tmp_path / "dst"
    arguments = ["--from", "labelme", "--stuff", "road", "--overlap", "smaller-on-top", "--split", "val"]
    assert main(["data", "convert", str(folder), str(dst), *arguments]) == 0
    printed = capsys.readouterr().out
    assert printed.strip().endswith(str(dst))
    for told in ("[/red]", "Pixels decided by --overlap", "25", "shape type 'point' has no area", "Taken as things"):
        assert told in printed, told
    data = CocoPanoptic(dst, "val")
    _, panoptic = data.load(0)
    assert [(data.taxonomy.names[s.class_index]) for s in panoptic.segments] == ["road", "[/red]"]
    assert [(panoptic.ids == s.id).sum() for s in panoptic.segments] == [275, 50]
    report = json.loads((dst / "convert_report.json").read_text())
    assert report["images"] == {"val": 1}
    assert report["overlaps"] == [{"on_top": "[/red]", "below": "road", "pixels": 25}]
    assert report["void_pixels"] == 20 * 30 - 325
    assert report["target"] == {"format": "coco-panoptic", "overlap": "smaller-on-top", "gap": "void"}


def test_refuses_in_one_sentence(folder, tmp_path, capsys):
    dst = tmp_path / "dst"
    for arguments, told in (
        (["--from", "labelme"], "overlap in 25 pixels"),
        (["--from", "labelm"], "did you mean labelme"),
        (["--from", "cvat"], "annotations.xml cannot be read"),
        (["--from", "labelme", "--to", "labelmi"], "did you mean labelme"),
        (["--from", "labelme", "--stuff", "raod"], "did you mean 'road'"),
    ):
        assert main(["data", "convert", str(folder), str(dst), *arguments]) == 2
        error = [line for line in capsys.readouterr().err.splitlines() if line.startswith("pantile: ")]
        assert len(error) == 1 and told in error[0]
        assert not dst.exists()


def test_help_lists_the_sub_verbs(capsys):
    with pytest.raises(SystemExit):
        main(["data", "--help"])
    assert "convert" in capsys.readouterr().out
