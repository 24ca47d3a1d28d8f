"""An image that is smaller than the crop at every scale is told once, in one sentence."""

import warnings
from dataclasses import replace

import pytest

from pantile.data.augment_config import AugmentConfig, PairConfig
from pantile.data.sampler import Draw, Focus
from pantile.data.scenes import Scenes
from pantile.data.training_samples import TrainingSamples

CONFIG = AugmentConfig(crop=(129, 193), scale_range=(0.5, 2.0), scale_relative_to="native", copy_paste=0.0)


def warned(config: AugmentConfig, size: tuple[int, int]) -> list[str]:
    samples = TrainingSamples(Scenes(3, size=size), config)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for number in range(3):
            samples[number, number]
    return [str(warning.message) for warning in caught]


def test_one_warning_names_image_size_and_crop() -> None:
    assert warned(CONFIG, (64, 96)) == [
        "scene_train_000000.png is 96x64 pixels, so even at the largest scale (2) it is smaller than the crop "
        "(193x129) and is padded; this is not said of further images."
    ]


@pytest.mark.parametrize("size", [(65, 96), (64, 97), (200, 300)])
def test_an_image_that_fills_an_axis_is_fine(size: tuple[int, int]) -> None:
    assert warned(CONFIG, size) == []


@pytest.mark.parametrize(
    "config",
    [
        AugmentConfig(crop=(129, 193), scale_range=(0.1, 0.5), copy_paste=0.0),
        AugmentConfig(crop=(129, 193), scale_range=(0.1, 0.5), scale_relative_to="long_side", copy_paste=0.0),
        AugmentConfig(crop=(129, 193), short_side=(50,), scale_relative_to="native", copy_paste=0.0),
    ],
)
def test_scales_that_follow_the_crop_or_a_length_mean_it(config: AugmentConfig) -> None:
    assert warned(config, (64, 64)) == []


def test_paired_crops_have_limits_of_their_own() -> None:
    config = replace(CONFIG, copy_paste=1.0, pairs=PairConfig())
    sky = int(Scenes(1, size=(64, 64)).load(0)[1].segments[0].class_index)
    samples = TrainingSamples(Scenes(1, size=(64, 64)), config)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        samples[Draw(0, 0, Focus(sky, 32))]
