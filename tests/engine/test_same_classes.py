"""Classes that differ between splits, or between a run and its data: matched by name, or refused before the work."""

import json
import shutil
from dataclasses import replace

import pytest
import torch

from pantile.cli.report import report_run
from pantile.contracts.errors import UserError
from pantile.contracts.taxonomy import ClassInfo, Taxonomy
from pantile.data import Scenes, Subset, with_classes, write_coco_panoptic
from pantile.engine.checkpoint import LAST, load_checkpoint
from pantile.engine.config import override
from pantile.engine.evaluate import evaluate
from pantile.engine.run_record import RunRecord
from pantile.engine.train import train
from tiny_runs import make_tiny_config

SHUFFLED = "lists the classes of .* in another order: they are matched by name"


def relabelled(scenes: Scenes, change) -> Subset:
    """The same images and maps, whose class list is another."""
    other = Subset(scenes, range(len(scenes)))
    other.taxonomy = Taxonomy(tuple(change(list(scenes.taxonomy.classes))))
    return other


def backwards(scenes: Scenes):
    """The same labels, read from a file that lists its classes the other way round."""
    with pytest.warns(UserWarning, match=SHUFFLED):
        return with_classes(scenes, Taxonomy(scenes.taxonomy.classes[::-1]), "the file", "the test", "")


CHANGES = {
    "another number": (lambda c: [*c, ClassInfo("new", True, 99, (0, 0, 0))], "lacks new"),
    "another name": (lambda c: [replace(c[0], name="new"), *c[1:]], "lacks new"),
    "another flag": (lambda c: [replace(c[0], is_thing=not c[0].is_thing), *c[1:]], "is thing in|is stuff in"),
}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A short run; the scenes it was trained on."""
    scenes, folder = Scenes(4, size=(65, 65), seed=3), tmp_path_factory.mktemp("classes") / "run"
    config = override(make_tiny_config(), ["training.steps=2"])
    train(config, scenes, scenes, folder, record=RunRecord("scenes:4"))
    return scenes, folder


def test_a_validation_set_in_another_order_gives_the_same_numbers(run, tmp_path):
    scenes, folder = run
    config = override(make_tiny_config(), ["training.steps=2"])
    with pytest.warns(UserWarning, match="The validation split lists the classes of the training split in another ord"):
        other = train(config, scenes, backwards(scenes), tmp_path / "run")
    rows = [(path / "logs/from_step_0000000/metrics.csv").read_text().splitlines() for path in (folder, other)]
    column = rows[0][0].split(",").index("val/pq")
    assert rows[0][0] == rows[1][0]
    assert [r.split(",")[column] for r in rows[0]] == [r.split(",")[column] for r in rows[1]]


@pytest.mark.parametrize("change", CHANGES)
def test_other_classes_are_refused_by_training_resuming_and_evaluating(run, tmp_path, change):
    scenes, folder = run
    alter, told = CHANGES[change]
    other, config = relabelled(scenes, alter), make_tiny_config()
    before = (folder / LAST).read_bytes()
    with pytest.raises(UserError, match=f"validation split.*({told}).*give both splits the same categories"):
        train(config, scenes, other, tmp_path / "run")
    assert not (tmp_path / "run").exists()
    with pytest.raises(UserError, match=f"classes of the training split are not the .* of the run.*({told})"):
        train(config, other, other, folder, resume=True)
    assert (folder / LAST).read_bytes() == before
    with pytest.raises(UserError, match=f"({told}).*fine-tune with `pantile train"):
        evaluate(load_checkpoint(folder), other)


def test_a_checkpoint_on_data_in_another_order_gives_the_same_numbers(run):
    scenes, folder = run
    expected = evaluate(load_checkpoint(folder), scenes)
    with pytest.warns(UserWarning, match="The data lists the classes of the model .* in another order"):
        found = evaluate(load_checkpoint(folder), backwards(scenes))
    assert found.per_image == expected.per_image and found.to_dict() == expected.to_dict()


def test_a_resumed_run_keeps_the_order_that_it_was_started_with(run, tmp_path):
    scenes, folder = run
    config = override(make_tiny_config(), ["training.steps=3", "training.validate_every=1"])
    plain, turned = (shutil.copytree(folder, tmp_path / name) for name in ("plain", "turned"))
    train(config, scenes, scenes, plain, resume=True)
    with pytest.warns(UserWarning, match=SHUFFLED):
        train(config, backwards(scenes), backwards(scenes), turned, resume=True)
    one, other = (load_checkpoint(path / LAST) for path in (plain, turned))
    assert one.step == 3 and other.taxonomy == scenes.taxonomy
    assert all(torch.equal(one.state[name], other.state[name]) for name in one.state)


def test_a_report_measures_in_the_order_of_the_run(run, tmp_path):
    scenes, folder = run
    write_coco_panoptic(scenes, tmp_path / "data", "val")
    write_coco_panoptic(scenes, tmp_path / "data", "train")
    for path in (tmp_path / "data" / "annotations").glob("*.json"):
        content = json.loads(path.read_text())
        content["categories"].reverse()
        path.write_text(json.dumps(content))
    copy = shutil.copytree(folder, tmp_path / "run")
    RunRecord(str(tmp_path / "data")).save(copy)
    with pytest.warns(UserWarning, match=SHUFFLED):
        assert report_run(copy, images=0).exists()
