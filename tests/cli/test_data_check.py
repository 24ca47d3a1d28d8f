"""``pantile data check`` as typed: lines, summary, exit codes, the repaired copy and the cache."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pantile.cli.main import main
from pantile.data import CocoPanoptic


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """One image, whose segment 5 has 60 pixels and an area of 6 in the JSON, and whose segment 9 is tiny."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    root = tmp_path / "in"
    ids = np.zeros((12, 20, 3), dtype=np.uint8)
    ids[:6, :10, 0], ids[8, 8, 0] = 5, 9
    photo = np.random.default_rng(0).integers(0, 256, ids.shape, dtype=np.uint8)
    for pixels, path in ((photo, root / "val" / "a.png"), (ids, root / "annotations" / "panoptic_val" / "a.png")):
        path.parent.mkdir(parents=True)
        Image.fromarray(pixels).save(path)
    rows = [
        {"id": 5, "category_id": 1, "iscrowd": 0, "area": 6, "bbox": [0, 0, 10, 6]},
        {"id": 9, "category_id": 1, "iscrowd": 0, "area": 1, "bbox": [8, 8, 1, 1]},
    ]
    data = {
        "images": [{"id": 1, "file_name": "a.png", "height": 12, "width": 20}],
        "annotations": [{"image_id": 1, "file_name": "a.png", "segments_info": rows}],
        "categories": [{"id": 1, "name": "cat", "isthing": 1}],
    }
    (root / "annotations" / "panoptic_val.json").write_text(json.dumps(data))
    return root


def test_finds_repairs_and_passes(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    out, report = tmp_path / "out", tmp_path / "report.json"
    assert main(["data", "check", str(folder), "--workers", "1", "--fix", str(out), "--json", str(report)]) == 0
    lines = capsys.readouterr().out.splitlines()
    png = "annotations/panoptic_val/a.png"
    assert f"error: wrong-area: {png} id 5: the JSON says 6, the pixels 60" in lines
    assert f"note: tiny-segment: {png} id 9: 1 pixels" in lines
    assert "1 errors, 2 notes" in lines  # 75% are void
    assert lines[-1] == f"1 images written to {out}"
    content = json.loads(report.read_text())
    assert content["counts"] == {"wrong-area": 1, "much-void": 1, "tiny-segment": 1}
    assert content["findings"][0]["id"] == 5 and content["splits"]["val"]["segments"] == 2
    assert (tmp_path / "cache" / "pantile" / "check.sqlite").is_file()
    assert main(["data", "check", str(out)]) == 0
    assert "0 errors, 2 notes" in capsys.readouterr().out
    assert len(CocoPanoptic(out, "val")) == 1


def test_an_image_that_cannot_be_repaired_is_named(folder: Path, tmp_path: Path, capsys) -> None:
    (folder / "val" / "a.png").write_text("no image")
    assert main(["data", "check", str(folder), "--no-cache", "--fix", str(tmp_path / "out")]) == 1
    lines = capsys.readouterr().out.splitlines()
    told = ["left out: val/a.png: image-broken", "not mended: 1 errors"]
    assert lines[-3:] == [*told, f"0 images written to {tmp_path / 'out'}"]
    assert not (tmp_path / "cache").exists()


def test_unusable_input_is_one_sentence(folder: Path, tmp_path: Path, capsys) -> None:
    (folder / "annotations" / "panoptic_val.json").write_text('{"images": [')
    for arguments, told in (
        ([str(folder)], "panoptic_val.json is not valid JSON"),
        ([str(folder), "--split", "train"], "has no split 'train'"),
        ([str(folder), "--workers", "0"], "--workers is 0"),
        ([str(tmp_path / "nowhere")], "is not a folder"),
    ):
        assert main(["data", "check", *arguments]) == 2
        error = [line for line in capsys.readouterr().err.splitlines() if line.startswith("pantile: ")]
        assert len(error) == 1 and told in error[0]
