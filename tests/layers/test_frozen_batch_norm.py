"""Frozen batch norms against torch's in eval mode."""

import torch
from torch import nn

from pantile.layers.frozen_batch_norm import FrozenBatchNorm2d, freeze_batch_norms


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
