"""Class-balanced sampling: the paper's factors, exact on average, restartable, the same over processes."""

import math
from collections import Counter
from itertools import islice

import numpy as np
import pytest

from pantile.contracts.errors import UserError
from pantile.data import AugmentConfig, Scenes
from pantile.data.augment_config import PairConfig
from pantile.data.loading import training_loader
from pantile.data.repeat_factor import RepeatFactorSampler, repeat_factors

PRESENCE = np.array([[1, 0, 0], [1, 1, 0], [1, 0, 1], [1, 1, 0], [0, 0, 0], [1, 0, 0], [1, 0, 0], [1, 0, 0]], bool)


def take(count: int, **options) -> list[tuple[int, int]]:
    sampler = RepeatFactorSampler(repeat_factors(PRESENCE, 0.5), seed=3, **options)
    return [(draw.dataset_index, draw.number) for draw in islice(sampler, count)]


def test_factors_are_those_of_a_plain_loop():
    expected = []
    for image in PRESENCE:
        factor = 1.0
        for number, shown in enumerate(image):
            if shown:
                share = sum(other[number] for other in PRESENCE) / len(PRESENCE)
                factor = max(factor, math.sqrt(0.5 / share))
        expected.append(factor)
    np.testing.assert_allclose(repeat_factors(PRESENCE, 0.5), expected)
    assert expected[2] == 2.0 and expected[1] == pytest.approx(math.sqrt(2)) and expected[4] == 1.0


def test_images_come_as_often_as_their_factors_say():
    factors = repeat_factors(PRESENCE, 0.5)
    draws = 4000
    counts = Counter(index for index, _ in take(draws))
    for index, factor in enumerate(factors):
        assert counts[index] / draws == pytest.approx(factor / factors.sum(), rel=0.03)
    assert [number for _, number in take(30)] == list(range(30))


@pytest.mark.parametrize("start", [0, 5, 37])
def test_the_stream_goes_on_and_is_shared(start: int):
    whole = take(60)
    assert take(20, start=start) == whole[start : start + 20]
    shares = [take(5, start=start, rank=rank, world_size=2) for rank in range(2)]
    assert sorted(shares[0] + shares[1], key=lambda draw: draw[1]) == whole[start : start + 10]


def test_the_loader_draws_by_it_and_refuses_what_it_cannot_do():
    scenes = Scenes(4, size=(33, 33), seed=3)
    config = AugmentConfig(crop=(33, 33), repeat_threshold=1.0)
    loader = training_loader(scenes, config, 2)
    assert isinstance(loader.sampler, RepeatFactorSampler)
    assert (loader.sampler.factors >= 1).all() and loader.sampler.factors.max() > 1
    for wrong in ({"repeat_threshold": 1.5}, {"repeat_threshold": 0.1, "pairs": PairConfig()}):
        with pytest.raises(UserError, match=r"augment\.repeat_threshold"):
            training_loader(scenes, AugmentConfig(crop=(33, 33), **wrong), 2)
    with pytest.raises(UserError, match="no images"):
        RepeatFactorSampler(np.zeros(0))
