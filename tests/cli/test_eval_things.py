"""What ``pantile eval`` and ``pantile report`` say of things: printed, written, drawn."""

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pantile.cli.confused_things import confused_things, write_pictures
from pantile.cli.eval import print_results
from pantile.cli.main import main
from pantile.contracts.panoptic import PanopticMap, Segment
from pantile.contracts.predictions import Prediction
from pantile.contracts.taxonomy import Taxonomy
from pantile.data import Scenes, write_coco_panoptic
from pantile.engine.config import override
from pantile.engine.meters import ALL_TASKS, Evaluation, Meters
from pantile.engine.train import train
from pantile.visualize import ConfusedThing
from tiny_runs import make_tiny_config


@pytest.fixture(scope="module")
def scenes() -> Scenes:
    return Scenes(4, size=(65, 65), seed=3)


def one_thing(truth: PanopticMap, taxonomy) -> PanopticMap:
    """All true things of an image as one segment."""
    things = [s for s in truth.segments if taxonomy.classes[s.class_index].is_thing and not s.is_crowd]
    ids = np.where(np.isin(truth.ids, [s.id for s in things]), things[0].id, 0).astype(np.int32)
    return PanopticMap(ids, (Segment(things[0].id, things[0].class_index, score=0.9),))


def evaluated(scenes: Scenes, predict) -> Evaluation:
    meters = Meters(scenes.taxonomy, ALL_TASKS)
    truths = [scenes.load(index)[1] for index in range(len(scenes))]
    meters.update([Prediction(predict(truth, scenes.taxonomy)) for truth in truths], truths, range(len(scenes)))
    return meters.compute()


def below_the_table(printed: str) -> list[str]:
    """What is said beside panoptic quality."""
    lines = printed.splitlines()
    return lines[next(k for k, line in enumerate(lines) if line.startswith("└")) + 1 :]


def test_right_predictions_are_told_as_such(scenes, capsys):
    things = evaluated(scenes, lambda truth, taxonomy: PanopticMap(truth.ids, truth.segments))
    print_results(things)
    lines = below_the_table(capsys.readouterr().out)
    zeros = " ".join(f"{t}:0.0" for t in range(5, 55, 5))
    assert lines[:2] == [
        "things: pixel accuracy 100.0, pixel precision 100.0",
        f"things: confused, at T % of two things each: {zeros}",
    ]
    assert lines[2].startswith("instance: AP ")
    assert lines[3].startswith("instance, scores from 0.5: pixel accuracy ")
    assert [line.partition(":")[0] for line in lines[4:]] == ["instance, scores from 0.5", "semantic"]


def test_confusion_is_told_in_percent(scenes, capsys):
    print_results(evaluated(scenes, one_thing))
    shares = re.search(r"things: confused, .*: (5:.*)", capsys.readouterr().out)[1].split()
    assert shares == [f"{t}:100.0" for t in range(5, 55, 5)]


def test_without_things_nothing_is_told_of_them(scenes, capsys):
    meters = Meters(scenes.taxonomy)
    void = PanopticMap(np.zeros((4, 4), np.int32), ())
    meters.update([Prediction(void)], [void], [0])
    print_results(meters.compute())
    assert below_the_table(capsys.readouterr().out) == []


def test_the_named_images_are_predicted_again_and_drawn(scenes):
    seen = []

    def predictor(image: np.ndarray) -> Prediction:
        index = next(i for i in range(len(scenes)) if np.array_equal(scenes.load(i)[0], image))
        seen.append(index)
        return Prediction(one_thing(scenes.load(index)[1], scenes.taxonomy))

    worst = evaluated(scenes, one_thing).confused
    assert {share for _, share in worst} == {1.0} and len(worst) > 2
    things = confused_things(predictor, scenes, worst[:2])
    assert seen == [index for index, _ in worst[:2]]
    assert [thing.name for thing in things] == [scenes.name_of(index) for index in seen]
    assert all("over 100 % of one thing, 100 % of another" in thing.note for thing in things)
    assert all(thing.picture.ndim == 3 and thing.picture.shape[1] > 500 for thing in things)


def test_a_prediction_that_is_no_longer_confused_is_left_out(scenes):
    def right(image: np.ndarray) -> Prediction:
        index = next(i for i in range(len(scenes)) if np.array_equal(scenes.load(i)[0], image))
        truth = scenes.load(index)[1]
        return Prediction(PanopticMap(truth.ids, truth.segments))

    assert confused_things(right, scenes, [(0, 0.9)]) == []


def test_pictures_are_named_by_rank_and_image(tmp_path, capsys):
    pictures = [ConfusedThing(f"sub/{name}.jpg", "", np.full((4, 5, 3), 7, np.uint8)) for name in ("b", "a")]
    write_pictures(pictures, tmp_path / "new")
    assert sorted(p.name for p in (tmp_path / "new").iterdir()) == ["01_b.png", "02_a.png"]
    assert (np.asarray(Image.open(tmp_path / "new" / "02_a.png")) == 7).all()
    write_pictures([], tmp_path / "none")
    assert "No predicted thing covers" in capsys.readouterr().out


def test_from_the_command_line(tmp_path: Path):
    """An untrained model of a data set in which everything is a thing."""
    scenes = Scenes(4, size=(65, 65), seed=3)
    scenes.taxonomy = Taxonomy(tuple(replace(c, is_thing=True) for c in scenes.taxonomy.classes))
    for split in ("train", "val"):
        write_coco_panoptic(scenes, tmp_path / "data", split)
    config = override(
        make_tiny_config("mask2former_nano"),
        ["training.steps=1", "merge.object_threshold=0", "merge.overlap_threshold=0", "merge.pixel_test=false"],
    )
    run = train(config, scenes, scenes, tmp_path / "run")
    arguments = ["eval", str(run), "--data", str(tmp_path / "data"), "--json", str(tmp_path / "eval.json")]
    assert main([*arguments, "--confused", str(tmp_path / "pictures")]) == 0
    content = json.loads((tmp_path / "eval.json").read_text())
    confusion = content["thing_confusion"]
    confused = round(confusion["share_at_percent"]["5"] * confusion["segments"])
    assert confused > 0
    assert len(list((tmp_path / "pictures").iterdir())) == min(12, confused)
    assert {"thing_pixels", "thing_confusion", "score_threshold", "ap_small"} <= content["instance"].keys()
