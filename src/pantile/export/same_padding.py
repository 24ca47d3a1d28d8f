"""TensorFlow's "same" padding as the numbers that it is, where a graph takes inputs of many sizes.

timm computes the padding of such a convolution from the size of its input. Traced with symbols, every layer's formula
holds those of the layers before it, and the tenth stands for minutes of symbolic arithmetic. A graph's sides are
``multiple * k + remainder`` pixels, though, and where the multiple holds all strides of the network, the padding of
each layer is the same for every k.
"""

import itertools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from unittest.mock import patch

from timm.layers import padding

from pantile.runtime.sizes import InputSizes, Side


@contextmanager
def same_padding_as_numbers(
    run: Callable[[tuple[int, int]], object], size: tuple[int, int], sizes: InputSizes
) -> Iterator[None]:
    """While it lasts, the network may be traced with symbolic sides: its paddings are numbers, if they are the same for
    all ``sizes``. Otherwise, or without such layers, nothing changes.

    Args:
        run: the network on an input of (height, width), eagerly.
        size: (height, width) of the trace.
        sizes: that the graph is to take.
    """
    paddings = _paddings(run, size)
    if not paddings or paddings != _paddings(run, (_next(sizes.height, size[0]), _next(sizes.width, size[1]))):
        yield
        return
    in_order = itertools.cycle(paddings)  # a trace may run the network more than once, each time all of it
    with patch.object(padding, "get_same_padding", lambda *_: next(in_order)):
        yield


def _next(side: Side, length: int) -> int:
    return length + side.multiple if side.fixed is None else length


def _paddings(run: Callable[[tuple[int, int]], object], size: tuple[int, int]) -> list[int]:
    """Of each call of a layer with "same" padding, in their order: rows, then columns."""
    found, original = [], padding.get_same_padding

    def measured(*arguments: int) -> int:
        found.append(original(*arguments))
        return found[-1]

    with patch.object(padding, "get_same_padding", measured):
        run(size)
    return found
