"""``pantile report RUN RUN``: several runs on one page, by the same counts as a score of their predictions."""

import shutil
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

import pantile.predict
from pantile.cli.main import main
from pantile.contracts.panoptic import PanopticMap
from pantile.data import CocoPanoptic, Scenes, write_coco_panoptic
from pantile.engine.checkpoint import save_weights
from pantile.engine.checkpoint_files import WEIGHTS
from pantile.engine.run_record import RunRecord
from pantile.engine.task import PanopticTask
from pantile.visualize import comparison_page
from tiny_runs import make_tiny_config

STEPS = ("step,train/loss,lr,val/pq", "1,{}.0,0.1,", "1,,,0.2{}", "3,4.0,0.05,", "3,,,0.5")


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    """Data, and two runs on it with other seeds and curves, but for their learning rates."""
    place = tmp_path_factory.mktemp("runs")
    scenes = Scenes(3, size=(65, 65), seed=4)
    for split in ("train", "val"):
        write_coco_panoptic(scenes, place / "data", split)
    taxonomy = CocoPanoptic(place / "data", "val").taxonomy
    state = PanopticTask(make_tiny_config(), taxonomy).state_dict()
    state = {k: v for k, v in state.items() if k.startswith(("model.", "techniques."))}
    for number, name in enumerate(("first", "second")):
        config = make_tiny_config()
        config.seed = number
        (place / name / "logs" / "from_step_0").mkdir(parents=True)
        (place / name / "logs" / "from_step_0" / "metrics.csv").write_text("\n".join(STEPS).format(5 + number, number))
        save_weights(place / name / WEIGHTS, state, config, taxonomy, 4, ("pq", 0.5 * number))
        RunRecord(str(place / "data")).save(place / name)
    return place


class TruthWithout:
    """A predictor that knows the answer, and forgets a number of segments of the first image."""

    def __init__(self, data: CocoPanoptic, forgotten: int) -> None:
        images = [data.load(index) for index in range(len(data))]
        self._answers = {np.asarray(image).tobytes(): truth for image, truth in images}
        name = np.asarray(images[0][0]).tobytes()
        truth = self._answers[name]
        kept = truth.segments[forgotten:]
        ids = np.where(np.isin(truth.ids, [s.id for s in kept]), truth.ids, 0)
        self._answers[name] = PanopticMap(ids, kept)

    def __call__(self, image: np.ndarray) -> SimpleNamespace:
        return SimpleNamespace(panoptic=self._answers[np.asarray(image).tobytes()])


@pytest.fixture
def predictors(place, monkeypatch) -> None:
    """The first run misses two segments of the first image, the second run nothing."""
    data = CocoPanoptic(place / "data", "val")
    forgotten = {0: 2, 1: 0}
    monkeypatch.setattr(
        pantile.predict, "predictor_of", lambda point: TruthWithout(data, forgotten[point.config.seed]), raising=False
    )


@pytest.fixture
def drawn(monkeypatch) -> list:
    """The pages that are written."""
    pages = []
    write = comparison_page.write_comparison_page
    monkeypatch.setattr(
        comparison_page, "write_comparison_page", lambda path, page: (pages.append(page), write(path, page))
    )
    return pages


def test_two_runs_stand_side_by_side_on_one_page(place, predictors, drawn, tmp_path, capsys):
    out = tmp_path / "page.html"
    assert main(["report", str(place / "first"), str(place / "second"), "--out", str(out)]) == 0
    assert capsys.readouterr().out.split() == [str(out)]
    (page,) = drawn
    assert page.names == ("first", "second")
    assert page.totals[1][0].value == 1 and page.totals[0][0].value < 1
    assert page.deltas[0][0].value == pytest.approx(1 - page.totals[0][0].value)
    (image,) = page.images
    assert image.name.endswith("000000.png") and image.qualities[1] == 1 and len(image.predictions) == 2
    lost = dict(page.errors)
    assert lost["missed"][0] > 0 and lost["missed"][1] == lost["split"][0] == 0
    assert ("Parameters", ["0.9 M", "0.9 M"]) in page.facts
    assert page.settings == [("seed", ["0", "1"])]
    assert [title for title, _ in page.curves] == ["Panoptic quality on the validation images", "Loss in training"]
    text = out.read_text()
    assert "weights of step 4 of 4, PQ 50.0" in text and text.count("data:image/jpeg") == 6 and "http" not in text


def test_a_run_in_another_order_of_classes_is_compared_by_name(place, drawn, tmp_path, monkeypatch):
    data = CocoPanoptic(place / "data", "val")
    taxonomy = data.taxonomy
    turned = replace(taxonomy, classes=taxonomy.classes[::-1])
    other = shutil.copytree(place / "second", tmp_path / "turned")
    state = PanopticTask(make_tiny_config(), turned).state_dict()
    state = {k: v for k, v in state.items() if k.startswith(("model.", "techniques."))}
    save_weights(other / WEIGHTS, state, make_tiny_config(), turned, 4, ("pq", 0.5))

    def predictor(point):
        answers = TruthWithout(data, 0)
        last = len(taxonomy) - 1
        if point.taxonomy == taxonomy:
            return answers
        return lambda image: SimpleNamespace(
            panoptic=PanopticMap(
                (answer := answers(image).panoptic).ids,
                tuple(replace(s, class_index=last - s.class_index) for s in answer.segments),
            )
        )

    monkeypatch.setattr(pantile.predict, "predictor_of", predictor, raising=False)
    with pytest.warns(UserWarning, match="another order"):
        assert (
            main(["report", str(place / "first"), str(other), "--limit", "2", "--out", str(tmp_path / "a.html")]) == 0
        )
    (page,) = drawn
    assert page.totals[0][0].value == page.totals[1][0].value == 1 and not page.images


def test_runs_that_cannot_be_compared_are_told(place, tmp_path, capsys):
    elsewhere = shutil.copytree(place / "second", tmp_path / "elsewhere")
    RunRecord(str(place / "data"), val_split="train").save(elsewhere)
    for second, sentence in (
        (place / "first", "names the same run twice"),
        (elsewhere, "compare runs of one data set and split"),
        (tmp_path / "nothing", "not a run folder"),
    ):
        capsys.readouterr()
        assert main(["report", str(place / "first"), str(second), "--out", str(tmp_path / "page.html")]) == 2
        error = capsys.readouterr().err.strip().splitlines()
        assert sentence in error[-1]
    assert not (tmp_path / "page.html").exists()
