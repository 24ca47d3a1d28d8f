"""Axial attention: self-attention along the columns of a map, then along its rows (Axial-DeepLab, ECCV 2020).

Position-sensitive, as kMaX-DeepLab's pixel decoder and the axial backbones use it. For one axis, with query
position l, key position m and one head of width d:

    logit(l, m) = BN1(q_l . k_m) + BN2(q_l . r^q_{m-l}) + BN3(k_m . r^k_{m-l})        no 1/sqrt(d)
    y_l         = BN4(sum_m w_lm v_m) + BN5(sum_m w_lm r^v_{m-l})                    w = softmax over m

Shape suffixes: B images, C channels, H and W of the map, R lines (B times the other axis), L positions of a line
(M when they are keys), N heads, D width of a head.
"""

import torch
import torch.nn.functional as F
from timm.layers import trunc_normal_tf_
from torch import Tensor, nn

from pantile.contracts.precision import at_least_float32
from pantile.layers.axial_lines import attend_lines
from pantile.layers.batch_statistics import running_scale_and_shift, scale_and_shift
from pantile.layers.conv import ConvNorm
from pantile.layers.similarity_scale import similarity_scale

MAX_SPAN = 255  # positions; farther ones share the outermost row of the table


class AxialAttention2D(nn.Module):
    """(B, C, H, W) -> (B, 2 * channels, H, W): the height pass, then the width pass, nothing in between.

    With a stride of 2, every second row is left out after the height pass and every second column after the width
    pass: (B, 2 * channels, ceil(H / 2), ceil(W / 2)).

    Args:
        in_channels: C.
        channels: total width of the keys; values are twice as wide.
        num_heads: divides ``channels``.
        stride: 1 or 2.
    """

    def __init__(self, in_channels: int, channels: int, num_heads: int = 8, stride: int = 1):
        super().__init__()
        self.stride = stride
        self.height_axis = AxialAttention(in_channels, channels, 2 * channels, num_heads, along_height=True)
        self.width_axis = AxialAttention(2 * channels, channels, 2 * channels, num_heads, along_height=False)

    def forward(self, x: Tensor) -> Tensor:
        x = self.height_axis(x)[:, :, :: self.stride]
        return self.width_axis(x)[:, :, :, :: self.stride]


class AxialAttention(nn.Module):
    """Attention along one axis of (B, C, H, W): every column (or every row) for itself.

    The projection and its batch norm are pointwise, so they run on the map as it is. Any length works: the tables
    have a row for every distance up to 254, and longer distances take the outermost row. No tensor of lines times
    L times L is kept (``axial_lines``, ``similarity_scale``).
    """

    def __init__(self, in_channels: int, key_channels: int, value_channels: int, num_heads: int, *, along_height: bool):
        super().__init__()
        self.along_height = along_height
        self.num_heads = num_heads
        self.split = (key_channels, key_channels, value_channels)
        self.qkv = ConvNorm(in_channels, sum(self.split), act=None, std=in_channels**-0.5)
        self.norm_similarity = nn.BatchNorm2d(3 * num_heads)  # term-major: content, query table, key table
        self.norm_retrieved = nn.BatchNorm2d(2 * value_channels)  # content, then table
        self.query_table = _relative_table(key_channels // num_heads)
        self.key_table = _relative_table(key_channels // num_heads)
        self.value_table = _relative_table(value_channels // num_heads)

    def forward(self, x_BCHW: Tensor) -> Tensor:
        q_RLND, k_RLND, v_RLND = (self._lines(part) for part in self.qkv(x_BCHW).split(self.split, dim=1))
        distance_LM = relative_index(q_RLND.shape[1], x_BCHW.device)
        rq_LMD, rk_LMD, rv_LMD = (
            F.embedding(distance_LM, table) for table in (self.query_table, self.key_table, self.value_table)
        )
        scale = similarity_scale(self.norm_similarity, q_RLND, k_RLND, rq_LMD, rk_LMD)
        retrieved = attend_lines(q_RLND, k_RLND, v_RLND, scale, rq_LMD, rk_LMD, rv_LMD)
        return self._map(self._normalised_sum(*retrieved), x_BCHW.shape[0])

    def _normalised_sum(self, content_RLND: Tensor, position_RLND: Tensor) -> Tensor:
        """``BN4(content) + BN5(position)``; the two are halves of one batch norm."""
        norm, dtype = self.norm_retrieved, content_RLND.dtype
        if norm.training:
            sums, squares = zip(*(_moments(x) for x in (content_RLND, position_RLND)), strict=True)
            count = content_RLND.shape[0] * content_RLND.shape[1]
            scale, shift = scale_and_shift(norm, torch.cat(sums), torch.cat(squares), count)
        else:
            scale, shift = running_scale_and_shift(norm)
        (by_content, by_position), shift = scale.to(dtype).view(2, self.num_heads, -1), shift.chunk(2)
        shift = (shift[0] + shift[1]).to(dtype).view(self.num_heads, -1)
        return torch.addcmul(torch.addcmul(shift, content_RLND, by_content), position_RLND, by_position)

    def _lines(self, x_BCHW: Tensor) -> Tensor:
        """(R, L, N, D); for channels-last maps and rows no number moves."""
        x_BNDHW = x_BCHW.unflatten(1, (self.num_heads, -1))
        order = (0, 4, 3, 1, 2) if self.along_height else (0, 3, 4, 1, 2)
        return x_BNDHW.permute(order).flatten(0, 1)

    def _map(self, x_RLND: Tensor, batch: int) -> Tensor:
        """The inverse, (B, C, H, W) with channels last in memory."""
        x_BOLC = x_RLND.flatten(2).unflatten(0, (batch, -1))  # O: the other axis
        return x_BOLC.permute((0, 3, 2, 1) if self.along_height else (0, 3, 1, 2))


def _moments(x_RLND: Tensor) -> tuple[Tensor, Tensor]:
    """Of each channel, (N * D,) float64: the sum, and the sum of squares."""
    x = at_least_float32(x_RLND)
    variance, mean = torch.var_mean(x, dim=(0, 1), correction=0)
    count, variance, mean = x.shape[0] * x.shape[1], variance.flatten().double(), mean.flatten().double()
    return count * mean, count * (variance + mean.square())


def relative_index(length: int, device: torch.device | str = "cpu") -> Tensor:
    """(L, M) int64: the table row for query position l and key position m, ``m - l + 254`` clipped to the table."""
    position = torch.arange(length, device=device)
    return (position[None, :] - position[:, None]).clamp(1 - MAX_SPAN, MAX_SPAN - 1) + MAX_SPAN - 1


def _relative_table(width: int) -> nn.Parameter:
    """(509, width): one row for each distance -254..254, shared by all heads."""
    return nn.Parameter(trunc_normal_tf_(torch.empty(2 * MAX_SPAN - 1, width), std=1.0))
