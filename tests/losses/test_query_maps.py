"""The chunked reductions over queries against whole maps."""

import pytest
import torch
from torch.nn import functional as F

from pantile.losses import query_maps as module
from pantile.losses.query_maps import query_maps, softmax_overlaps

CASES = [((4, 6), (4, 6)), ((3, 3), (9, 7)), ((3, 5), (6, 10))]


@pytest.fixture(autouse=True, params=[7, 2**19], ids=["small chunks", "one chunk"])
def chunk_elements(request, monkeypatch):
    monkeypatch.setitem(module._CHUNK_ELEMENTS, "cpu", request.param * 6)


def whole(logits, size):
    return F.interpolate(logits, size=size, mode="bilinear", align_corners=size[0] % 2 == 1).flatten(2)


@pytest.mark.parametrize("softplus", [False, True])
@pytest.mark.parametrize(("source", "target"), CASES)
def test_values_and_gradients(source, target, softplus):
    logits = torch.randn(2, 6, *source, dtype=torch.float64, requires_grad=True)
    matching = torch.tensor([[3, 0, -1, 3], [5, -1, -1, 1]])
    maps = query_maps(logits, matching, target, softplus)
    full = whole(logits, target)
    rows = full.gather(1, matching.clamp(min=0)[:, :, None].expand(-1, -1, full.shape[2]))
    ours, expected = [maps.rows, maps.log_sum_exp], [rows, full.logsumexp(dim=1)]
    if softplus:
        ours.append(maps.softplus_sum)
        expected.append(F.softplus(full).sum(dim=1))
    cotangents = [torch.randn_like(t) for t in expected]
    for a, b in zip(ours, expected, strict=True):
        torch.testing.assert_close(a, b)
    torch.testing.assert_close(
        torch.autograd.grad(ours, logits, cotangents)[0], torch.autograd.grad(expected, logits, cotangents)[0]
    )


@pytest.mark.parametrize(("source", "target"), CASES)
def test_overlaps(source, target):
    logits = torch.randn(2, 6, *source, dtype=torch.float64)
    regions = torch.rand(2, 3, target[0] * target[1], dtype=torch.float64)
    expected = whole(logits, target).softmax(dim=1) @ regions.transpose(1, 2)
    torch.testing.assert_close(softmax_overlaps(logits, regions, target), expected)


def test_large_logits_neither_overflow_nor_vanish():
    logits = torch.tensor([400.0, -400.0])[None, :, None, None] * torch.tensor([[1.0, -1.0]])
    maps = query_maps(logits, torch.tensor([[0, 1]]), (1, 3))
    torch.testing.assert_close(maps.log_sum_exp, torch.tensor([[400.0, 0.6931472, 400.0]]))


def test_no_rows():
    logits = torch.randn(2, 3, 2, 2, requires_grad=True)
    maps = query_maps(logits, torch.empty(2, 0, dtype=torch.int64), (5, 5))
    assert maps.rows.shape == (2, 0, 25)
    maps.log_sum_exp.sum().backward()
    torch.testing.assert_close(logits.grad.sum(), torch.tensor(50.0))


def test_backward_stays_in_float32_under_autocast():
    logits = torch.randn(1, 6, 3, 3, requires_grad=True)
    total = query_maps(logits, torch.tensor([[2]]), (9, 9)).log_sum_exp.square().sum()
    outside = torch.autograd.grad(total, logits, retain_graph=True)[0]
    with torch.autocast("cpu", torch.bfloat16):
        torch.testing.assert_close(torch.autograd.grad(total, logits)[0], outside, rtol=0, atol=0)
