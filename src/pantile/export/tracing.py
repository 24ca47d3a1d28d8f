"""From a network to an exported program of torch, with as many dynamic sides as its operators allow."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass

import torch
from timm.layers import to_2tuple
from torch import nn
from torch.export import Dim, ExportedProgram

from pantile.contracts.errors import UserError
from pantile.data.fit import FitConfig
from pantile.export.graph import DeployedNetwork, example_inputs
from pantile.export.same_padding import same_padding_as_numbers
from pantile.runtime.sizes import InputSizes, Side

LARGEST = 2**14  # pixels of a side
STRIDES = (4, 8, 16, 32)  # of maps with windows
_COARSEST = 64  # with a multiple of it, whether corners align is known at every stride up to 32


@dataclass(frozen=True)
class Traced:
    """
    Attributes:
        program: takes images and padding.
        sizes: that it takes.
        size: (height, width) of the input that was asked for; the trace itself may have taken a little more.
        limits: why a side is fixed, in sentences.
    """

    program: ExportedProgram
    sizes: InputSizes
    size: tuple[int, int]
    limits: tuple[str, ...] = ()


def traces(
    network: DeployedNetwork,
    channels: int,
    size: tuple[int, int],
    rule: FitConfig | None,
    fused: bool,
    tell: Callable[[str], None],
) -> Iterator[Traced]:
    """What can be traced, from the freest input sizes to the most fixed: for who finds that a graph fails at others.

    Args:
        network: in eval mode.
        channels: of its images.
        size: (height, width) of an input that it takes.
        rule: by which images get sizes of their own, where they do.
        fused: attention stays one operator. Not for a format that has none: torch decomposes it into products whose
            result lies otherwise in memory, where a view of the trace is refused.
        tell: hears which sizes are tried next.

    Raises:
        UserError: it cannot be traced even with all sizes fixed.
    """
    limits: list[str] = []
    last = None
    for sizes in _candidates(size, rule):
        tell(f"tracing with inputs of {sizes}")
        try:
            program = _trace(network, channels, size, sizes, fused)
        except (RuntimeError, TypeError, ValueError, AssertionError, torch._dynamo.exc.TorchDynamoException) as error:
            limits.append(f"not traced with {sizes}: {_first_line(error)}")
            last = error
        else:
            last = None
            yield Traced(program, sizes, size, tuple(limits))
    if last is not None:
        raise UserError(
            f"{type(network.model).__name__} cannot be traced by torch.export: {_first_line(last)}"
        ) from last


def _candidates(size: tuple[int, int], rule: FitConfig | None) -> list[InputSizes]:
    found = []
    for multiple in dict.fromkeys((rule.multiple if rule else _COARSEST, _COARSEST, 32)):
        sides = [Side(multiple=multiple, remainder=rule.remainder if rule else length % 2) for length in size]
        if all(side.takes(length) for side, length in zip(sides, size, strict=True)):
            found.append(InputSizes(*sides))
    height, width = (Side(fixed=length) for length in size)
    return [*found, InputSizes(height, width), InputSizes(height, width, batch=1)]


def _trace(
    network: DeployedNetwork, channels: int, size: tuple[int, int], sizes: InputSizes, fused: bool
) -> ExportedProgram:
    batch = Dim("batch", min=1, max=1024) if sizes.batch is None else Dim.STATIC
    height, width = _dimension(sizes.height, "h"), _dimension(sizes.width, "w")
    shapes = {"images": {0: batch, 1: Dim.STATIC, 2: height, 3: width}, "padding": {0: batch, 1: height, 2: width}}

    at = size_without_chance(network, size, sizes)

    def run(at: tuple[int, int]) -> None:
        network(*example_inputs(channels, at, batch=1))

    attention = nullcontext() if fused else attention_in_products(network)
    with torch.no_grad(), attention, same_padding_as_numbers(run, size, sizes):
        examples = example_inputs(channels, at, batch=sizes.batch or 2)
        return torch.export.export(network, examples, dynamic_shapes=shapes, strict=False)


@contextmanager
def attention_in_products(network: nn.Module) -> Iterator[None]:
    """While it lasts, timm's layers compute attention from matrix products and a softmax."""
    layers = [layer for layer in network.modules() if getattr(layer, "fused_attn", False)]
    for layer in layers:
        layer.fused_attn = False
    try:
        yield
    finally:
        for layer in layers:
            layer.fused_attn = True


def size_without_chance(network: nn.Module, size: tuple[int, int], sizes: InputSizes) -> tuple[int, int]:
    """``size``, or a little more where maps happen to be whole windows: torch takes that for a rule of all sizes.

    Args:
        network: its layers with windows have a ``window_size``, as timm's.
    """
    windows = [to_2tuple(own) for layer in network.modules() if (own := getattr(layer, "window_size", None))]
    found = []
    for axis, (side, length) in enumerate(zip((sizes.height, sizes.width), size, strict=True)):
        own = {window[axis] for window in windows}
        while side.fixed is None and any(_by_chance(side, length, stride, step) for step in own for stride in STRIDES):
            length += side.multiple
        found.append(length)
    return tuple(found)


def _by_chance(side: Side, length: int, stride: int, window: int) -> bool:
    """Whether a map is whole windows at this length, and not at the next that the side takes."""
    here, next_one = ((pixels + stride - 1) // stride % window for pixels in (length, length + side.multiple))
    return here == 0 != next_one


def _dimension(side: Side, name: str):
    if side.fixed is not None:
        return Dim.STATIC
    return side.multiple * Dim(name, min=1, max=LARGEST // side.multiple) + side.remainder


def _first_line(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines[0] if lines else type(error).__name__)[:200]
