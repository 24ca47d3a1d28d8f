"""Grey and four-band folders from the command line: train, eval and predict."""

from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

from pantile.cli.main import main
from pantile.data import CocoPanoptic

CLASSES = "classes:\n  - {name: block, thing: true}\n  - {name: ground, thing: false}\n"
MODES = {1: "L", 4: "CMYK"}
SMALL = ["training.steps=2", "training.precision=fp32", "training.workers=0", "augment.crop=[33,33]"]
SMALL += ["evaluation_size=[33,33]", "training.effective_batch=2"]


def write_folder(root: Path, channels: int, extra: str = "") -> Path:
    rng = np.random.default_rng(0)
    for split in ("train", "val"):
        for kind in ("images", "semantic", "instances"):
            (root / kind / split).mkdir(parents=True)
        for name in ("a", "b"):
            classes, numbers = np.full((40, 50), 2, np.uint8), np.zeros((40, 50), np.uint16)
            classes[5:25, 5:30], numbers[5:25, 5:30] = 1, 1
            photo = rng.integers(0, 256, (40, 50, channels), dtype=np.uint8).squeeze()
            Image.fromarray(photo, MODES[channels]).save(root / "images" / split / f"{name}.tif")
            Image.fromarray(classes).save(root / "semantic" / split / f"{name}.png")
            Image.fromarray(numbers).save(root / "instances" / split / f"{name}.png")
    (root / "dataset.yaml").write_text(f"{CLASSES}channels: {channels}\n{extra}")
    return root


def train(recipe: str, data: Path, run: Path, *settings: str) -> int:
    return main(["train", recipe, "--data", str(data), "--out", str(run), "--set", *SMALL, *settings])


@pytest.mark.parametrize(
    ("recipe", "channels", "settings"),
    [
        ("kmax_nano", 1, ["criterion.instance_samples=64", "criterion.semantic_samples=64", "augment.copy_paste=1"]),
        ("panoptic_deeplab_nano", 4, ["augment.policy_magnitude=1", "augment.ssd_jitter=true"]),
    ],
)
def test_trains_evaluates_and_predicts(tmp_path, recipe, channels, settings):
    mean = [100.0 + band for band in range(channels)]
    data, run = write_folder(tmp_path / "data", channels, f"mean: {mean}\n"), tmp_path / "run"
    assert train(recipe, data, run, *settings) == 0
    model = yaml.safe_load((run / "config.yaml").read_text())["model"]
    assert (model["in_channels"], model["image_mean"], model["image_std"]) == (channels, mean, [127.5] * channels)
    assert main(["eval", str(run), "--data", str(data)]) == 0
    out = tmp_path / "out"
    assert main(["predict", str(run), str(data / "images" / "val"), "--out", str(out)]) == 0
    predictions = CocoPanoptic(out, "predictions", need_images=False)
    assert [predictions.load_map(k).size for k in range(2)] == [(40, 50)] * 2
    assert len(list((out / "overlays").iterdir())) == 2


def test_set_wins_over_the_file(tmp_path):
    data = write_folder(tmp_path / "data", 1, "mean: [10]\nstd: [20]\n")
    assert train("panoptic_deeplab_nano", data, tmp_path / "run", "model.image_std=[77]") == 0
    model = yaml.safe_load((tmp_path / "run" / "config.yaml").read_text())["model"]
    assert (model["image_mean"], model["image_std"]) == ([10], [77])


def test_other_bands_are_refused_in_one_sentence(tmp_path, capsys):
    grey, four = write_folder(tmp_path / "grey", 1), write_folder(tmp_path / "four", 4)
    run = tmp_path / "run"
    assert train("panoptic_deeplab_nano", grey, run) == 0
    capsys.readouterr()
    again = ["train", "--config", str(run / "config.yaml"), "--data", str(four), "--out", str(tmp_path / "other")]
    for arguments, told in (
        (["predict", str(run), str(four / "images" / "val"), "--out", str(tmp_path / "out")], "colour mode 'CMYK'"),
        (again, "takes images of 1 channel(s)"),
        ([*again, "--set", "model.in_channels=4"], "model.image_mean has 1 values"),
    ):
        assert main(arguments) == 2
        assert told in capsys.readouterr().err
    assert train("kmax_nano", grey, tmp_path / "other", "model.in_channels=3") == 2
    assert "model.image_mean has 1 values" in capsys.readouterr().err
    assert not (tmp_path / "other").exists()
