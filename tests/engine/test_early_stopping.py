"""A run whose validations get no better ends early; which metric counts is checked by name."""

import pytest
import torch

from pantile.contracts.errors import UserError
from pantile.data import Scenes
from pantile.engine.checkpoint import load_checkpoint
from pantile.engine.config import override
from pantile.engine.measures import best_metric, validation_tasks
from pantile.engine.task import PanopticTask
from pantile.engine.train import train
from tiny_runs import make_tiny_config

SCENES = Scenes(2, size=(33, 33), seed=3)


def test_a_run_ends_when_its_patience_does(tmp_path, monkeypatch):
    qualities = {"val/miou": [0.3, 0.2, 0.3, 0.4], "val/ema_miou": [0.1, 0.2, 0.2, 0.2]}
    log, validations = PanopticTask.log_dict, []

    def measured(task: PanopticTask, values: dict, **options: object) -> None:
        if "val/miou" in values and options["prog_bar"] is False:
            values = values | {k: torch.tensor(own[len(validations)]) for k, own in qualities.items()}
            validations.append(task.global_step)
        log(task, values, **options)

    monkeypatch.setattr(PanopticTask, "log_dict", measured)
    config = make_tiny_config("deeplabv3_nano")
    config.augment.crop = config.evaluation_size = (33, 33)
    settings = [
        "model.pretrained=false",
        "model.backbone=test_resnet",
        "training.effective_batch=1",
        "training.validate_every=0.25",
    ]
    settings += ["training.average.decay=0.9", "training.patience=1", "training.validation_images=1"]
    config = override(config, settings)
    run = train(config, SCENES, SCENES, tmp_path / "run")
    assert validations == [1, 2, 3]  # the second was better for the average, the third for none
    assert [load_checkpoint(run, w).step for w in ("best", "last", "ema", "ema-last")] == [3, 3, 3, 3]
    train(config, SCENES, SCENES, run, resume=True)
    assert validations == [1, 2, 3] and load_checkpoint(run, "last").step == 3
    train(override(config, ["training.patience=null"]), SCENES, SCENES, run, resume=True)
    assert validations == [1, 2, 3, 4] and load_checkpoint(run).value == pytest.approx(0.4)


def test_a_metric_is_known_by_its_name():
    config = make_tiny_config()
    for name, tasks in (("ap50", {"panoptic", "instance"}), ("rq", {"panoptic"})):
        wanted = override(config, [f"training.best_metric={name}"])
        assert best_metric(wanted) == name and validation_tasks(wanted) == tasks
    with pytest.raises(UserError, match="best_metric is 'pq_thing', which no validation measures; did you mean 'pq_th"):
        best_metric(override(config, ["training.best_metric=pq_thing"]))
    with pytest.raises(UserError, match=r"choose from auto, .*miou"):
        best_metric(override(config, ["training.best_metric=f1"]))
