"""A pixel classifier on its way through a run: trained, validated, measured, predicted, reported, refused."""

import contextlib
import io
import json

import numpy as np
import pytest
from PIL import Image

from pantile.cli.main import main
from pantile.contracts.taxonomy import plain_taxonomy
from pantile.data import Scenes
from pantile.data.image_files import read_panoptic_png
from pantile.engine.checkpoint import load_checkpoint
from pantile.engine.config import RunConfig, override
from pantile.engine.evaluate import evaluate
from pantile.engine.measures import best_metric, validation_tasks
from pantile.engine.run_record import RunRecord
from pantile.engine.task import PanopticTask
from pantile.engine.train import train
from pantile.inference.tiles import Tiling
from pantile.inference.views import Views
from pantile.recipes import make_recipe
from pantile.visualize.run_log import read_run_log
from tiny_runs import make_tiny_config


def make_config(*changes: str) -> RunConfig:
    config = make_recipe("segmenter_nano")
    config.augment.crop = config.evaluation_size = (64, 64)
    training = config.training
    training.steps, training.effective_batch, training.workers = 4, 2, 0
    training.validate_every, training.validation_images, training.log_every = 0.5, 2, 1
    training.precision = "fp32"
    return override(config, changes)


@pytest.fixture(scope="module")
def scenes() -> Scenes:
    return Scenes(4, size=(64, 64), seed=3)


@pytest.fixture(scope="module")
def run(scenes, tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "semantic"
    return train(make_config(), scenes, scenes, folder, record=RunRecord.now("scenes", "train", "val", 4))


def printed(*words: str) -> str:
    with contextlib.redirect_stdout(io.StringIO()) as text:
        assert main(list(words)) == 0
    return text.getvalue()


def test_the_best_weights_are_those_of_the_largest_mean_iou(run):
    checkpoint = load_checkpoint(run / "weights.safetensors")
    log = read_run_log(run)["val/miou"]
    assert checkpoint.metric == "miou" and checkpoint.value == pytest.approx(np.nanmax(log), abs=1e-6)
    assert "mIoU" in checkpoint.describe()


def test_nothing_is_said_of_instances_and_things(run, scenes):
    result = evaluate(load_checkpoint(run / "weights.safetensors"), scenes, limit=2)
    assert result.to_dict().keys() == {"panoptic", "semantic"} and result.confused == []
    assert 0 <= result.to_dict()["semantic"]["miou"] <= 1


@pytest.mark.parametrize(
    "way", [{"tiling": Tiling(48)}, {"views": Views((1.0, 1.5), flip=True)}], ids=["tiles", "views"]
)
def test_tiles_and_views(run, scenes, way):
    result = evaluate(load_checkpoint(run / "weights.safetensors"), scenes, limit=1, **way)
    assert result.to_dict()["semantic"]["pixel_accuracy"] is not None


def test_files_say_that_a_segment_is_a_class(run, scenes, tmp_path):
    Image.fromarray(scenes.load_image(0)).save(tmp_path / "a.png")
    printed("predict", str(run), str(tmp_path / "a.png"), "--out", str(tmp_path / "out"))
    annotations = tmp_path / "out" / "annotations"
    content = json.loads((annotations / "panoptic_predictions.json").read_text())
    assert content["info"]["segments"] == "per class"
    (row,) = content["annotations"]
    classes = [segment["category_id"] for segment in row["segments_info"]]
    assert len(set(classes)) == len(classes)
    ids = read_panoptic_png(annotations / "panoptic_predictions" / "a.png")
    assert set(np.unique(ids).tolist()) == {segment["id"] for segment in row["segments_info"]}


def test_the_report_begins_with_mean_iou_and_has_no_things(run):
    printed("report", str(run), "--limit", "1", "--images", "1")
    page = (run / "report.html").read_text()
    assert 0 < page.index(">mIoU<") < page.index(">PQ<")
    assert "<span>mIoU " in page and "<span>PQ " not in page  # of single images
    assert 'id="things"' not in page and "From pixels to classes" in page


def test_eval_prints_classes_and_no_average_precision(run):
    text = printed("eval", str(run), "--data", "scenes", "--limit", "1")
    assert "mIoU" in text and "AP50" not in text and "confused" not in text
    # the main metric first and class by class, then panoptic quality
    assert 0 < text.index("mIoU") < text.index("IoU", text.index("mIoU") + 4) < text.index("PQ")


def test_confusion_of_things_is_refused(run, capsys, tmp_path):
    assert main(["eval", str(run), "--data", "scenes", "--limit", "1", "--confused", str(tmp_path / "x")]) == 2
    assert "tells no things apart" in capsys.readouterr().err


def test_models_info_counts_it():
    assert json.loads(printed("models", "info", "segmenter_nano", "--json"))["parameters"] > 0


def test_data_without_things():
    taxonomy = plain_taxonomy(["sky", "road"], things=[])
    measured = PanopticTask(make_config(), taxonomy).meters.metrics.keys()
    assert measured == {"panoptic_quality", "semantic_quality"}


def test_the_main_metric_comes_from_the_merge_unless_the_config_names_one():
    assert best_metric(make_config()) == "miou" and best_metric(make_tiny_config()) == "pq"
    assert best_metric(make_config("training.best_metric=pq_stuff")) == "pq_stuff"
    wanted = override(make_tiny_config(), ["training.best_metric=miou"])
    assert validation_tasks(wanted) == {"panoptic", "semantic"}
