"""What networks see beside the image: exactly 0 after the normalisation, in training, inference, views and tiles."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from transformers import EomtImageProcessor

from pantile.contracts.placement import Placement, padding_mask
from pantile.data import EvaluationSamples, FitConfig, Scenes
from pantile.data.evaluation_samples import collate_evaluation
from pantile.data.resize import fit_to, image_tensor, resize_image
from pantile.engine.loaders import training_loader
from pantile.engine.task import PanopticTask
from pantile.inference.images import predict_image
from pantile.inference.network import normalise
from pantile.inference.tiles import Tiling, plan_tiles
from pantile.inference.views import Views
from pantile.models import PanopticDeepLabConfig
from pantile.predict.predictor import Predictor
from tiny_runs import NANO_RECIPES, make_recipe

MEAN, STD = (123.675, 16.28, 203.53), (58.395, 57.12, 1.0)
SCENES = Scenes(2, size=(50, 80))


@pytest.fixture(scope="module", params=NANO_RECIPES)
def task(request: pytest.FixtureRequest) -> PanopticTask:
    torch.manual_seed(0)
    config = make_recipe(request.param)
    config.model.image_mean, config.model.image_std = MEAN, STD
    return PanopticTask(config, SCENES.taxonomy).eval()


class Seen(Exception):
    """The network's input is known, and what it makes of it matters to nobody."""


@contextmanager
def seen_by(task: PanopticTask, nothing_else: bool = False) -> Iterator[list[Tensor]]:
    """The inputs of the network; with ``nothing_else`` it raises ``Seen`` in place of computing."""
    inputs: list[Tensor] = []

    def note(_: object, arguments: tuple[Tensor, ...]) -> None:
        inputs.append(arguments[0].clone())
        if nothing_else:
            raise Seen

    hook = task.model.register_forward_pre_hook(note)
    try:
        yield inputs
    finally:
        hook.remove()


def wanted(pixels: Tensor, size: tuple[int, int]) -> Tensor:
    """(1, C, *size): normalise, then pad with 0 at the bottom and right."""
    normalised = (pixels.float() - torch.tensor(MEAN)[:, None, None]) / torch.tensor(STD)[:, None, None]
    return F.pad(normalised, (0, size[1] - pixels.shape[2], 0, size[0] - pixels.shape[1]))[None]


@torch.no_grad()
def test_inference_pads_after_the_normalisation(task: PanopticTask) -> None:
    image = SCENES.load(0)[0]
    for rule in ((96, 96), (97, 65), FitConfig(short_side=64, long_side=100)):
        task.config.evaluation_size = rule
        sample = EvaluationSamples(SCENES, rule)[0]
        content = resize_image(image_tensor(image), sample.placement.content)
        with seen_by(task) as inputs:
            task.infer(collate_evaluation([sample]))
            predict_image(task.network, image_tensor(image), Views())
            Predictor(task).outputs(image)
        assert len(inputs) == 3
        assert sample.placement.padded != sample.placement.content
        for network_input in inputs:
            assert torch.equal(network_input, wanted(content, sample.placement.padded))


@torch.no_grad()
def test_views_and_tiles_pad_after_the_normalisation(task: PanopticTask) -> None:
    image = image_tensor(SCENES.load(0)[0])
    task.config.evaluation_size = (96, 96)
    with seen_by(task) as inputs:
        predict_image(task.network, image, Views((0.75, 1.0), flip=True))
    whole = wanted(resize_image(image, (60, 96)), (96, 96))
    aligned = isinstance(task.config.model, PanopticDeepLabConfig)  # masks of even inputs share areas, not corners
    smaller = F.interpolate(whole, size=(72, 72), mode="bilinear", align_corners=aligned)
    for network_input, expected in zip(inputs, (whole, smaller, smaller.flip(-1), whole.flip(-1)), strict=True):
        torch.testing.assert_close(network_input, expected, atol=0, rtol=0)
    tiling = Tiling(60, overlap=10)
    windows = plan_tiles((50, 80), tiling, (96, 96)).layout.windows
    assert len(windows) == 2
    with seen_by(task) as inputs:
        predict_image(task.network, image, Views(), tiling)
    for network_input, window in zip(inputs, windows, strict=True):
        assert torch.equal(network_input, wanted(image[:, *window.slices], (64, 64)))


@torch.no_grad()
@pytest.mark.parametrize("pad", ["crop", "batch"])
def test_training_pads_after_the_normalisation(task: PanopticTask, pad: str) -> None:
    config = replace(task.config)
    config.augment = replace(
        config.augment, crop=(96, 96), scale_range=(0.4, 0.7), pad=pad, pad_position="bottom_right", clip=None
    )
    images, targets = next(iter(training_loader(SCENES, config)))
    with seen_by(task, nothing_else=True) as inputs, pytest.raises(Seen):
        task(images, targets.padding)
    shown = ~targets.padding
    assert not targets.ids[targets.padding].any()
    assert 0.1 < shown.float().mean() < 0.9
    for network_input, image, own in zip(inputs[0], images, shown, strict=True):
        rows, columns = int(own.any(1).sum()), int(own.any(0).sum())
        assert own[:rows, :columns].all()
        assert torch.equal(network_input[None], wanted(image[:, :rows, :columns], images.shape[-2:]))


def test_masks_of_placements() -> None:
    full = Placement((4, 6), (4, 6), (8, 12))
    assert padding_mask([full, full]) is None
    mask = padding_mask([full, Placement((4, 6), (3, 4), (3, 4))])
    assert mask.tolist() == [[[False] * 6] * 4, [[False] * 4 + [True] * 2] * 3 + [[True] * 6]]


def test_five_bands() -> None:
    """As many means as bands, none of them a whole number."""
    config = make_recipe("maskformer_nano")
    config.model.in_channels = 5
    config.model.image_mean, config.model.image_std = (1.3, 20.7, 127.5, 3.3, 250.1), (0.7, 3.0, 9.0, 1.0, 2.5)
    task = PanopticTask(config, SCENES.taxonomy).eval()
    pixels = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (2, 5, 8, 9), dtype=np.uint8))
    padding = torch.zeros(2, 8, 9, dtype=torch.bool)
    padding[1, 3:] = True
    network_input = task.network_input(pixels, padding)
    assert (network_input[1, :, 3:] == 0).all()
    assert torch.equal(network_input[0], task.network_input(pixels, None)[0])


def test_padding_may_be_black_as_transformers_prepares_images_of_eomt() -> None:
    """An image that needs no resizing, so that only the padding is compared."""
    image = np.random.default_rng(0).integers(0, 256, (40, 64, 3), dtype=np.uint8)
    mean, std = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    processor = EomtImageProcessor(size={"shortest_edge": 64, "longest_edge": 64}, do_pad=True)
    theirs = processor(image, image_mean=mean, image_std=std, return_tensors="pt")["pixel_values"]
    sample, placement = fit_to(image, (64, 64))
    values = (255 * torch.tensor(numbers)[:, None, None] for numbers in (mean, std))
    ours = normalise(sample[None], padding_mask([placement]), *values, pad_value=0)
    assert (ours - theirs).abs().max() < 1e-5 and (ours[0, :, 40:] < -1).all()
