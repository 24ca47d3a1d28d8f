"""What a training says: lines where no terminal shows a bar, a warning at PQ 0, a table at the end."""

import warnings

from pantile.data import Scenes
from pantile.engine.config import override
from pantile.engine.train import train
from tiny_runs import make_tiny_config

SCENES = Scenes(2, size=(33, 33), seed=3)
SETTINGS = ["model.pretrained=false", "model.backbone=test_resnet", "training.validation_images=1"]
SETTINGS += ["training.effective_batch=2", "training.device_batch=1", "training.log_every=2"]


def test_a_run_tells_its_steps_validations_and_files(tmp_path, capfd):
    config = make_tiny_config("deeplabv3_nano")
    config.augment.crop = config.evaluation_size = (33, 33)
    config = override(config, [*SETTINGS, "training.best_metric=pq", "training.average.decay=0.5"])
    run = tmp_path / "run"
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        train(config, SCENES, SCENES, run)
    out, said = capfd.readouterr()
    assert out == ""  # nothing between a script and the run folder that the verb prints
    steps = [line for line in said.splitlines() if line.startswith("step ")]
    assert [line.split(":")[0] for line in steps] == ["step 2 of 4", "step 4 of 4"]
    assert "learning rate" in steps[1] and "steps/s, 0:00:00 left" in steps[1]
    validated = "validation after step 4: PQ 0.0 %, PQ of the average of the weights 0.0 %"
    assert validated in said.splitlines()
    (zero,) = [str(warning.message) for warning in told if "is still 0" in str(warning.message)]
    assert zero.startswith(
        "PQ is still 0 after 2 steps (4 images, the training set 2.0 times). What usually helps: more"
    )
    table = [line.split() for line in said[said.index("4 of 4 steps in") :].splitlines()]
    for kind, file in (("best", "weights"), ("last", "last"), ("average, best", "ema"), ("average, last", "ema_last")):
        assert [*kind.split(), "4", "0.0", f"{file}.safetensors"] in table
