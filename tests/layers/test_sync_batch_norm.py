"""Two gloo processes with unequal shares of a batch against one process with the whole batch: batch norms, and axial
attention, whose norms see no tensor of what they normalise."""

import pytest
import torch
import torch.distributed as distributed
from torch import nn

from gloo_processes import in_processes
from pantile.layers.axial_attention import AxialAttention2D
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


def make_axial_attention() -> nn.Module:
    torch.manual_seed(1)
    return AxialAttention2D(4, 2, 1)


CASES = {
    "maps": ((4, 5, 6), lambda: make_norm(4, 4)),
    "vectors": ((3, 7), lambda: make_norm(3, 3)),
    "axial attention": ((4, 5, 6), make_axial_attention),
}


def step(module: nn.Module, x: torch.Tensor, gradient: torch.Tensor) -> dict[str, torch.Tensor]:
    x = x.clone().requires_grad_()
    y = module(x)
    y.backward(gradient[:, : y.shape[1]])
    weights = {name: parameter.grad for name, parameter in module.named_parameters()}
    return {"y": y.detach(), "x": x.grad} | weights | dict(module.named_buffers())


def work(rank: int) -> dict[str, dict[str, torch.Tensor]]:
    result = {}
    for name, (shape, make) in CASES.items():
        module = synchronise_batch_norm(nn.Sequential(make()), "cpu")[0]
        assert {type(m) for m in module.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)} == {
            ReducedBatchNorm
        }
        tensors = step(module, *(t.split(SHARES)[rank] for t in make_batch(shape)))
        for weight, _ in module.named_parameters():
            distributed.all_reduce(tensors[weight])
        result[name] = tensors
    return result


@pytest.fixture(scope="module")
def shares():
    """What each process has, by case."""
    return in_processes(work)


@pytest.mark.parametrize("case", CASES)
def test_equals_one_process_with_the_whole_batch(shares, case):
    shape, make = CASES[case]
    expected = step(make(), *make_batch(shape))
    first, second = (share[case] for share in shares)
    for key, wanted in expected.items():
        if key in ("y", "x"):
            torch.testing.assert_close(torch.cat([first[key], second[key]]), wanted, rtol=1e-4, atol=1e-5)
        else:
            for part in (first, second):
                torch.testing.assert_close(part[key], wanted, rtol=1e-4, atol=1e-4, msg=key)


def test_alone_and_in_eval_mode_it_is_batch_norm():
    x, _ = make_batch((4, 5, 6))
    for train in (True, False):
        norm = make_norm(4, 4).train(train)
        own = synchronise_batch_norm(nn.Sequential(make_norm(4, 4)), "cpu")[0].train(train)
        torch.testing.assert_close(own(x), norm(x))
