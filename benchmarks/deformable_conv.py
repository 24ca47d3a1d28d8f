"""Modulated deformable convolution on a CPU: sampled taps and one matrix product against torchvision's operator.

    python benchmarks/deformable_conv.py [--repeats 5]

Prints the ratio of medians of alternating calls, forward and backward, for p3 of a nano model (4 x 64 x 25 x 25) and of
a full one (2 x 256 x 64 x 64), and the largest differences of outputs and gradients.
"""

import argparse
from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor
from torchvision.ops import deform_conv2d

from pantile.layers.deformable_conv import sampled_deform_conv2d
from turns import alternating_medians


def ours(x: Tensor, offset: Tensor, weight: Tensor, mask: Tensor) -> Tensor:
    return sampled_deform_conv2d(x, offset, weight, None, (1, 1), mask)


def torchvision(x: Tensor, offset: Tensor, weight: Tensor, mask: Tensor) -> Tensor:
    return deform_conv2d(x, offset, weight, padding=1, mask=mask)


def with_backward(form: Callable[..., Tensor], given: list[Tensor]) -> tuple[Tensor, ...]:
    result = form(*given)
    return torch.autograd.grad(result, given, torch.ones_like(result))


def inputs(batch: int, channels: int, size: int) -> list[Tensor]:
    """x, offset, weight and mask."""
    generator = torch.Generator().manual_seed(0)
    shapes = ((channels, size, size), (18, size, size), (9, size, size))
    x, offset, mask = (torch.randn(batch, *shape, generator=generator) for shape in shapes)
    weight = torch.randn(channels, channels, 3, 3, generator=generator) / (9 * channels) ** 0.5
    return [t.requires_grad_() for t in (x, offset, weight, mask.sigmoid())]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=5)
    repeats = parser.parse_args().repeats
    for shape in ((4, 64, 25), (2, 256, 64)):
        given = inputs(*shape)
        difference = float((ours(*given) - torchvision(*given)).detach().abs().max())
        pairs = zip(with_backward(ours, given), with_backward(torchvision, given), strict=True)
        gradients = max(float((a - b).abs().max() / b.abs().max()) for a, b in pairs)
        forward, both = (
            alternating_medians({form.__name__: partial(call, form, given) for form in (ours, torchvision)}, repeats)
            for call in (lambda form, arguments: form(*arguments).detach(), with_backward)
        )
        print(
            f"{shape}: forward {forward['ours'] / forward['torchvision']:.2f}, with backward "
            f"{both['ours'] / both['torchvision']:.2f} of torchvision; outputs differ by {difference:.1e}, "
            f"gradients relatively by {gradients:.1e}"
        )


if __name__ == "__main__":
    main()
