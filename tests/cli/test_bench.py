"""``pantile bench grid`` from the command line, with a short training for PQ."""

import csv

import pytest

from pantile.cli.main import main
from pantile.recipes import swidernet_grid


def test_grid_measures_trains_and_draws(tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(swidernet_grid.SPACES, "fast", ((0.25,), (0.25,), (0.35,)))
    out = tmp_path / "grid"
    arguments = ["bench", "grid", "--space", "fast", "--out", str(out), "--size", "65x65", "--repeats", "1"]
    arguments += ["--data", "scenes:4", "--steps", "2", "--limit", "2", "--set", "augment.crop=[65,65]"]
    arguments += [
        "evaluation_size=[65,65]",
        "training.effective_batch=2",
        "training.workers=0",
        "training.precision=fp32",
    ]
    arguments += ["training.validation_images=2"]
    assert main(arguments) == 0
    with (out / "grid.csv").open(newline="") as file:
        (row,) = csv.DictReader(file)
    assert row["name"] == "swidernet_0.25_0.25_0.35" and row["status"] == "ok"
    assert float(row["latency_ms"]) > 0 and 0 <= float(row["pq"]) <= 1
    assert (out / "grid.png").stat().st_size > 5000
    assert "swidernet_0.25_0.25_0.35" in capsys.readouterr().out  # whole, also in a narrow terminal


@pytest.mark.parametrize("lonely", [["--data", "scenes:4"], ["--steps", "5"]])
def test_data_and_training_belong_together(lonely, tmp_path, capsys):
    assert main(["bench", "grid", "--space", "fast", "--out", str(tmp_path / "grid"), *lonely]) == 2
    assert "--data" in capsys.readouterr().err
