"""Transformer layer with the norms before its parts (ViT): ``x + attention(norm(x))``, then ``x + FFN(norm(x))``."""

from timm.layers import DropPath
from torch import Tensor, nn

from pantile.layers.transformer import MultiHeadAttention


class PreNormLayer(nn.Module):
    """Every position attends to every other.

    Args:
        channels: C, a multiple of ``num_heads``.
        num_heads: how many.
        ffn_channels: inner width of the feed-forward part.
        dropout: in training, of attention weights and of what both parts add, 0..1.
        drop_path: stochastic depth, 0..1.
        eps: of the norms.
    """

    def __init__(
        self,
        channels: int,
        num_heads: int,
        ffn_channels: int,
        dropout: float = 0.0,
        drop_path: float = 0.0,
        eps: float = 1e-5,
    ):
        super().__init__()
        self.attention_norm = nn.LayerNorm(channels, eps)
        self.attention = MultiHeadAttention(channels, num_heads, dropout)
        self.dropout = nn.Dropout(dropout)
        self.ffn_norm = nn.LayerNorm(channels, eps)
        self.ffn = nn.Sequential(
            nn.Linear(channels, ffn_channels),
            nn.GELU(),
            nn.Dropout(dropout),
            nn.Linear(ffn_channels, channels),
            nn.Dropout(dropout),
        )
        self.drop_path = DropPath(drop_path)

    def forward(self, x: Tensor) -> Tensor:
        """(B, N, C) to the same."""
        normed = self.attention_norm(x)
        x = x + self.drop_path(self.dropout(self.attention(normed, normed, normed)))
        return x + self.drop_path(self.ffn(self.ffn_norm(x)))
