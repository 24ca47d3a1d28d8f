"""The frozen batch norm against torch's in eval mode, with its gradient and what it keeps for it."""

import pytest
import torch
from torch import nn

from pantile.layers.frozen_batch_norm import FrozenBatchNorm2d, freeze_batch_norms


def pair() -> tuple[nn.BatchNorm2d, FrozenBatchNorm2d]:
    generator = torch.Generator().manual_seed(0)
    norm = nn.BatchNorm2d(6).eval()
    for tensor in (norm.weight.data, norm.bias.data, norm.running_mean, norm.running_var):
        tensor.copy_(0.5 + torch.rand(6, generator=generator))
    frozen = nn.Sequential(nn.BatchNorm2d(6).eval())
    frozen.load_state_dict({f"0.{name}": tensor for name, tensor in norm.state_dict().items()})
    freeze_batch_norms(frozen)
    return norm, frozen[0]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_outputs_and_gradients_are_those_of_eval_mode(dtype):
    norm, frozen = pair()
    x = torch.randn(2, 6, 5, 7, dtype=dtype, requires_grad=True)
    tolerance = {"atol": 1e-6, "rtol": 1e-5} if dtype == torch.float32 else {"atol": 0.02, "rtol": 0.02}
    expected, given = norm(x), frozen(x)
    assert given.dtype == dtype
    torch.testing.assert_close(given, expected, **tolerance)
    weights = torch.randn_like(given)
    (theirs,) = torch.autograd.grad((expected * weights).sum(), x)
    (ours,) = torch.autograd.grad((given * weights).sum(), x)
    torch.testing.assert_close(ours, theirs, **tolerance)
    torch.testing.assert_close(frozen(x.detach()), norm(x.detach()).detach())


def test_nothing_of_the_maps_size_is_kept_for_the_backward_pass():
    _, frozen = pair()
    x = torch.randn(2, 6, 50, 70, requires_grad=True)
    kept = []
    with torch.autograd.graph.saved_tensors_hooks(lambda tensor: kept.append(tensor.numel()) or tensor, lambda t: t):
        frozen(x * 1)
    assert max(kept) <= 6


def test_frozen_is_eval_mode_for_good():
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(3, 4, 1), nn.Sequential(nn.BatchNorm2d(4, eps=1e-3), nn.ReLU()))
    norm = network[1][0]
    for tensor in (norm.weight.data, norm.bias.data, norm.running_mean, norm.running_var):
        tensor.copy_(torch.rand(4))
    x = torch.randn(2, 3, 5, 5)
    expected = network.eval()(x)
    freeze_batch_norms(network)
    network.train()
    torch.testing.assert_close(network(x), expected)
    assert isinstance(network[1][0], FrozenBatchNorm2d)
    assert [name for name, _ in network.named_parameters()] == ["0.weight", "0.bias"]
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    network(x).sum().backward()
    assert all(torch.equal(before[name], tensor) for name, tensor in network.state_dict().items())
    assert network[0].weight.grad.abs().sum() > 0
