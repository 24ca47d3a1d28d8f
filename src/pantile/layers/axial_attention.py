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
from pantile.layers.conv import ConvNorm

MAX_SPAN = 255  # positions; farther ones share the outermost row of the table


class AxialAttention2D(nn.Module):
    """(B, C, H, W) -> (B, 2 * channels, H, W): the height pass, then the width pass, nothing in between.

    Args:
        in_channels: C.
        channels: total width of the keys; values are twice as wide.
        num_heads: divides ``channels``.
    """

    def __init__(self, in_channels: int, channels: int, num_heads: int = 8):
        super().__init__()
        self.height_axis = AxialAttention(in_channels, channels, 2 * channels, num_heads, along_height=True)
        self.width_axis = AxialAttention(2 * channels, channels, 2 * channels, num_heads, along_height=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.width_axis(self.height_axis(x))


class AxialAttention(nn.Module):
    """Attention along one axis of (B, C, H, W): every column (or every row) for itself.

    The projection and its batch norm are pointwise, so they run on the map as it is. Any length works: the tables
    have a row for every distance up to 254, and longer distances take the outermost row.
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
        q_RNLD, k_RNLD, v_RNLD = (self._lines(part) for part in self.qkv(x_BCHW).split(self.split, dim=1))
        length = q_RNLD.shape[2]
        distance_LM = relative_index(length, x_BCHW.device)
        rq_LMD, rk_LMD, rv_LMD = (
            F.embedding(distance_LM, table) for table in (self.query_table, self.key_table, self.value_table)
        )

        content = q_RNLD @ k_RNLD.transpose(2, 3)
        by_query = per_position(q_RNLD, rq_LMD.transpose(1, 2))
        by_key = per_position(k_RNLD, rk_LMD.permute(1, 2, 0)).transpose(2, 3)
        similarity = self.norm_similarity(at_least_float32(torch.cat([content, by_query, by_key], dim=1)))
        weights_RNLM = similarity.unflatten(1, (3, self.num_heads)).sum(1).softmax(-1)

        weights_RNLM = weights_RNLM.to(v_RNLD.dtype)
        content, position = weights_RNLM @ v_RNLD, per_position(weights_RNLM, rv_LMD)
        both_BHWKND = torch.stack([self._map(content, len(x_BCHW)), self._map(position, len(x_BCHW))], dim=3)
        content, position = self.norm_retrieved(both_BHWKND.flatten(3).permute(0, 3, 1, 2)).chunk(2, dim=1)
        return content + position

    def _lines(self, x_BCHW: Tensor) -> Tensor:
        x_BNDHW = x_BCHW.unflatten(1, (self.num_heads, -1))
        order = (0, 4, 1, 3, 2) if self.along_height else (0, 3, 1, 4, 2)
        return x_BNDHW.permute(order).flatten(0, 1)

    def _map(self, x_RNLD: Tensor, batch: int) -> Tensor:
        """The inverse, with channels last: (B, H, W, N, D)."""
        order = (0, 3, 1, 2, 4) if self.along_height else (0, 1, 3, 2, 4)
        return x_RNLD.unflatten(0, (batch, -1)).permute(order)


def relative_index(length: int, device: torch.device | str = "cpu") -> Tensor:
    """(L, M) int64: the table row for query position l and key position m, ``m - l + 254`` clipped to the table."""
    position = torch.arange(length, device=device)
    return (position[None, :] - position[:, None]).clamp(1 - MAX_SPAN, MAX_SPAN - 1) + MAX_SPAN - 1


def per_position(x_RNLD: Tensor, matrix_LDM: Tensor) -> Tensor:
    """Multiplies the vectors at position l with the l-th matrix: (R, N, L, D) x (L, D, M) -> (R, N, L, M)."""
    rows, heads, length, width = x_RNLD.shape
    x_LSD = x_RNLD.permute(2, 0, 1, 3).reshape(length, rows * heads, width)
    return torch.bmm(x_LSD, matrix_LDM).unflatten(1, (rows, heads)).permute(1, 2, 0, 3)


def _relative_table(width: int) -> nn.Parameter:
    """(509, width): one row for each distance -254..254, shared by all heads."""
    return nn.Parameter(trunc_normal_tf_(torch.empty(2 * MAX_SPAN - 1, width), std=1.0))
