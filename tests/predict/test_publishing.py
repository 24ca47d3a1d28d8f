"""A published run: a folder that loads, and a card made from what the run recorded."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

import pantile
from pantile.cli.main import main
from pantile.data import Scenes
from pantile.engine.checkpoint import load_checkpoint, save_weights
from pantile.engine.run_record import RunRecord, load_record
from pantile.engine.task import PanopticTask
from pantile.predict.publishing import model_card
from tiny_runs import make_tiny_config


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """What a training leaves behind, without the training."""
    folder = tmp_path_factory.mktemp("runs") / "first"
    folder.mkdir()
    config, taxonomy = make_tiny_config(), Scenes(1).taxonomy
    state = PanopticTask(config, taxonomy).state_dict()
    state = {name: value for name, value in state.items() if name.startswith(("model.", "techniques."))}
    save_weights(folder / "weights.safetensors", state, config, taxonomy, step=3, measured=("pq", 0.25))
    record = RunRecord("scenes", command="pantile train remax_nano --data scenes", started="2026-01-02 03:04")
    record.save(folder)
    return folder


def test_a_published_folder_loads_and_tells_of_the_run(run, tmp_path, capsys):
    folder = tmp_path / "published"
    assert main(["publish", str(run), str(folder), "--license", "cc-by-nc-4.0", "--pictures", "1"]) == 0
    assert capsys.readouterr().out.strip() == str(folder / "README.md")
    card = (folder / "README.md").read_text()
    header = card.split("---")[1]
    assert 'license: "cc-by-nc-4.0"' in header and "library_name: pantile" in header
    for told in ("`pantile train remax_nano --data scenes`", "PQ 25.0", "7 things: ", "![1](pictures/1.jpg)"):
        assert told in card
    assert str(run) not in card
    image = Scenes(1).load(0)[0]
    expected, found = pantile.load(run, device="cpu")(image), pantile.load(folder, device="cpu")(image)
    assert np.array_equal(found.map, expected.map)
    names = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert names == {"README.md", "weights.safetensors", "config.yaml", "pictures/1.jpg"}


def test_the_card_tells_the_measures_of_an_evaluation(run):
    classes = {"pq": 0.315, "sq": 0.562, "rq": 0.43, "n": 10}
    numbers = {
        "panoptic": {"all": classes, "things": classes | {"pq": 0.2}, "stuff": classes, "per_class": {"cat": classes}},
        "instance": {"ap": 0.078, "ap_small": float("nan"), "score_threshold": 0.5},
    }
    card = model_card(load_checkpoint(run), load_record(run), "mit", numbers, [])
    rows = [line for line in card.splitlines() if line.startswith("| ")][1:]
    assert rows[0] == "| panoptic pq, all | 31.5 |" and "| panoptic pq, things | 20.0 |" in rows
    assert rows[-1] == "| instance ap | 7.8 |" and len(rows) == 10


def refused(capsys, *arguments) -> str:
    assert main(["publish", *map(str, arguments)]) == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    return line


def test_what_cannot_be_published_is_refused(run, tmp_path, capsys):
    full = tmp_path / "full"
    full.mkdir()
    (full / "notes.txt").write_text("mine")
    assert "is not empty: name a new folder" in refused(capsys, run, full, "--license", "mit")
    assert "holds no weights.safetensors" in refused(capsys, full, tmp_path / "new", "--license", "mit")
    assert "--license is empty" in refused(capsys, run, tmp_path / "new", "--license", " ")
    record = json.loads((run / "run.json").read_text())
    lost = tmp_path / "lost"
    lost.mkdir()
    (lost / "weights.safetensors").write_bytes((run / "weights.safetensors").read_bytes())
    (lost / "run.json").write_text(json.dumps(record | {"data": str(tmp_path / "gone")}))
    assert "--pictures 0 does without them" in refused(capsys, lost, tmp_path / "new", "--license", "mit")
    assert not (tmp_path / "new").exists()
    assert main(["publish", str(lost), str(tmp_path / "new"), "--license", "mit", "--pictures", "0"]) == 0


def test_halves_take_half_the_bytes_and_predict_nearly_the_same(run, tmp_path):
    folder = tmp_path / "halves"
    assert main(["publish", str(run), str(folder), "--license", "mit", "--pictures", "0", "--precision", "fp16"]) == 0
    whole, halved = ((path / "weights.safetensors").stat().st_size for path in (run, folder))
    assert halved < 0.7 * whole
    image = Scenes(1).load(0)[0]
    expected, found = pantile.load(run, device="cpu"), pantile.load(folder, device="cpu")
    assert {tensor.dtype for tensor in load_checkpoint(folder).state.values()} <= {torch.float32, torch.int64}
    assert np.mean(found(image).map == expected(image).map) > 0.99


def test_numbers_beyond_halves_are_refused(run, tmp_path, capsys):
    large = tmp_path / "large"
    large.mkdir()
    checkpoint = load_checkpoint(run)
    name = max(checkpoint.state, key=lambda name: checkpoint.state[name].numel())
    checkpoint.state[name].flatten()[0] = 1e6
    save_weights(large / "weights.safetensors", checkpoint.state, checkpoint.config, checkpoint.taxonomy, step=3)
    (large / "run.json").write_text((run / "run.json").read_text())
    arguments = (large, tmp_path / "new", "--license", "mit", "--pictures", "0", "--precision", "fp16")
    assert f"{name} has numbers above 65504" in refused(capsys, *arguments)
    assert not (tmp_path / "new").exists()


def test_folders_of_this_machine_are_not_told(run, tmp_path):
    """Neither in the command nor as the file that the backbone started from, which nobody needs to have."""
    started = tmp_path / "started"
    started.mkdir()
    checkpoint = load_checkpoint(run)
    config = replace(
        checkpoint.config, model=replace(checkpoint.config.model, backbone_weights="/home/me/b.safetensors")
    )
    save_weights(started / "weights.safetensors", checkpoint.state, config, checkpoint.taxonomy, step=3)
    record = json.loads((run / "run.json").read_text())
    command = "pantile train x --data '/home/me/my photos' --set model.backbone_weights=/home/me/b.safetensors a=1"
    (started / "run.json").write_text(json.dumps(record | {"command": command}))
    folder = tmp_path / "published"
    assert main(["publish", str(started), str(folder), "--license", "mit", "--pictures", "1"]) == 0
    assert "--data 'my photos' --set model.backbone_weights=b.safetensors a=1`" in (folder / "README.md").read_text()
    for file in folder.rglob("*.*"):
        assert b"/home/me" not in file.read_bytes()
