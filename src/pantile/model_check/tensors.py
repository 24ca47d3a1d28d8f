"""The tensors of a typed output, and models that hide nothing behind initial values."""

from collections.abc import Iterator
from dataclasses import fields, is_dataclass

import torch
from torch import Tensor, nn


def named_tensors(output: object, prefix: str = "") -> Iterator[tuple[str, Tensor]]:
    """Every tensor in a typed output, nested ones included, by names such as ``.layers[0].mask_logits``."""
    if isinstance(output, Tensor):
        yield prefix, output
    elif isinstance(output, tuple):
        for i, item in enumerate(output):
            yield from named_tensors(item, f"{prefix}[{i}]")
    elif is_dataclass(output):
        for field in fields(output):
            yield from named_tensors(getattr(output, field.name), f"{prefix}.{field.name}")


def pseudo_loss(output: object) -> Tensor:
    """A scalar to which every tensor of the output contributes."""
    terms = []
    for seed, (_, tensor) in enumerate(named_tensors(output)):
        weight = torch.randn(tensor.shape, generator=torch.Generator().manual_seed(seed))
        terms.append((weight * tensor.float()).sum() / max(tensor.numel(), 1) ** 0.5)
    return torch.stack(terms).sum()


@torch.no_grad()
def randomise_norms(model: nn.Module) -> nn.Module:
    """Leaves no batch norm at an initial value that hides something (zero, one)."""
    generator = torch.Generator().manual_seed(7)
    for module in model.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            shape = module.running_mean.shape
            module.running_mean.copy_(0.1 * torch.randn(shape, generator=generator))
            module.running_var.copy_(0.5 + torch.rand(shape, generator=generator))
            module.weight.copy_(0.5 + torch.rand(shape, generator=generator))
            module.bias.copy_(0.1 * torch.randn(shape, generator=generator))
    return model


def not_finite(output: object) -> list[str]:
    """Names of the tensors with a value that is not a finite number."""
    return [name for name, tensor in named_tensors(output) if not tensor.isfinite().all()]


def different(left: object, right: object, tolerance: float = 0.0) -> list[str]:
    """Names of the tensors that only one of two outputs has, or that differ.

    Args:
        tolerance: allowed difference, relative to the largest number of the tensor.
    """
    left, right = dict(named_tensors(left)), dict(named_tensors(right))
    both = [name for name in left if name in right]
    return sorted(left.keys() ^ right.keys()) + [n for n in both if not _close(left[n], right[n], tolerance)]


def _close(left: Tensor, right: Tensor, tolerance: float) -> bool:
    if left.shape != right.shape:
        return False
    scale = left.abs().max().clamp(min=1e-6) if left.numel() else 1.0
    return bool(((left - right).abs() <= tolerance * scale).all())
