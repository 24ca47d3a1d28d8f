"""``write_inside``: the figures of the report, one PNG each."""

import numpy as np
from PIL import Image

from pantile.contracts.taxonomy import plain_taxonomy
from pantile.engine.task import PanopticTask
from pantile.predict.images import ImageFile
from pantile.predict.inside import write_inside
from pantile.predict.predictor import Predictor
from tiny_runs import make_tiny_config


def test_figures_of_an_image(tmp_path):
    config = make_tiny_config("max_nano")
    predictor = Predictor(PanopticTask(config, plain_taxonomy(["sky", "car"], things=["car"])))
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (48, 65, 3), dtype=np.uint8)).save(tmp_path / "x.png")
    written = write_inside(predictor, [ImageFile(tmp_path / "x.png", "sub/x.png")], tmp_path / "inside")
    assert written and all(path.is_file() for path in written)
    assert written[0] == tmp_path / "inside" / "sub" / "x_1.png"
