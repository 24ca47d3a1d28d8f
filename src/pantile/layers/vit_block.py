"""The block of a plain vision transformer of the DINO family, for sequences of which the first tokens may be told what
to look at:

    x <- x + gamma_1 * attention(norm(x)),   x <- x + gamma_2 * mlp(norm(x))

Parameters have timm's names.
"""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from timm.layers import DropPath
from torch import Tensor, nn


class Rotation(NamedTuple):
    """By how much pairs of channels of the last P tokens are turned (arXiv:2104.09864); see ``rotary_positions``.

    Attributes:
        cos, sin: (P, d / 2) for heads of d channels.
    """

    cos: Tensor
    sin: Tensor

    def turn(self, x: Tensor) -> Tensor:
        """(B, heads, T, d) to the same; the first T - P tokens stay."""
        count = len(self.cos)
        others, patches = x.split([x.shape[2] - count, count], dim=2)
        cos, sin = self.cos.to(x.dtype), self.sin.to(x.dtype)
        first, second = patches.chunk(2, dim=3)
        return torch.cat([others, torch.cat([first * cos - second * sin, second * cos + first * sin], dim=3)], dim=2)


class ViTAttention(nn.Module):
    """Self-attention, whose first tokens may be confined.

    Args:
        channels: C, a multiple of ``num_heads``.
        num_heads: how many.
        key_bias: False leaves the bias of keys out (DINOv3), which moves all logits of a row alike.
    """

    def __init__(self, channels: int, num_heads: int, key_bias: bool = True):
        super().__init__()
        self.num_heads = num_heads
        self.qkv = nn.Linear(channels, 3 * channels, bias=key_bias)
        if not key_bias:
            self.q_bias, self.v_bias = (nn.Parameter(torch.zeros(channels)) for _ in range(2))
        self.proj = nn.Linear(channels, channels)

    def forward(self, x: Tensor, rotation: Rotation | None = None, seen: Tensor | None = None) -> Tensor:
        """
        Args:
            x: (B, T, C).
            rotation: of the last tokens' queries and keys.
            seen: (B, N, T) bool, which tokens each of the first N looks at, at least one; None is all. The other
                tokens look at all, so that no mask of T x T is made.

        Returns:
            (B, T, C).
        """
        q, k, v = self._qkv(x).unflatten(2, (3, self.num_heads, -1)).permute(2, 0, 3, 1, 4)
        if rotation is not None:
            q, k = rotation.turn(q), rotation.turn(k)
        if seen is None:
            attended = F.scaled_dot_product_attention(q, k, v)
        else:
            confined, free = q.split([seen.shape[1], q.shape[2] - seen.shape[1]], dim=2)
            parts = [
                F.scaled_dot_product_attention(confined, k, v, attn_mask=seen[:, None]),
                F.scaled_dot_product_attention(free, k, v),
            ]
            attended = torch.cat(parts, dim=2)
        return self.proj(attended.transpose(1, 2).flatten(2))

    def _qkv(self, x: Tensor) -> Tensor:
        if self.qkv.bias is not None:
            return self.qkv(x)
        return F.linear(x, self.qkv.weight, torch.cat([self.q_bias, torch.zeros_like(self.q_bias), self.v_bias]))


class Mlp(nn.Module):
    """Linear, GELU, linear; gated: SiLU of one half of the first layer's output times the other (SwiGLU,
    arXiv:2002.05202).

    Args:
        channels: C.
        hidden_channels: of what the second layer takes.
    """

    def __init__(self, channels: int, hidden_channels: int, gated: bool = False):
        super().__init__()
        self.gated = gated
        self.fc1 = nn.Linear(channels, 2 * hidden_channels if gated else hidden_channels)
        self.fc2 = nn.Linear(hidden_channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        hidden = self.fc1(x)
        if not self.gated:
            return self.fc2(F.gelu(hidden))
        gate, value = hidden.chunk(2, dim=-1)
        return self.fc2(F.silu(gate) * value)


class ViTBlock(nn.Module):
    """See the module's docstring.

    Args:
        channels: C.
        num_heads: of the attention.
        hidden_channels: of the MLP.
        gated: whether the MLP is.
        key_bias: of the attention.
        layer_scale: what gamma starts from.
        drop_path: 0..1, stochastic depth.
        norm_eps: of the layer norms.
    """

    def __init__(
        self,
        channels: int,
        num_heads: int,
        hidden_channels: int,
        *,
        gated: bool = False,
        key_bias: bool = True,
        layer_scale: float = 1.0,
        drop_path: float = 0.0,
        norm_eps: float = 1e-6,
    ):
        super().__init__()
        self.norm1 = nn.LayerNorm(channels, eps=norm_eps)
        self.attn = ViTAttention(channels, num_heads, key_bias)
        self.gamma_1 = nn.Parameter(torch.full((channels,), layer_scale))
        self.norm2 = nn.LayerNorm(channels, eps=norm_eps)
        self.mlp = Mlp(channels, hidden_channels, gated)
        self.gamma_2 = nn.Parameter(torch.full((channels,), layer_scale))
        self.drop_path = DropPath(drop_path) if drop_path else nn.Identity()

    def forward(self, x: Tensor, rotation: Rotation | None = None, seen: Tensor | None = None) -> Tensor:
        """As ``ViTAttention``."""
        x = torch.addcmul(x, self.drop_path(self.attn(self.norm1(x), rotation, seen)), self.gamma_1)
        return torch.addcmul(x, self.drop_path(self.mlp(self.norm2(x))), self.gamma_2)
