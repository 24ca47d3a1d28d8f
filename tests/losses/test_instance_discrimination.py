"""Pixel contrast in closed form against the full matrix in loops."""

import naive_losses
import pytest
import torch
from torch.nn import functional as F

from pantile.losses import instance_discrimination, pixel_contrastive_loss


@pytest.fixture(params=[4, 256], ids=["many blocks", "one block"])
def blocks(request, monkeypatch):
    monkeypatch.setitem(instance_discrimination._BLOCK_ROWS, "cpu", request.param)


SEGMENTS = {
    "ordinary": [0, 1, 1, 2, 0, 1, 1, 0, 2, 1, 0],
    "void": [0, -1, 1, -1, 0, 1, 1, -1, 0, 1, 1],
    "all void": [-1] * 11,
    "one segment": [1] * 11,
    "one pixel": [-1, -1, 2] + [-1] * 8,
    "each its own": list(range(11)),
}


@pytest.mark.usefixtures("blocks")
@pytest.mark.parametrize("case", SEGMENTS)
def test_value_and_gradient_equal_the_full_matrix(case):
    features = F.normalize(torch.randn(2, 11, 4, dtype=torch.float64), dim=2).requires_grad_()
    segments = torch.tensor([SEGMENTS[case], SEGMENTS["ordinary"]])
    loss = pixel_contrastive_loss(features, segments, 12, temperature=0.3)
    expected = torch.stack(
        [
            naive_losses.instance_term(f, [int(g) if g >= 0 else None for g in s], 0.3)
            for f, s in zip(features, segments, strict=True)
        ]
    )
    torch.testing.assert_close(loss, expected, rtol=1e-9, atol=1e-12)
    cotangent = torch.tensor([0.7, 1.3], dtype=torch.float64)
    torch.testing.assert_close(
        torch.autograd.grad(loss, features, cotangent)[0], torch.autograd.grad(expected, features, cotangent)[0]
    )


@pytest.mark.usefixtures("blocks")
def test_gradcheck():
    features = (0.5 * torch.randn(2, 11, 3, dtype=torch.float64)).requires_grad_()
    segments = torch.tensor([SEGMENTS["void"], SEGMENTS["ordinary"]])
    assert torch.autograd.gradcheck(lambda f: pixel_contrastive_loss(f, segments, 3, 0.4), features)


def test_float32_is_as_good_as_the_full_matrix():
    features = F.normalize(torch.randn(1, 700, 16), dim=2)
    segments = torch.randint(-1, 5, (1, 700))
    exact = pixel_contrastive_loss(features.double(), segments, 5)
    torch.testing.assert_close(pixel_contrastive_loss(features, segments, 5).double(), exact, rtol=2e-6, atol=0)


def test_memory_does_not_hold_the_full_matrix():
    """What stays for the backward pass grows with K, not with K squared."""
    saved = []
    features = F.normalize(torch.randn(1, 2048, 8), dim=2).requires_grad_()
    with torch.autograd.graph.saved_tensors_hooks(lambda t: saved.append(t.numel()) or t, lambda t: t):
        pixel_contrastive_loss(features, torch.randint(0, 3, (1, 2048)), 3)
    assert max(saved) <= 2048 * 8


def test_backward_stays_in_float32_under_autocast():
    features = torch.randn(1, 9, 4, requires_grad=True)
    total = instance_discrimination._LogSumExpOfGram.apply(features, torch.ones(1, 9), torch.float32).sum()
    outside = torch.autograd.grad(total, features, retain_graph=True)[0]
    with torch.autocast("cpu", torch.bfloat16):
        torch.testing.assert_close(torch.autograd.grad(total, features)[0], outside, rtol=0, atol=0)
