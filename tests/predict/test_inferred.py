"""A prediction in two steps, network and merge, is the prediction in one."""

from dataclasses import replace

import numpy as np
import pytest

import pantile
from pantile.data import Scenes
from pantile.engine.task import PanopticTask
from pantile.predict import Predictor
from runtime.handmade_onnx import header, write_handmade
from tiny_runs import make_tiny_config

SCENES = Scenes(3, size=(65, 65), seed=3)
#: of one size, and so of one input
IMAGES = [SCENES.load_image(index)[:50, :44] for index in range(3)]


def of_checkpoint(folder):
    return Predictor(PanopticTask(make_tiny_config("maskformer_nano"), SCENES.taxonomy))


def of_file(folder):
    pytest.importorskip("onnxruntime")
    pytest.importorskip("onnx")
    return pantile.load(write_handmade(folder / "model.onnx", header().to_json()))


@pytest.mark.parametrize("make", [of_checkpoint, of_file])
def test_network_and_merge_give_what_the_predictor_gives(make, tmp_path):
    predictor = make(tmp_path)
    inferred = predictor.infer(IMAGES)
    assert len(inferred) == 3
    for image, one in zip(IMAGES, inferred, strict=True):
        (alone,) = predictor.infer([image])
        expected, found = predictor(image), predictor.merge(alone)
        assert np.array_equal(found.map, expected.map) and found.segments == expected.segments
        assert found.image is image and found.per_class == expected.per_class == predictor.per_class
        assert (predictor.merge(one).map != expected.map).mean() < 0.01  # sums of a batch are rounded otherwise
        assert one.placement == predictor.placement(image) and one.nbytes > image.nbytes


def test_merging_again_with_other_thresholds(tmp_path):
    predictor = of_file(tmp_path)
    (inferred,) = predictor.infer(IMAGES[:1])
    everything = replace(predictor.merge_config, thing_area_limit=10**6, stuff_area_limit=10**6)
    assert predictor.merge(inferred).segments and not predictor.merge(inferred, everything).segments
