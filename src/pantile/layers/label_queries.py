"""A decoder layer of Query2Label (arXiv:2107.10834): classes look at pixels, not at each other."""

from torch import Tensor, nn

from pantile.layers.transformer import FeedForward, MultiHeadAttention


class LabelQueryLayer(nn.Module):
    """Attention to the pixels, then a feed-forward part; sum and layer norm after each.

    Args:
        channels: D, a multiple of ``num_heads``.
        num_heads: of the attention.
        ffn_channels: inner width of the feed-forward part.
        dropout: of attention weights and of what is added, 0..1.
    """

    def __init__(self, channels: int, num_heads: int, ffn_channels: int, dropout: float):
        super().__init__()
        self.attention = MultiHeadAttention(channels, num_heads, dropout)
        self.attention_norm = nn.LayerNorm(channels)
        self.ffn = FeedForward(channels, ffn_channels, dropout)
        self.ffn_norm = nn.LayerNorm(channels)
        self.dropout = nn.Dropout(dropout)

    def forward(self, content: Tensor, queries: Tensor, keys: Tensor, values: Tensor) -> Tensor:
        """
        Args:
            content: (B, K, D), what classes know so far.
            queries: (K, D), their embeddings.
            keys: (B, N, D), pixels with their positions.
            values: (B, N, D).

        Returns:
            (B, K, D).
        """
        attended = self.attention(content + queries, keys, values)
        content = self.attention_norm(content + self.dropout(attended))
        return self.ffn_norm(content + self.dropout(self.ffn(content)))
