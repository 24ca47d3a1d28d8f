"""Deformable attention against a loop over single points, and its two forms against each other."""

import math
import subprocess
import sys

import pytest
import torch

from pantile.layers.deformable_attention import (
    MultiScaleDeformableAttention,
    pixel_centers,
    weighted_samples_by_bags,
    weighted_samples_by_grid,
)

SIZES = ((2, 3), (3, 5), (6, 9))
FORMS = [weighted_samples_by_bags, weighted_samples_by_grid]


def bilinear(level, x, y):
    """(h, w, D) at one point; zero outside."""
    height, width, _ = level.shape
    total = torch.zeros_like(level[0, 0])
    for row in (math.floor(y), math.floor(y) + 1):
        for column in (math.floor(x), math.floor(x) + 1):
            if 0 <= row < height and 0 <= column < width:
                total = total + (1 - abs(x - column)) * (1 - abs(y - row)) * level[row, column]
    return total


def by_loop(values, sizes, x, y, weights):
    (batch, length, heads, _), width = x.shape, values.shape[3]
    points = x.shape[3] // len(sizes)
    out = torch.zeros(batch, length, heads, width, dtype=values.dtype)
    for b in range(batch):
        maps = [m.unflatten(0, size) for m, size in zip(values[b].split([h * w for h, w in sizes]), sizes, strict=True)]
        for q in range(length):
            for m in range(heads):
                for s in range(x.shape[3]):
                    sample = bilinear(maps[s // points][:, :, m], float(x[b, q, m, s]), float(y[b, q, m, s]))
                    out[b, q, m] += weights[b, q, m, s] * sample
    return out.flatten(2)


def random_inputs(sizes=SIZES, batch=2, heads=2, width=3, points=2, dtype=torch.float64, seed=0):
    generator = torch.Generator().manual_seed(seed)
    length = sum(h * w for h, w in sizes)
    samples = len(sizes) * points
    values = torch.randn(batch, length, heads, width, generator=generator, dtype=dtype)
    x = torch.rand(batch, length, heads, samples, generator=generator, dtype=dtype) * 14 - 3
    y = torch.rand(batch, length, heads, samples, generator=generator, dtype=dtype) * 11 - 3
    weights = torch.randn(batch, length, heads, samples, generator=generator, dtype=dtype)
    return values, x, y, weights


@pytest.mark.parametrize("form", FORMS)
def test_samples_against_a_loop(form):
    values, x, y, weights = random_inputs()
    x[0, 0, 0] = torch.tensor([-1.0, -1.5, 5.0, 4.5, 0.0, 9.0], dtype=x.dtype)  # corners and edges exactly
    y[0, 0, 0] = torch.tensor([0.5, 1.0, 3.0, 2.5, 5.0, 6.0], dtype=x.dtype)
    x[1, 0, 0], y[1, 0, 0] = 1e6, -1e6
    expected = by_loop(values, SIZES, x, y, weights)
    torch.testing.assert_close(form(values, SIZES, x, y, weights), expected)


def test_both_forms_have_the_same_gradients():
    inputs = random_inputs()
    probe = torch.randn(2, 75, 6, dtype=torch.float64)
    gradients = []
    for form in FORMS:
        values, x, y, weights = (t.clone().requires_grad_() for t in inputs)
        (form(values, SIZES, x, y, weights) * probe).sum().backward()
        gradients.append([values.grad, x.grad, y.grad, weights.grad])
    for bags, grid in zip(*gradients, strict=True):
        assert bags.abs().max() > 0.1
        torch.testing.assert_close(bags, grid)


def test_both_forms_agree_in_float32():
    values, x, y, weights = random_inputs(dtype=torch.float32, width=8)
    bags, grid = (form(values, SIZES, x, y, weights) for form in FORMS)
    assert (bags - grid).abs().max() < 1e-5


def test_bags_gradient_against_finite_differences():
    sizes = ((2, 2), (1, 3))
    values, x, y, weights = (t.requires_grad_() for t in random_inputs(sizes, batch=2, heads=2, width=2, points=1))
    torch.autograd.gradcheck(lambda *t: weighted_samples_by_bags(t[0], sizes, *t[1:]), (values, x, y, weights))


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("outside", [-1e6, -2.5, -1.5, 9.5, 1e6])
def test_a_sample_outside_of_its_map_moves_nothing(form, outside):
    values, _, y, weights = random_inputs(((3, 9),), batch=1, points=1)
    y = (y.clamp(0.5, 1.5)).requires_grad_()
    x = torch.full_like(y, outside).requires_grad_()
    weights.requires_grad_()
    out = form(values, ((3, 9),), x, y, weights)
    assert not out.any()
    assert not any(gradient.any() for gradient in torch.autograd.grad(out.sum(), (x, y, weights)))


def test_bags_gradient_of_samples_when_the_values_have_none():
    values, x, y, weights = random_inputs()
    gradients = []
    for form in FORMS:
        samples = [t.clone().requires_grad_() for t in (x, y, weights)]
        gradients.append(torch.autograd.grad(form(values, SIZES, *samples).sum(), samples))
    for bags, grid in zip(*gradients, strict=True):
        torch.testing.assert_close(bags, grid)


def test_bags_gradient_does_not_warn():
    """In a process of its own, since torch warns at the first time in a process only."""
    code = (
        "import torch; from pantile.layers.deformable_attention import MultiScaleDeformableAttention as Attention;"
        "pixels = torch.randn(1, 4, 4); Attention(4, 1, 1, 1)(pixels, pixels, ((2, 2),)).sum().backward()"
    )
    subprocess.run([sys.executable, "-W", "error:Sparse CSR", "-c", code], check=True)


def test_an_offset_that_is_not_a_number_gives_an_output_that_is_not_a_number():
    values, x, y, weights = random_inputs()
    x[1, 4, 0, 2] = float("nan")
    out = weighted_samples_by_bags(values, SIZES, x, y, weights)
    assert out[1, 4, :3].isnan().all()
    assert out.isnan().sum() == 3


def test_pixel_centers_of_a_map_on_itself_are_its_pixels():
    sizes = ((2, 3), (4, 6))
    centers = pixel_centers(sizes, 1, torch.device("cpu"), sizes)
    assert centers.shape == (30, 2, 1, 2)
    fine = centers[6:, :, 0, 1].unflatten(0, (4, 6))
    torch.testing.assert_close(fine[..., 0], torch.arange(6.0).expand(4, 6))
    torch.testing.assert_close(fine[..., 1], torch.arange(4.0)[:, None].expand(4, 6))
    torch.testing.assert_close(centers[6, :, 0, 0], torch.tensor([-0.25, -0.25]))  # half a fine pixel from the corner


def test_without_offsets_and_with_equal_weights_it_averages_the_maps_at_the_pixel():
    attention = MultiScaleDeformableAttention(8, num_heads=2)
    with torch.no_grad():
        attention.sampling_offsets.bias.zero_()
        attention.value_proj.weight.copy_(torch.eye(8))
        attention.output_proj.weight.copy_(torch.eye(8))
    sizes = ((2, 2), (2, 2), (2, 2))
    maps = torch.randn(1, 3, 4, 8)
    out = attention(torch.randn(1, 12, 8), maps.flatten(1, 2), sizes)
    torch.testing.assert_close(out, maps.mean(1).repeat(1, 3, 1))


@pytest.mark.parametrize("form", FORMS)
def test_pixels_of_other_maps_read(form):
    """Sizes of ViT-Adapter's injector: one map reads three."""
    values, x, y, weights = random_inputs()
    x, y, weights = (t[:, :15].contiguous() for t in (x, y, weights))
    expected = by_loop(values, SIZES, x, y, weights)
    out = form(*(t if t is SIZES else t.requires_grad_() for t in (values, SIZES, x, y, weights)))
    torch.testing.assert_close(out, expected)
    assert all(g.isfinite().all() and g.any() for g in torch.autograd.grad(out.sum(), (values, x, y, weights)))


def test_a_coarse_map_reads_a_fine_one_where_it_lies():
    attention = MultiScaleDeformableAttention(4, num_heads=1, num_levels=1, num_points=1, value_channels=2)
    with torch.no_grad():
        attention.sampling_offsets.bias.zero_()
        attention.value_proj.weight.copy_(torch.eye(2, 4))
        attention.output_proj.weight.copy_(torch.eye(4, 2))
    fine = torch.randn(1, 4, 24, 24)
    query_sizes = ((12, 12), (24, 24))
    queries = torch.randn(1, 12 * 12 + 24 * 24, 4)
    out = attention(queries, fine.flatten(2).transpose(1, 2), ((24, 24),), query_sizes)
    coarse, same = (t.transpose(1, 2) for t in out.split([144, 576], dim=1))
    halved = torch.nn.functional.avg_pool2d(fine, 2)  # the point in the middle of four pixels
    torch.testing.assert_close(coarse[:, :2], halved.flatten(2)[:, :2])
    torch.testing.assert_close(same[:, :2], fine.flatten(2)[:, :2])
    assert not out[..., 2:].any()


def test_new_heads_look_in_directions_of_their_own():
    attention = MultiScaleDeformableAttention(16, num_heads=4)
    offsets = attention.sampling_offsets.bias.view(4, 3, 4, 2)
    directions = torch.tensor([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0], [0.0, -1.0]])
    for point in range(4):
        torch.testing.assert_close(offsets[:, 1, point], directions * (point + 1), atol=1e-6, rtol=0)
    assert not attention.sampling_offsets.weight.any()
    assert not attention.attention_weights.weight.any()


def test_offsets_are_in_pixels_of_the_map_that_is_read():
    """One head, two maps; the first offset pair moves x by one pixel of the first map."""
    attention = MultiScaleDeformableAttention(4, num_heads=1, num_levels=2, num_points=1)
    sizes = ((1, 3), (1, 3))
    with torch.no_grad():
        attention.sampling_offsets.bias.copy_(torch.tensor([1.0, 0.0, 0.0, 0.0]))
        attention.attention_weights.bias.copy_(torch.tensor([50.0, 0.0]))
        attention.value_proj.weight.copy_(torch.eye(4))
        attention.output_proj.weight.copy_(torch.eye(4))
    pixels = torch.randn(1, 6, 4)
    out = attention(torch.zeros(1, 6, 4), pixels, sizes)
    expected = torch.stack([pixels[0, 1], pixels[0, 2], torch.zeros(4)]).repeat(2, 1)
    torch.testing.assert_close(out[0], expected)


def test_parameters():
    assert sum(p.numel() for p in MultiScaleDeformableAttention(256).parameters()) == 205_600
