"""RankSeg with the ranking of another run, of Query2Label: read once, kept for good, frozen."""

from dataclasses import replace

import pytest
import torch
from PIL import Image

from pantile.cli.main import main
from pantile.contracts.errors import UserError
from pantile.contracts.taxonomy import plain_taxonomy
from pantile.data import Scenes
from pantile.engine.checkpoint import load_checkpoint
from pantile.engine.config import override
from pantile.engine.evaluate import evaluate, load_task
from pantile.engine.run_record import RunRecord
from pantile.engine.train import train
from pantile.models import create_model
from pantile.recipes import make_recipe
from pantile.techniques.rankseg.network_head import NetworkHead
from tiny_runs import make_tiny_config


def tiny_run(recipe: str, *changes: str):
    config = make_tiny_config(recipe)
    config.training.steps, config.training.effective_batch, config.training.validation_images = 2, 2, 1
    return override(config, changes)


@pytest.fixture(scope="module")
def scenes() -> Scenes:
    return Scenes(3, size=(64, 64), seed=3)


@pytest.fixture(scope="module")
def classifier(scenes, tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "classifier"
    record = RunRecord.now("scenes", "train", "val", 3)
    return train(tiny_run("query2label_nano"), scenes, scenes, folder, record=record)


@pytest.fixture(scope="module")
def ranked(scenes, classifier, tmp_path_factory):
    """The folder that it read is moved away afterwards."""
    config = tiny_run(
        "segmenter_nano", f"techniques.rankseg.ranking_from={classifier}", "techniques.rankseg.selected=4"
    )
    folder = train(config, scenes, scenes, tmp_path_factory.mktemp("runs") / "ranked")
    away = classifier.with_name("away")
    classifier.rename(away)
    yield folder
    away.rename(classifier)


def test_a_classifier_is_measured_by_its_ranking_and_by_nothing_else(classifier, scenes):
    checkpoint = load_checkpoint(classifier)
    assert checkpoint.metric == "class_ap" and "mAP" in checkpoint.describe()
    result = evaluate(checkpoint, scenes)
    assert result.to_dict().keys() == {"presence"} and result.main_label == "mAP"
    assert result.main_value == result.to_dict()["presence"]["class_ap"]
    mean = sum(value for _, value in result.per_image) / 3
    assert mean == pytest.approx(result.to_dict()["presence"]["image_ap"])


def test_a_classifier_predicts_no_segments(classifier, scenes, capsys, tmp_path):
    Image.fromarray(scenes.load_image(0)).save(tmp_path / "x.png")
    assert main(["predict", str(classifier), str(tmp_path / "x.png"), "--out", str(tmp_path / "out")]) == 2
    assert "no segments to predict" in capsys.readouterr().err and not (tmp_path / "out").exists()


@torch.no_grad()
def test_the_selection_is_the_ranking_of_the_other_run(ranked, scenes):
    task = load_task(load_checkpoint(ranked))
    images = 255 * torch.rand(2, 3, 64, 64)
    output = task(images)
    network = task.techniques["rankseg"].network.network
    logits = network(network.normalised(images)).presence_logits
    torch.testing.assert_close(output.presence_logits, logits)
    assert torch.equal(output.classes, logits.sort(dim=1, descending=True, stable=True)[1][:, :4])


def test_the_network_stays_as_it_was(ranked, classifier):
    given = load_checkpoint(classifier.with_name("away")).part("model")
    kept = load_checkpoint(ranked).part("techniques.rankseg.host.ranking.head.network")
    assert kept.keys() == given.keys() and all(torch.equal(kept[name], given[name]) for name in given)


def test_the_run_needs_the_other_no_more(ranked, scenes):
    checkpoint = load_checkpoint(ranked)
    assert checkpoint.config.techniques.rankseg.ranker["channels"] == 64
    assert evaluate(checkpoint, scenes, limit=1).to_dict()["presence"]["selected"] == 4
    config = replace(checkpoint.config, training=replace(checkpoint.config.training, steps=3))
    train(config, scenes, scenes, ranked, resume=True)


def test_classes_in_another_order_are_put_in_place():
    names = ["a", "b", "c"]
    head = NetworkHead(create_model(make_recipe("query2label_nano").model, 3), 3)

    class Trained:
        taxonomy = plain_taxonomy(["c", "a", "b"], things=[])
        path = "run"

        def part(self, name):
            return head.network.state_dict()

    head.load(Trained(), names)
    head.images = 255 * torch.rand(1, 3, 33, 33)
    direct = head.network(head.network.normalised(head.images)).presence_logits[0]
    assert torch.equal(head(None, None, None).logits[0], direct[[1, 2, 0]])
    with pytest.raises(UserError, match="only one of them has 'c'"):
        head.load(Trained(), ["a", "b", "d"])


def test_a_run_of_another_model_is_refused(scenes, ranked, tmp_path):
    config = tiny_run("segmenter_nano", f"techniques.rankseg.ranking_from={ranked}")
    with pytest.raises(UserError, match="is a run of segmenter, which does not rank classes"):
        train(config, scenes, scenes, tmp_path / "run")
    assert not (tmp_path / "run").exists()
