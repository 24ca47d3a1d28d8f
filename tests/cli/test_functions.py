"""The verbs as functions: the same options, defaults, results and refusals."""

import argparse
import importlib
import json
from pathlib import Path

import pytest

import pantile
from pantile.cli.functions import arguments_of, assignments
from pantile.cli.main import main
from pantile.contracts.errors import UserError
from pantile.data import Scenes, write_coco_panoptic

LINES = {
    "train": (["remax_nano", "--data", "scenes:2", "--limit", "3", "--set", "seed=2"],
              {"recipe": "remax_nano", "data": "scenes:2", "limit": 3, "set": ["seed=2"]}),
    "eval": (["runs/x", "--data", "scenes", "--scales", "0.5", "1", "--flip", "--tile", "64"],
             {"checkpoint": "runs/x", "data": "scenes", "scales": [0.5, 1], "flip": True, "tile": 64}),
    "predict": (["runs/x", "a.jpg", "b", "--out", "OUT", "--no-overlays"],
                {"checkpoint": Path("runs/x"), "images": ["a.jpg", Path("b")], "out": "OUT", "no_overlays": True}),
}  # fmt: skip


@pytest.mark.parametrize("verb", LINES)
def test_options_are_those_of_the_command_line(verb, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    words, values = LINES[verb]
    parser = argparse.ArgumentParser()
    importlib.import_module(f"pantile.cli.{verb}").add_arguments(parser)
    assert vars(arguments_of(verb, **values)) == vars(parser.parse_args(words))


def test_train_evaluate_and_predict(tmp_path, capfd):
    scenes = Scenes(2, size=(33, 33), seed=3)
    for split in ("train", "val"):
        write_coco_panoptic(scenes, tmp_path / "data", split)
    fields = {"training.steps": 1, "training.effective_batch": 2, "training.workers": 0, "augment.crop": [33, 33]}
    fields |= {"evaluation_size": [33, 33], "model.pretrained": False, "model.backbone": "test_resnet"}
    run = pantile.train("panoptic_deeplab_nano", tmp_path / "data", out=tmp_path / "run", set=fields)
    assert run == tmp_path / "run" and (run / "run.json").exists()
    found = pantile.evaluate(run, tmp_path / "data", weights="last", limit=1)
    assert [index for index, _ in found.per_image] == [0]
    made = pantile.predict(run, tmp_path / "data" / "val", tmp_path / "out", no_overlays=True)
    assert len(json.loads(made.json.read_text())["annotations"]) == 2 and not made.bad
    assert capfd.readouterr().out == ""  # results are returned, not printed

    numbers = tmp_path / "numbers.json"
    assert main(["eval", str(run), "--data", str(tmp_path / "data"), "--limit", "1", "--json", str(numbers)]) == 0
    assert json.loads(numbers.read_text()) == found.to_dict()
    with pytest.raises(UserError, match="the run folder exists"):
        pantile.train("panoptic_deeplab_nano", tmp_path / "data", out=run, set=fields)


def test_what_they_refuse(tmp_path):
    with pytest.raises(UserError, match="did you mean 'remax_nano'"):
        pantile.train("remax_nan", "scenes:2")
    with pytest.raises(TypeError, match=r"pantile train has no option 'step': .*config, data"):
        pantile.train("remax_nano", "scenes:2", step=3)
    with pytest.raises(TypeError, match="lr_range trains nothing"):
        pantile.train("remax_nano", "scenes:2", lr_range="1e-6:1")
    with pytest.raises(UserError, match="weights='newest': choose from best, last, ema"):
        pantile.evaluate("runs/x", "scenes", weights="newest")
    with pytest.raises(UserError, match="limit='many'"):
        pantile.evaluate("runs/x", "scenes", limit="many")
    assert assignments({"a.b": None, "c": [1, 2], "d": "x"}) == ["a.b=null", "c=[1, 2]", 'd="x"']


def test_predict_is_the_function_and_the_package():
    import pantile.predict.loading

    assert callable(pantile.predict) and pantile.predict.loading.load is pantile.load
    with pytest.raises(TypeError, match="no option 'nothing'"):
        pantile.predict("runs/x", "a.jpg", "out", nothing=1)
