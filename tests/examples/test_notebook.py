"""The notebook in ``examples/`` says and shows what running it gives, with fewer steps here."""

import json
from pathlib import Path

import pantile

NOTEBOOK = Path(__file__).parents[2] / "examples" / "first_run.ipynb"


def cells() -> list[dict]:
    return [cell for cell in json.loads(NOTEBOOK.read_text())["cells"] if cell["cell_type"] == "code"]


def test_every_cell_runs(monkeypatch, tmp_path, capsys):
    monkeypatch.chdir(tmp_path)
    sources = ["".join(cell["source"]) for cell in cells()]
    assert sources[0].count('"training.steps": 1000') == sources[1].count('"scenes:50,size=129"') == 1
    sources[0] = sources[0].replace('"training.steps": 1000', '"training.steps": 2, "training.validation_images": 2')
    sources[1] = sources[1].replace("scenes:50", "scenes:2")
    namespace: dict = {}
    for source in sources:
        exec(compile(source, NOTEBOOK, "exec"), namespace)
    assert isinstance(namespace["predictor"], pantile.Predictor)
    assert namespace["result"]._repr_jpeg_().startswith(b"\xff\xd8")


def test_it_was_executed_in_order_and_shows_a_picture():
    assert [cell["execution_count"] for cell in cells()] == list(range(1, len(cells()) + 1))
    shown = [output for cell in cells() for output in cell["outputs"]]
    assert any("image/jpeg" in output.get("data", {}) for output in shown)
    assert not any(output["output_type"] == "error" for output in shown)
    assert "/" + "home" not in NOTEBOOK.read_text()
