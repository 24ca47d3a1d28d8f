"""Windows of maps, against timm's, and in a graph that takes many sizes."""

import pytest
import torch
import torch.nn.functional as F
from timm.models.swin_transformer import window_partition, window_reverse
from torch import Tensor, nn
from torch.export import Dim

from pantile.layers.windows import from_windows, pad_to_windows, to_windows, window_counts, without_padding

WINDOW = (4, 3)


class OffsetWithinWindows(nn.Module):
    """Adds to each pixel its number within its window."""

    def forward(self, x: Tensor) -> Tensor:
        size = x.shape[1:3]
        counts = window_counts(size, WINDOW)
        windows = to_windows(pad_to_windows(x, WINDOW), WINDOW, counts)
        windows = windows + torch.arange(windows.shape[1])[:, None]
        return without_padding(from_windows(windows, WINDOW, counts, x.shape[0]), size)


def by_timm(x: Tensor) -> Tensor:
    height, width = x.shape[1:3]
    padded = F.pad(x, (0, 0, 0, -width % WINDOW[1], 0, -height % WINDOW[0]))
    windows = window_partition(padded, WINDOW)
    windows = windows + torch.arange(12).view(1, 4, 3, 1)
    return window_reverse(windows, WINDOW, *padded.shape[1:3])[:, :height, :width]


@pytest.mark.parametrize("size", [(8, 6), (1, 1), (9, 7), (11, 6), (4, 5)])
def test_windows_are_those_of_timm(size):
    x = torch.randn(2, *size, 5)
    assert torch.equal(OffsetWithinWindows()(x), by_timm(x))


@pytest.mark.parametrize("traced", [(13, 17), (13, 9)])  # the second is as wide as three windows
def test_a_graph_takes_other_sizes(traced):
    shapes = {"x": {0: Dim("batch", max=8), 1: 4 * Dim("h", max=64) + 1, 2: 4 * Dim("w", max=64) + 1}}
    examples = (torch.randn(2, *traced, 5),)
    program = torch.export.export(OffsetWithinWindows(), examples, dynamic_shapes=shapes, strict=False).module()
    for size in ((3, 5, 5), (2, 25, 41), (3, 17, 13), (1, 9, 9), (2, 29, 29)):
        x = torch.randn(*size, 5)
        assert torch.equal(program(x), by_timm(x))
