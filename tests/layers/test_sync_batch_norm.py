"""Two gloo processes with unequal shares of a batch against one batch norm on the whole batch."""

import pytest
import torch
import torch.distributed as distributed
from torch import nn

from gloo_processes import in_processes
from pantile.layers.sync_batch_norm import ReducedBatchNorm, synchronise_batch_norm

SHARES = (1, 3)  # images per process


def make_batch(shape: tuple[int, ...]) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    size = (sum(SHARES), *shape)
    return torch.randn(size, generator=generator) * 3 + 5, torch.randn(size, generator=generator)


def make_norm(channels: int, dimensions: int) -> nn.Module:
    norm = {3: nn.BatchNorm1d, 4: nn.BatchNorm2d}[dimensions](channels, eps=1e-3, momentum=0.1)
    nn.init.uniform_(norm.weight, 0.5, 1.5, generator=torch.Generator().manual_seed(1))
    return norm


def work(rank: int, shape: tuple[int, ...]) -> list[torch.Tensor]:
    x, gradient = (t.split(SHARES)[rank] for t in make_batch(shape))
    x = x.clone().requires_grad_()
    norm = synchronise_batch_norm(nn.Sequential(make_norm(shape[0], x.ndim)), "cpu")[0]
    assert type(norm) is ReducedBatchNorm
    y = norm(x)
    y.backward(gradient)
    for parameter in norm.parameters():
        distributed.all_reduce(parameter.grad)
    tensors = (y, x.grad, norm.weight.grad, norm.bias.grad, norm.running_mean, norm.running_var)
    return [t.detach() for t in tensors]


@pytest.mark.parametrize("shape", [(4, 5, 6), (3, 7)])
def test_equals_batch_norm_on_the_whole_batch(shape):
    x, gradient = make_batch(shape)
    x.requires_grad_()
    norm = make_norm(shape[0], x.ndim)
    y = norm(x)
    y.backward(gradient)

    first, second = in_processes(work, shape)
    torch.testing.assert_close(torch.cat([first[0], second[0]]), y.detach(), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(torch.cat([first[1], second[1]]), x.grad, rtol=1e-4, atol=1e-5)
    expected = (norm.weight.grad, norm.bias.grad, norm.running_mean, norm.running_var)
    for part in (first, second):
        for got, wanted in zip(part[2:], expected, strict=True):
            torch.testing.assert_close(got, wanted, rtol=1e-4, atol=1e-4)


def test_alone_and_in_eval_mode_it_is_batch_norm():
    x, _ = make_batch((4, 5, 6))
    for train in (True, False):
        norm = make_norm(4, 4).train(train)
        own = synchronise_batch_norm(nn.Sequential(make_norm(4, 4)), "cpu")[0].train(train)
        torch.testing.assert_close(own(x), norm(x))
