"""GAP+Linear: the mean of all pixels, a hidden layer, K logits."""

from collections.abc import Callable

from torch import Tensor, nn

from pantile.techniques.rankseg.presence import Presence


class PoolingHead(nn.Module):
    """
    Args:
        num_classes: K.
        in_channels: C of the pixels, also of the hidden layer.
        pool: before the mean. Where it pools to a grid whose cells overlap, the mean is another than that of the
            pixels (published code); by itself it changes nothing.
    """

    def __init__(self, num_classes: int, in_channels: int, pool: Callable[[Tensor], Tensor]):
        super().__init__()
        self.pool = pool
        self.hidden = nn.Linear(in_channels, in_channels)
        self.classifier = nn.Linear(in_channels, num_classes)

    def forward(self, feature: Tensor, class_embed: Tensor | None, tokens: Tensor | None) -> Presence:
        """(B, C, h, w); class embeddings and tokens are not read."""
        mean = self.pool(feature).mean(dim=(2, 3))
        return Presence(self.classifier(self.hidden(mean).relu()))
