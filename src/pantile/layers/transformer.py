"""Attention, feed-forward part and perceptron of the DETR family. Sequences are (batch, length, channels)."""

import math
from collections.abc import Sequence
from itertools import pairwise

import torch.nn.functional as F
from torch import Tensor, nn


class MultiHeadAttention(nn.Module):
    """Scaled dot-product attention.

    The projections start as ``nn.MultiheadAttention``'s, which draws them as one (3C, C) matrix.

    Args:
        channels: C, a multiple of ``num_heads``.
        num_heads: how many.
        dropout: of the attention weights, in training.
    """

    def __init__(self, channels: int, num_heads: int, dropout: float = 0.0):
        super().__init__()
        self.num_heads = num_heads
        self.dropout = dropout
        self.query = nn.Linear(channels, channels)
        self.key = nn.Linear(channels, channels)
        self.value = nn.Linear(channels, channels)
        self.out = nn.Linear(channels, channels)
        for projection in (self.query, self.key, self.value):
            nn.init.xavier_uniform_(projection.weight, gain=math.sqrt(0.5))
            nn.init.zeros_(projection.bias)
        nn.init.xavier_uniform_(self.out.weight)
        nn.init.zeros_(self.out.bias)

    def forward(self, query: Tensor, key: Tensor, value: Tensor, allowed: Tensor | None = None) -> Tensor:
        """
        Args:
            query: (B, N, C).
            key: (B, M, C).
            value: (B, M, C).
            allowed: (B, N, M) bool, which keys a query may attend to, at least one; None for all.

        Returns:
            (B, N, C).
        """
        q, k, v = (
            x.unflatten(2, (self.num_heads, -1)).transpose(1, 2)
            for x in (self.query(query), self.key(key), self.value(value))
        )
        attended = F.scaled_dot_product_attention(
            q,
            k,
            v,
            attn_mask=None if allowed is None else allowed[:, None],
            dropout_p=self.dropout if self.training else 0.0,
        )
        return self.out(attended.transpose(1, 2).flatten(2))


class FeedForward(nn.Sequential):
    """Linear, ReLU, dropout, linear."""

    def __init__(self, channels: int, hidden_channels: int, dropout: float = 0.0):
        super().__init__(
            nn.Linear(channels, hidden_channels),
            nn.ReLU(inplace=True),
            nn.Dropout(dropout),
            nn.Linear(hidden_channels, channels),
        )
        for linear in (self[0], self[3]):
            nn.init.xavier_uniform_(linear.weight)


class EncoderLayer(nn.Module):
    """DETR's: self-attention and feed-forward part, each with dropout, sum and layer norm."""

    def __init__(self, channels: int, num_heads: int, ffn_channels: int, dropout: float):
        super().__init__()
        self.attention = MultiHeadAttention(channels, num_heads, dropout)
        self.attention_norm = nn.LayerNorm(channels)
        self.ffn = FeedForward(channels, ffn_channels, dropout)
        self.ffn_norm = nn.LayerNorm(channels)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, positions: Tensor) -> Tensor:
        """x (B, S, C), positions (S, C)."""
        placed = x + positions
        x = self.attention_norm(x + self.dropout(self.attention(placed, placed, x)))
        return self.ffn_norm(x + self.dropout(self.ffn(x)))


class Perceptron(nn.Sequential):
    """Linear layers with ReLU between them.

    Args:
        widths: input, hidden ones and output.
    """

    def __init__(self, widths: Sequence[int]):
        super().__init__()
        for width, next_width in pairwise(widths):
            if len(self):
                self.append(nn.ReLU(inplace=True))
            self.append(nn.Linear(width, next_width))
