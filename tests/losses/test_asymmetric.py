"""The multi-label losses against the numbers of RankSeg's code, values and gradients."""

import pytest
import torch

from pantile.losses.asymmetric import asymmetric_loss, presence_cross_entropy
from rankseg_blocks import Recording


@pytest.fixture(scope="module")
def recording(real_data):
    return Recording(real_data, "asl")


@pytest.mark.parametrize("case", range(6))
def test_six_settings(recording, case):
    told = recording.told["cases"][str(case)]
    logits = recording["x"].clone().requires_grad_()
    settings = {"gamma_positive": told["gamma_pos"], "gamma_negative": told["gamma_neg"], "margin": told["clip"]}
    loss = asymmetric_loss(logits, recording["y"], **settings)
    loss.backward()
    assert loss.item() == pytest.approx(told["loss"], abs=1e-12)
    torch.testing.assert_close(logits.grad, recording[f"grad_{case}"], rtol=0, atol=1e-12)


def test_cross_entropy(recording):
    logits = recording["x"].clone().requires_grad_()
    loss = presence_cross_entropy(logits, recording["y"])
    loss.backward()
    assert loss.item() == pytest.approx(recording.told["bce"], abs=1e-12)
    torch.testing.assert_close(logits.grad, recording["grad_bce"], rtol=0, atol=1e-12)


def test_easy_absent_classes_cost_nothing_and_hard_ones_stay_finite():
    logits = torch.tensor([[-4.0, 60.0, -60.0]], requires_grad=True)  # sigmoid(-4) is below the margin
    loss = asymmetric_loss(logits, torch.tensor([[False, False, True]]))
    loss.backward()
    assert loss.isfinite()
    assert logits.grad.isfinite().all()
    assert logits.grad[0, 0] == 0
