"""``pantile data show`` as typed."""

import re
from itertools import islice

import numpy as np
import pytest
from PIL import Image

from pantile.cli.data_show import evenly
from pantile.cli.main import main
from pantile.data import Scenes, open_dataset, write_coco_panoptic
from pantile.data.label_rows import label_rows
from pantile.data.loading import training_loader
from pantile.recipes import make_recipe


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
        (["--split", "val", "--set", "augment.flip=0"], "--set changes fields of a recipe: name one by --recipe"),
        (["--split", "val", "--recipe", "remax_nanno"], "did you mean 'remax_nano'"),
        (["--split", "val", "--recipe", "remax_nano", "--set", "augment.crops=9"], "did you mean"),
    ):
        assert main(["data", "show", str(folder), *arguments]) == 2
        assert told in capsys.readouterr().err
    assert main(["data", "show", str(tmp_path / "none")]) == 2


def rows_of_training(folder, least: int, samples: int) -> list[int]:
    """Targets of the first samples of a training with crops of 33 pixels, as its loader gives them."""
    config = make_recipe("remax_nano")
    config.augment.crop, config.augment.min_pixels, config.augment.redraws = (33, 33), least, 0
    images = training_loader(open_dataset(str(folder), "val"), config.augment, 1, seed=config.seed)
    return [int((targets.classes >= 0).sum()) for _, targets in islice(images, samples)]


def test_a_recipe_shows_the_samples_of_its_training_and_tells_what_vanished(folder, tmp_path, capsys):
    out = tmp_path / "out"
    small = ["augment.crop=[33,33]", "augment.min_pixels=60", "augment.redraws=0"]
    arguments = ["--split", "val", "--recipe", "remax_nano", "--set", *small, "--images", "4", "--out", str(out)]
    assert main(["data", "show", str(folder), *arguments]) == 0
    printed = capsys.readouterr().out
    kept, all_that_show = (rows_of_training(folder, least, 4) for least in (60, 1))
    assert f"{sum(kept)} targets are left." in printed
    assert sum(all_that_show) > sum(kept)
    assert f"Fewer than 60 pixels (augment.min_pixels), so void: {sum(all_that_show) - sum(kept)} (" in printed
    page = (out / "index.html").read_text(encoding="utf-8")
    dataset = open_dataset(str(folder), "val")
    rows = {dataset.name_of(k): len(label_rows(dataset.load(k)[1], dataset.taxonomy).classes) for k in range(5)}
    titles = re.findall(r"<b>(\d+) targets?(?:, (\d+) vanished)? · (.+)</b>", page)
    assert [int(targets) for targets, _, _ in titles] == kept
    assert all(int(targets) + int(lost or 0) == rows[name] for targets, lost, name in titles)
    assert np.asarray(Image.open(out / "contact_sheet.png")).shape[1] == 4 * 320 + 5 * 12


@pytest.mark.parametrize(
    ("recipe", "data", "words", "settings"),
    [
        ("mask2former_r50_ibs_cityscapes", "scenes:4", r"<b>pair (\d+), (\w+) · ", []),
        ("mask2former_video_nano", "video-scenes:2", r"<b>clip (\d+), (frame \d+) · ", ["augment.clip.frames=3"]),
    ],
)
def test_samples_that_belong_together_stand_beside_each_other(tmp_path, capsys, recipe, data, words, settings):
    settings = ["augment.crop=[64,64]", *settings]
    arguments = ["--recipe", recipe, "--images", "3", "--out", str(tmp_path), "--set", *settings]
    assert main(["data", "show", data, *arguments]) == 0
    found = re.findall(words, (tmp_path / "index.html").read_text(encoding="utf-8"))
    if data == "scenes:4":  # rounded up to whole pairs, each of one class
        assert [number for number, _ in found] == ["1", "1", "2", "2"]
        assert found[0][1] == found[1][1] and found[2][1] == found[3][1]
    else:
        assert found == [("1", f"frame {frame}") for frame in (1, 2, 3)]


def test_evenly():
    assert evenly(200, 3) == [0, 99, 199]
    assert evenly(3, 24) == [0, 1, 2] and evenly(9, 1) == [0]
    assert all(len(set(evenly(n, k))) == min(n, k) for n in range(1, 12) for k in range(1, 12))
