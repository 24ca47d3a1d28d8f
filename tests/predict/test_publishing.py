"""A published run: a folder that loads, and a card made from what the run recorded."""

import json

import numpy as np
import pytest

import pantile
from pantile.cli.main import main
from pantile.data import Scenes
from pantile.engine.checkpoint import save_weights
from pantile.engine.run_record import RunRecord
from pantile.engine.task import PanopticTask
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
