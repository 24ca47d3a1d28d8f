"""Evaluation sizes against the resize rule of detectron2, restated in plain floating point, and known sizes."""

import numpy as np
import pytest
import torch

from pantile.contracts.errors import UserError
from pantile.data.evaluation_samples import EvaluationSamples, collate_evaluation
from pantile.data.fit import FitConfig, fit_placement
from pantile.data.resize import PAD_VALUE, fit_to, image_tensor, resize_image
from pantile.data.scenes import Scenes


def resize_shortest_edge(height: int, width: int, short: int, longest: int) -> tuple[float, float]:
    """The unrounded result: the short side first, then everything shrinks if the long side is too long."""
    scale = short / min(height, width)
    height, width = height * scale, width * scale
    if max(height, width) > longest:
        height, width = (length * longest / max(height, width) for length in (height, width))
    return height, width


@pytest.mark.parametrize(("short", "longest"), [(800, 1333), (640, 2560), (2048, 2048), (33, 40)])
def test_short_side_equals_the_published_rule(short: int, longest: int) -> None:
    rng = np.random.default_rng(short)
    config = FitConfig(short_side=short, long_side=longest)
    for height, width in rng.integers(8, 3000, (2000, 2)).tolist():
        placement = fit_placement((height, width), config)
        for length, exact in zip(placement.content, resize_shortest_edge(height, width, short, longest), strict=True):
            assert abs(length - max(exact, 1)) <= 0.5 + 1e-6
        assert max(placement.content) <= longest
        assert placement.original == (height, width)


@pytest.mark.parametrize(
    ("original", "content", "padded"),
    [
        ((480, 640), (800, 1067), (800, 1088)),
        ((640, 480), (1067, 800), (1088, 800)),
        ((426, 640), (800, 1202), (800, 1216)),
        ((334, 500), (800, 1198), (800, 1216)),
        ((300, 640), (625, 1333), (640, 1344)),  # the long side decides
        ((800, 800), (800, 800), (800, 800)),
        ((10, 2000), (7, 1333), (32, 1344)),  # 6.665 rounds up
    ],
)
def test_sizes_of_coco_images(original, content, padded) -> None:
    placement = fit_placement(original, FitConfig(short_side=800, long_side=1333))
    assert (placement.content, placement.padded) == (content, padded)


def test_a_half_is_rounded_up() -> None:
    assert fit_placement((64, 85), FitConfig(short_side=160, multiple=1)).content == (160, 213)  # 212.5
    assert fit_placement((64, 83), FitConfig(short_side=160, multiple=1)).content == (160, 208)  # 207.5


@pytest.mark.parametrize(
    ("original", "content", "padded"),
    [
        ((3000, 4000), (1537, 2049), (1537, 2049)),
        ((1024, 2048), (1025, 2049), (1025, 2049)),  # 1024.5 rounds up
        ((4000, 3000), (2049, 1537), (2049, 1537)),
        ((2160, 3840), (1153, 2049), (1153, 2049)),
        ((700, 1000), (1434, 2049), (1441, 2049)),
    ],
)
def test_long_side_with_aligned_corners(original, content, padded) -> None:
    placement = fit_placement(original, FitConfig(long_side=2049, remainder=1))
    assert (placement.content, placement.padded) == (content, padded)


def test_image_is_resized_and_padded_at_the_bottom_right() -> None:
    image = np.random.default_rng(0).integers(0, 256, (48, 70, 3), dtype=np.uint8)
    tensor, placement = fit_to(image, FitConfig(short_side=60, long_side=90))
    assert placement.content == (60, 88)
    assert tensor.shape == (3, *placement.padded) == (3, 64, 96)
    assert torch.equal(tensor[:, :60, :88], resize_image(image_tensor(image), (60, 88)))
    assert (tensor[:, 60:] == PAD_VALUE).all()
    assert (tensor[:, :, 88:] == PAD_VALUE).all()


def test_evaluation_samples_take_a_rule() -> None:
    scenes = Scenes(2, size=(50, 80))
    samples = EvaluationSamples(scenes, FitConfig(short_side=65, long_side=97))
    batch = collate_evaluation([samples[1]])
    assert batch.images.shape == (1, 3, 64, 128)  # 61 x 97
    assert batch.placements[0].content == (61, 97)
    assert batch.panoptic[0].size == (50, 80)


@pytest.mark.parametrize(
    ("settings", "word"),
    [
        ({}, "short_side"),
        ({"short_side": 0}, "short_side"),
        ({"short_side": 8, "long_side": -1}, "long_side"),
        ({"short_side": 8, "multiple": 0}, "multiple"),
        ({"short_side": 8, "remainder": 32}, "remainder"),
    ],
)
def test_senseless_settings_are_named(settings: dict, word: str) -> None:
    with pytest.raises(UserError, match=word):
        FitConfig(**settings)
