"""``pantile data show`` as typed."""

import numpy as np
import pytest
from PIL import Image

from pantile.cli.data_show import evenly
from pantile.cli.main import main
from pantile.data import Scenes, write_coco_panoptic


@pytest.fixture
def folder(tmp_path):
    write_coco_panoptic(Scenes(5, size=(60, 80), seed=1), tmp_path / "mine", "val")
    return tmp_path / "mine"


def test_writes_a_sheet_and_a_page(folder, tmp_path, capsys):
    before = sorted(folder.rglob("*"))
    out = tmp_path / "out"
    assert main(["data", "show", str(folder), "--split", "val", "--images", "3", "--out", str(out)]) == 0
    assert capsys.readouterr().out.splitlines() == [str(out / "contact_sheet.png"), str(out / "index.html")]
    page = (out / "index.html").read_text(encoding="utf-8")
    assert "<h1>mine</h1>" in page and "3 of the 5 images of the split &#39;val&#39;" in page
    for number, shown in enumerate((True, False, True, False, True)):
        assert (f"<b>scene_train_{number:06d}.png</b>" in page) == shown
    assert np.asarray(Image.open(out / "contact_sheet.png")).shape[1] == 3 * 320 + 4 * 12
    assert sorted(folder.rglob("*")) == before


def test_generated_scenes_need_no_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["data", "show", "scenes:2"]) == 0
    assert sorted(path.name for path in (tmp_path / "data_show").iterdir()) == ["contact_sheet.png", "index.html"]


def test_refuses_in_one_sentence(folder, tmp_path, capsys):
    (tmp_path / "file").touch()
    for arguments, told in (
        (["--split", "val", "--images", "0"], "--images is 0"),
        (["--split", "val", "--images", "301"], "--images is 301"),
        (["--split", "train"], "no split 'train'"),
        (["--split", "val", "--out", str(tmp_path / "file")], "is a file"),
    ):
        assert main(["data", "show", str(folder), *arguments]) == 2
        assert told in capsys.readouterr().err
    assert main(["data", "show", str(tmp_path / "none")]) == 2


def test_evenly():
    assert evenly(200, 3) == [0, 99, 199]
    assert evenly(3, 24) == [0, 1, 2] and evenly(9, 1) == [0]
    assert all(len(set(evenly(n, k))) == min(n, k) for n in range(1, 12) for k in range(1, 12))
