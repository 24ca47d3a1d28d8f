"""Bounds of resized logits: what they leave out would not have changed anything, and they do leave something out."""

import numpy as np
import pytest
import torch
from pycocotools.mask import decode

from pantile.contracts.placement import Placement
from pantile.merge.instance_masks import encode_masks
from pantile.merge.mask_bounds import tile_bounds
from pantile.merge.mask_strips import sigmoid_strips
from pantile.merge.mask_tiles import sigmoid_tiles
from pantile.merge.resampling import original_grid
from pantile.merge.settled_classes import open_windows, settled_classes

PLACEMENT = Placement(padded=(64, 64), content=(50, 64), original=(75, 96))


@pytest.fixture
def logits():
    """(6, 16, 16): one mask of a few pixels each, one everywhere, one nowhere."""
    maps = 2 * torch.randn(6, 16, 16, generator=torch.Generator().manual_seed(0)) - 8
    for mask in range(4):
        maps[mask, 3 * mask : 3 * mask + 3, 2:7] += 16
    maps[4] += 16
    return maps.double()


@pytest.fixture
def grid(logits):
    return original_grid(logits.shape[-2:], PLACEMENT, aligned=False)


def resized(logits, grid):
    return grid.rows @ logits @ grid.columns.T


def test_resized_logits_lie_within_their_bounds(logits, grid):
    bounds = tile_bounds(logits, grid, 20, 13)
    assert bounds.least.shape == bounds.greatest.shape == (4, 8, 6)
    maps = resized(logits, grid)
    for top in range(0, 75, 20):
        for left in range(0, 96, 13):
            window = slice(top, top + 20), slice(left, left + 13)
            place = bounds.place(window)
            low, high = maps[:, *window].amin(dim=(1, 2)), maps[:, *window].amax(dim=(1, 2))
            assert (bounds.least[place] <= low + 1e-9).all() and (high <= bounds.greatest[place] + 1e-9).all()


def test_masks_are_looked_at_only_where_they_may_be(logits, grid):
    strips = list(sigmoid_strips(logits, grid, 10))
    assert [strip.left for strip in strips] == list(range(0, 96, 10))
    assert [*strips[-1].masks] == [4]  # the small ones lie on the left
    masks = encode_masks(strips, 6, grid.size)
    assert masks[5] is None
    for mask, probability in zip(masks[:5], resized(logits, grid).sigmoid(), strict=False):
        assert mask[1] == pytest.approx(probability[probability > 0.5].mean().item(), rel=1e-9)


@pytest.mark.parametrize("masks", [[0, 1], [5], []])
def test_columns_without_any_mask(logits, grid, masks):
    """The strips on the right, or all of them, hold none."""
    strips = list(sigmoid_strips(logits[masks], grid, 10))
    assert [strip.inside.shape for strip in strips[-2:]] == [(0, 750), (0, 450)]
    expected = [int((resized(logits, grid)[mask] > 0).sum()) for mask in masks]
    encoded = encode_masks(strips, len(masks), grid.size)
    assert [0 if mask is None else decode(mask[0]).sum() for mask in encoded] == expected


def test_a_mask_with_undefined_logits_is_looked_at(logits, grid):
    logits[5, 0, 0] = torch.nan
    assert 5 in next(iter(sigmoid_strips(logits, grid, 10))).masks


def test_tiles_of_some_queries(logits, grid):
    chosen = torch.tensor([1, 4])
    (part,) = sigmoid_tiles(logits, grid, 75, 96, lambda window: chosen)
    (whole,) = sigmoid_tiles(logits, grid, 75, 96)
    torch.testing.assert_close(part.probability, whole.probability[:, chosen])
    assert not list(sigmoid_tiles(logits, grid, 75, 96, lambda window: chosen[:0]))


@pytest.mark.parametrize("sharpness", [0.0, 1.0, 30.0])
def test_settled_classes_are_those_of_the_pixels(sharpness, logits, grid):
    class_logits = sharpness * torch.eye(6, dtype=torch.float64)
    probability = class_logits.softmax(dim=1)[:, :5]
    classes = settled_classes(logits, probability, grid, torch.sigmoid)
    votes = torch.einsum("nk,nhw->khw", probability, resized(logits, grid).sigmoid())
    known = classes >= 0
    np.testing.assert_array_equal(classes[known], votes.argmax(dim=0).numpy()[known])
    assert known.any() == (sharpness > 0)  # of equal votes nothing is settled
    assert open_windows(classes)((slice(0, 75), slice(0, 96)))
