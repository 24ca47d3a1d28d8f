"""Every verb that opens a run says in one line which step its weights are of, and takes the best or the last."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

import pantile
from pantile.cli.main import main
from pantile.contracts.errors import UserError
from pantile.data import Scenes, write_coco_panoptic
from pantile.engine.checkpoint import LAST, LAST_WEIGHTS, WEIGHTS, load_checkpoint, save_weights
from pantile.engine.run_record import RunRecord
from pantile.engine.task import PanopticTask
from tiny_runs import make_tiny_config


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with data/ and run/, whose best weights are of step 30 and whose last are of step 60."""
    place, scenes = tmp_path_factory.mktemp("weights"), Scenes(1, size=(33, 33), seed=3)
    for split in ("train", "val"):
        write_coco_panoptic(scenes, place / "data", split)
    config = make_tiny_config("mask2former_nano")
    config.evaluation_size, config.training.steps = (33, 33), 60
    config.model = replace(config.model, pretrained=False)
    for name, step, value in ((WEIGHTS, 30, 0.402), (LAST_WEIGHTS, 60, 0.389)):
        torch.manual_seed(step)
        state = PanopticTask(config, scenes.taxonomy).state_dict()
        state = {k: v for k, v in state.items() if k.startswith(("model.", "techniques."))}
        save_weights(place / "run" / name, state, config, scenes.taxonomy, step, ("pq", value))
    RunRecord(str(place / "data")).save(place / "run")
    return place


BEST, LAST_ONES = "weights of step 30 of 60, PQ 40.2 (best validation)", "weights of step 60 of 60, PQ 38.9 (last)"
VERBS = {
    "eval": "eval RUN --data DATA --limit 1",
    "predict": "predict RUN DATA/val --out OUT --no-overlays",
    "report": "report RUN --images 0 --out OUT.html",
    "convert": "convert mask2former RUN --to original --out OUT.pth",
}


@pytest.mark.parametrize(
    ("verb", "weights"), [("eval", None), ("predict", None), ("convert", None), ("report", "last")]
)
def test_the_verb_says_which_weights_it_uses(verb, weights, place, tmp_path, capfd):
    words = VERBS[verb].replace("RUN", str(place / "run")).replace("DATA", str(place / "data"))
    arguments = words.replace("OUT", str(tmp_path / "out")).split()
    refused = 2 if verb == "convert" else 0  # the original has no nano backbone; which weights these are is told before
    assert main(arguments + (["--weights", weights] if weights else [])) == refused
    said = [line for line in capfd.readouterr().err.splitlines() if line.startswith("pantile: weights")]
    file = place / "run" / (LAST_WEIGHTS if weights else WEIGHTS)
    assert said == [f"pantile: {LAST_ONES if weights else BEST}: {file}"]
    if verb == "report":
        assert (LAST_ONES if weights else BEST) in (tmp_path / "out.html").read_text()


def test_the_library_loads_either(place):
    run = place / "run"
    for weights, step in ((None, 30), ("best", 30), ("last", 60)):
        loaded = pantile.load(run, device="cpu", weights=weights).task.model
        other = pantile.load(run / (WEIGHTS if step == 30 else LAST_WEIGHTS), device="cpu").task.model
        assert all(torch.equal(a, b) for a, b in zip(loaded.parameters(), other.parameters(), strict=True))
        assert load_checkpoint(run, weights).step == step
    with pytest.raises(UserError, match="choose from best, last"):
        pantile.load(run, weights="newest")
    with pytest.raises(UserError, match="chooses among the files of a run folder"):
        pantile.load(run / WEIGHTS, weights="last")


@pytest.mark.parametrize(
    "arguments", ["train mask2former_nano --data scenes:2 --weights last", "eval FILE --data DATA --weights last"]
)
def test_a_choice_without_a_run_folder_is_refused(arguments, place, capsys):
    words = arguments.replace("FILE", str(place / "run" / WEIGHTS)).replace("DATA", str(place / "data"))
    assert main(words.split()) == 2
    assert "weights" in capsys.readouterr().err


def test_a_run_before_its_first_validation_gives_its_checkpoint(place, tmp_path):
    config = load_checkpoint(place / "run").config
    content = {"pantile": {"config": json.loads(json.dumps(config, default=vars)), "step": 7}, "state_dict": {}}
    content["pantile"]["taxonomy"] = load_checkpoint(place / "run").taxonomy.to_dict()
    (tmp_path / LAST).parent.mkdir()
    torch.save(content, tmp_path / LAST)
    for weights in (None, "best", "last"):
        assert load_checkpoint(tmp_path, weights).describe().startswith("weights of step 7 of 60, not measured (last)")
