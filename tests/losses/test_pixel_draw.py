"""Gumbel-top-k: without replacement, small segments first, void last."""

import torch

from pantile.contracts.targets import MaskTargets
from pantile.losses import draw_pixels


def targets(index):
    rows = int(index.max()) + 1
    return MaskTargets(index, torch.zeros(len(index), max(rows, 0), dtype=torch.int64))


def draw(index, *args, **kwargs):
    t = targets(index)
    return draw_pixels(t.index, t.areas(), *args, **kwargs)


def test_no_pixel_twice_and_a_generator_repeats_the_draw():
    index = torch.randint(-1, 4, (2, 12, 10))
    first = draw(index, 50, 1.5, draws=3, generator=torch.Generator().manual_seed(1))
    assert first.shape == (3, 2, 50)
    assert all(len(set(pixels.tolist())) == 50 for image in first for pixels in image)
    again = draw(index, 50, 1.5, draws=3, generator=torch.Generator().manual_seed(1))
    assert torch.equal(first, again)
    assert not torch.equal(first[0].sort().values, first[1].sort().values)


def test_asking_for_more_pixels_than_exist_gives_all():
    pixels = draw(torch.zeros(1, 3, 4, dtype=torch.int64), 4096, 1.5)
    assert sorted(pixels[0, 0].tolist()) == list(range(12))


def test_void_comes_last():
    index = torch.full((1, 10, 10), -1)
    index[0, :2, :5] = 0
    for seed in range(20):
        pixels = draw(index, 25, 1.5, generator=torch.Generator().manual_seed(seed))[0, 0]
        assert len(pixels) == 25
        assert int((index.flatten()[pixels] >= 0).sum()) == 10


def test_nothing_labelled_and_no_rows():
    assert draw(torch.full((2, 3, 3), -1), 4, 1.5).shape == (1, 2, 4)


def test_share_of_first_draws_follows_area_to_the_power_of_one_minus_temperature():
    """A single draw takes segment g with probability proportional to area * (1 / area) ** temperature."""
    index = torch.zeros(1, 10, 10, dtype=torch.int64)
    index[0, :2, :5] = 1  # 10 of 100 pixels
    for temperature in (0.0, 1.0, 2.0):
        pixels = draw(index, 1, temperature, draws=4000, generator=torch.Generator().manual_seed(3))
        share = float((index.flatten()[pixels.flatten()] == 1).float().mean())
        weights = [area ** (1 - temperature) for area in (90, 10)]
        assert abs(share - weights[1] / sum(weights)) < 0.03
