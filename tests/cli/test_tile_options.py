"""``--tile`` of predict and eval: the same as without where one tile is enough, and one sentence for bad numbers."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from pantile.cli.main import main
from pantile.data import Scenes, write_coco_panoptic
from pantile.data.image_files import read_panoptic_png
from pantile.engine.checkpoint import save_weights
from pantile.engine.task import PanopticTask
from tiny_runs import make_tiny_config


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """A checkpoint of random weights that says something, and two images of 97 x 129."""
    root = tmp_path_factory.mktemp("tiles")
    torch.manual_seed(0)
    config = make_tiny_config("panoptic_deeplab_nano")
    config.merge.center_threshold, config.merge.nms_kernel, config.merge.stuff_area_limit = 0.0, 7, 50
    scenes = Scenes(2, size=(97, 129), seed=3)
    state = PanopticTask(config, scenes.taxonomy).model.state_dict()
    weights = {f"model.{name}": tensor for name, tensor in state.items()}
    save_weights(root / "random.safetensors", weights, config, scenes.taxonomy, step=0)
    write_coco_panoptic(scenes, root, "val")
    return root


def predicted(folder: Path, out: Path, *options: str) -> list[np.ndarray]:
    arguments = ["predict", str(folder / "random.safetensors"), str(folder / "val"), "--out", str(out), *options]
    assert main(arguments) == 0
    return [read_panoptic_png(path) for path in sorted((out / "annotations" / "panoptic_predictions").iterdir())]


def test_predict_in_one_tile_and_in_several(folder, tmp_path):
    whole = predicted(folder, tmp_path / "whole")
    one = predicted(folder, tmp_path / "one", "--tile", "129", "--overlap", "100")
    several = predicted(folder, tmp_path / "several", "--tile", "64")
    assert all(np.array_equal(a, b) for a, b in zip(whole, one, strict=True))
    assert [ids.shape for ids in several] == [ids.shape for ids in whole]
    assert any((a != b).any() for a, b in zip(whole, several, strict=True))
    content = [
        json.loads((tmp_path / name / "annotations" / "panoptic_predictions.json").read_text())
        for name in ("whole", "one")
    ]
    assert content[0] == content[1]


def test_eval_measures_what_predict_writes(folder, tmp_path):
    def pq(*options: str) -> dict:
        out = tmp_path / "numbers.json"
        arguments = ["eval", str(folder / "random.safetensors"), "--data", str(folder), "--json", str(out), *options]
        assert main(arguments) == 0
        return json.loads(out.read_text())

    def scored(out: Path) -> dict:
        predictions = out / "annotations" / "panoptic_predictions.json"
        truth = folder / "annotations" / "panoptic_val.json"
        target = out / "scored.json"
        assert main(["score", "--pred", str(predictions), "--gt", str(truth), "--json", str(target)]) == 0
        return json.loads(target.read_text())

    assert pq() == pq("--tile", "200")
    options = ("--tile", "64", "--overlap", "24", "--tile-scale", "0.75", "--flip")
    predicted(folder, tmp_path / "tiles", *options)
    found = pq(*options)
    assert found["panoptic"] == scored(tmp_path / "tiles")["panoptic"]
    assert found["panoptic"] != pq()["panoptic"]


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--tile", "31"], "--tile 31 is too small: give at least 32"),
        (["--tile", "-64"], "--tile -64"),
        (["--tile", "64", "--overlap", "64"], "--overlap 64 must lie from 0 up to less than --tile 64"),
        (["--tile", "64", "--overlap", "-1"], "--overlap -1"),
        (["--tile", "64", "--tile-scale", "half"], "--tile-scale half: give a factor above 0"),
        (["--tile", "64", "--tile-scale", "-2"], "--tile-scale -2"),
        (["--overlap", "8"], "--overlap 8 needs --tile"),
        (["--tile-scale", "2"], "--tile-scale 2 needs --tile"),
    ],
)
@pytest.mark.parametrize("verb", ["predict", "eval"])
def test_bad_numbers_end_in_one_sentence(folder, tmp_path, capsys, verb, options, sentence):
    rest = [str(folder / "val"), "--out", str(tmp_path / "out")] if verb == "predict" else ["--data", str(folder)]
    assert main([verb, str(folder / "random.safetensors"), *rest, *options]) == 2
    error = capsys.readouterr().err.strip()
    assert error.startswith("pantile: ") and sentence in error and "\n" not in error
    assert not (tmp_path / "out").exists()
