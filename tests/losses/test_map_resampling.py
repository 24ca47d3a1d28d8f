"""Our resampling against torch's."""

import pytest
import torch
from torch.nn import functional as F

from pantile.losses.resampling import resize_bilinear, resize_matrix, sample_pixels, source_spans

SIZES = [((3, 5), (9, 17)), ((3, 3), (8, 10)), ((1, 4), (5, 7)), ((9, 9), (9, 9)), ((9, 7), (5, 3)), ((4, 4), (1, 1))]


def reference(maps, size):
    return F.interpolate(maps, size=size, mode="bilinear", align_corners=size[0] % 2 == 1)


@pytest.mark.parametrize(("source", "target"), SIZES)
def test_matrices_resize_like_interpolate(source, target):
    maps = torch.rand(2, 3, *source, dtype=torch.float64)
    aligned = target[0] % 2 == 1
    down = resize_matrix(source[0], target[0], aligned, maps)
    across = resize_matrix(source[1], target[1], aligned, maps)
    torch.testing.assert_close(down @ maps @ across.T, reference(maps, target))
    torch.testing.assert_close(resize_bilinear(maps, target), reference(maps, target))


@pytest.mark.parametrize(("source", "target"), SIZES)
def test_sampling_equals_resizing_and_gathering(source, target):
    maps = torch.rand(2, 3, *source, dtype=torch.float64, requires_grad=True)
    pixels = torch.stack([torch.randperm(target[0] * target[1]) for _ in range(2)])
    whole = reference(maps, target).flatten(2).gather(2, pixels[:, None].expand(-1, 3, -1)).transpose(1, 2)
    sampled = sample_pixels(maps, target, pixels)
    torch.testing.assert_close(sampled, whole)
    cotangent = torch.rand_like(whole)
    torch.testing.assert_close(
        torch.autograd.grad(sampled, maps, cotangent)[0], torch.autograd.grad(whole, maps, cotangent)[0]
    )


def test_matrices_made_in_inference_mode_serve_training():
    with torch.inference_mode():
        resize_matrix(13, 29, True, torch.zeros(1))
    maps = torch.rand(1, 13, requires_grad=True)
    (maps @ resize_matrix(13, 29, True, maps).T).sum().backward()
    assert maps.grad is not None


@pytest.mark.parametrize("aligned", [False, True])
@pytest.mark.parametrize(("source", "target", "step"), [(5, 13, 4), (7, 7, 3), (9, 4, 2), (1, 6, 5)])
def test_spans_hold_every_weight_of_their_rows(source, target, step, aligned):
    matrix = resize_matrix(source, target, aligned, torch.zeros(()))
    spans = source_spans(source, target, aligned, step)
    assert len(spans) == -(-target // step)
    for start, (first, behind) in zip(range(0, target, step), spans, strict=True):
        outside = torch.cat([matrix[start : start + step, :first], matrix[start : start + step, behind:]], dim=1)
        assert 0 <= first < behind <= source and not outside.any()
