"""Sampling of id maps against dense masks, and the draw of points against its definition."""

import pytest
import torch
from torch.nn import functional as F

from pantile.losses.point_sampling import (
    draw_points,
    draw_uncertain_points,
    sample_all_rows,
    sample_maps,
    sample_own_rows,
)

G = 4


def bilinear(plane, x, y):
    """The value at (x, y) in 0..1, in plain loops: pixel centres at (i + 0.5) / size, zeros outside."""
    height, width = plane.shape
    column, row = x * width - 0.5, y * height - 0.5
    total = 0.0
    for i in range(height):
        for j in range(width):
            total += plane[i, j] * max(0.0, 1 - abs(column - j)) * max(0.0, 1 - abs(row - i))
    return total


def make_index(batch=2, size=(7, 11)):
    return torch.randint(-1, G, (batch, *size), generator=torch.Generator().manual_seed(3))


def make_points(sets, count=60, dtype=torch.float64):
    points = torch.rand(sets, count, 2, dtype=dtype, generator=torch.Generator().manual_seed(4))
    points[:, :4] = torch.tensor([[0.0, 0.0], [1.0, 1.0], [0.0, 1.0], [0.999, 0.5]], dtype=dtype)
    return points


def dense(index):
    """(B, G, H, W) masks of 0 and 1."""
    return torch.stack([index == g for g in range(G)], dim=1)


def test_maps_equal_plain_loops():
    maps = torch.randn(2, 3, 5, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    points = make_points(2, 12)
    sampled = sample_maps(maps, points)
    for b in range(2):
        for c in range(3):
            for p, (x, y) in enumerate(points[b].tolist()):
                assert sampled[b, c, p].item() == pytest.approx(bilinear(maps[b, c], x, y).item(), abs=1e-12)


@pytest.mark.parametrize("size", [(7, 11), (1, 1), (64, 3)])
def test_all_rows_equal_bilinear_sampling_of_dense_masks(size):
    index, points = make_index(size=size), make_points(2)
    expected = F.grid_sample(dense(index).double(), (2 * points - 1)[:, None], align_corners=False)[:, :, 0]
    torch.testing.assert_close(sample_all_rows(index, G, points), expected, rtol=0, atol=1e-12)


def test_own_rows_equal_bilinear_sampling_of_dense_masks():
    index = make_index()
    image, row = torch.tensor([0, 1, 1, 0, 1]), torch.tensor([2, 0, 3, 3, 0])
    points = make_points(5)
    own = dense(index)[image, row].double()
    expected = F.grid_sample(own[:, None], (2 * points - 1)[:, None], align_corners=False)[:, 0, 0]
    torch.testing.assert_close(sample_own_rows(index, image, row, points), expected, rtol=0, atol=1e-12)


def test_float32_stays_near_dense_masks_on_a_large_map():
    index, points = make_index(1, (1024, 1024)), make_points(1, 2000, torch.float32)
    expected = F.grid_sample(dense(index).float(), (2 * points - 1)[:, None], align_corners=False)[:, :, 0]
    torch.testing.assert_close(sample_all_rows(index, G, points), expected, rtol=0, atol=1e-3)


def test_void_belongs_to_no_row():
    index, points = torch.full((1, 4, 4), -1), make_points(1)
    assert not sample_all_rows(index, G, points).any()
    assert sample_all_rows(index, 0, points).shape == (1, 0, 60)
    assert not sample_own_rows(index, torch.tensor([0]), torch.tensor([0]), points).any()


def test_no_set_of_points_is_no_work():
    none = torch.zeros(0, dtype=torch.int64)
    logits = torch.zeros(0, 4, 4, requires_grad=True)
    points = draw_uncertain_points(logits, 8, 3.0, 0.75)
    assert points.shape == (0, 8, 2)
    assert sample_own_rows(make_index(), none, none, points).shape == (0, 8)
    sample_maps(logits[:, None], points).sum().backward()
    assert logits.grad.shape == (0, 4, 4)


def test_uncertain_points_are_the_least_certain_candidates_and_fresh_ones(monkeypatch):
    logits = torch.randn(3, 9, 9, generator=torch.Generator().manual_seed(1))
    drawn = []

    def recorded(*size, **options):
        drawn.append(original(*size, **options))
        return drawn[-1]

    original = torch.rand
    monkeypatch.setattr(torch, "rand", recorded)
    points = draw_uncertain_points(logits, count=20, oversample=3.0, importance=0.75)
    candidates, fresh = drawn
    assert candidates.shape == (3, 60, 2) and fresh.shape == (3, 5, 2) and points.shape == (3, 20, 2)
    for mask in range(3):
        certainty = [abs(bilinear(logits[mask], x, y).item()) for x, y in candidates[mask].tolist()]
        expected = sorted(range(60), key=lambda p: certainty[p])[:15]
        assert {tuple(p) for p in points[mask, :15].tolist()} == {tuple(candidates[mask, p].tolist()) for p in expected}
    assert torch.equal(points[:, 15:], fresh)


def test_the_extremes_of_importance():
    logits = torch.randn(2, 5, 5)
    assert draw_uncertain_points(logits, 7, 1.0, 0.0).shape == draw_uncertain_points(logits, 7, 2.5, 1.0).shape


def test_points_lie_in_the_unit_square_and_follow_their_generator():
    like = torch.zeros(1)
    points = draw_points(2, 500, like, torch.Generator().manual_seed(5))
    assert torch.equal(points, draw_points(2, 500, like, torch.Generator().manual_seed(5)))
    assert points.min() >= 0 and points.max() < 1 and points.std() > 0.2
    assert draw_points(1, 1, like.double()).dtype == torch.float64
    assert draw_points(1, 1, like.bfloat16()).dtype == torch.float32


def test_half_precision_maps_are_read_in_single_precision():
    maps = torch.randn(1, 2, 6, 6).bfloat16()
    points = make_points(1, dtype=torch.float32)
    with torch.autocast("cpu", torch.bfloat16):
        sampled = sample_maps(maps, points)
    assert sampled.dtype == torch.float32
    assert torch.equal(sampled, sample_maps(maps.float(), points))
