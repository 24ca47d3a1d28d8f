"""A run's windows on the way from an image to its prediction, in validation as in prediction."""

import numpy as np
import pytest
import torch

from pantile.data import EvaluationSamples, FitConfig, Scenes
from pantile.data.evaluation_samples import collate_evaluation
from pantile.data.resize import image_tensor
from pantile.engine.task import PanopticTask
from pantile.inference.images import predict_image
from pantile.inference.tiles import Tiling
from pantile.inference.views import Views
from pantile.inference.windows import Windows
from tiny_runs import make_recipe

SCENES = Scenes(1, size=(50, 80))


@pytest.fixture(scope="module")
def task() -> PanopticTask:
    torch.manual_seed(0)
    config = make_recipe("segmenter_nano")
    config.evaluation_size = FitConfig(short_side=48, long_side=77, multiple=1)
    config.windows = Windows((32, 32), (24, 24))
    return PanopticTask(config, SCENES.taxonomy).eval()


@torch.no_grad()
def test_the_network_sees_windows_in_every_view_and_tile(task) -> None:
    sample = EvaluationSamples(SCENES, task.config.evaluation_size)[0]
    assert sample.image.shape[1:] == (48, 77)
    seen = []
    hook = task.model.register_forward_pre_hook(lambda _, arguments: seen.append(arguments[0].clone()))
    image = image_tensor(SCENES.load(0)[0])
    (validated,) = task.infer(collate_evaluation([sample]))
    predicted = predict_image(task.network, image, Views())
    alone = seen[:6]
    assert all(torch.equal(one, other) for one, other in zip(alone, seen[6:], strict=True))
    whole = task.network_input(sample.image[None], None)
    for window, (top, left) in zip(alone, [(y, x) for y in (0, 16) for x in (0, 24, 45)], strict=True):
        assert torch.equal(window, whole[..., top : top + 32, left : left + 32])
    assert np.array_equal(validated.panoptic.ids, predicted.panoptic.ids)
    assert validated.panoptic.segments == predicted.panoptic.segments

    seen.clear()
    predict_image(task.network, image, Views((1.0, 1.5), flip=True))
    assert [window.shape[2:] for window in seen] == (6 + 6 + 15 + 15) * [(32, 32)]
    seen.clear()
    predict_image(task.network, image, Views(), Tiling(40, 8))
    assert [window.shape[2:] for window in seen] == 6 * 4 * [(32, 32)]
    hook.remove()
