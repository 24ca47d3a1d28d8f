"""``predict --inside``: the figures of the report, one PNG each, from the command line and from Python."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pantile.cli.main import main
from pantile.contracts.taxonomy import plain_taxonomy
from pantile.engine.checkpoint import save_weights
from pantile.engine.task import PanopticTask
from pantile.predict.images import ImageFile
from pantile.predict.inside import write_inside
from pantile.predict.predictor import Predictor
from tiny_runs import make_tiny_config

TAXONOMY = plain_taxonomy(["sky", "car"], things=["car"])


@pytest.fixture
def photo(tmp_path) -> Path:
    path = tmp_path / "photos" / "x.png"
    path.parent.mkdir()
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (48, 65, 3), dtype=np.uint8)).save(path)
    return path


def test_figures_of_an_image(photo, tmp_path):
    predictor = Predictor(PanopticTask(make_tiny_config("max_nano"), TAXONOMY))
    written = write_inside(predictor, [ImageFile(photo, "sub/x.png")], tmp_path / "inside")
    assert written and all(path.is_file() for path in written)
    assert written[0] == tmp_path / "inside" / "sub" / "x_1.png"


@pytest.mark.parametrize("recipe", ["max_nano", "cmt_nano", "panoptic_deeplab_nano"])
def test_from_the_command_line(recipe, photo, tmp_path):
    task = PanopticTask(make_tiny_config(recipe), TAXONOMY)
    weights = tmp_path / "weights.safetensors"
    save_weights(weights, task.state_dict(), task.config, TAXONOMY, step=None)
    arguments = ["predict", weights, photo.parent, "--out", tmp_path / "out", "--inside", tmp_path / "inside"]
    assert main([str(argument) for argument in arguments]) == 0
    figures = sorted((tmp_path / "inside").iterdir())
    assert figures and [path.name for path in figures] == [f"x_{i + 1}.png" for i in range(len(figures))]
    for path in figures:
        with Image.open(path) as picture:
            assert min(picture.size) > 64
            assert len(picture.convert("RGB").getcolors(2**24)) > 10  # something is drawn
