"""The auxiliary head of DeepLabv3 and UPerNet in MMSegmentation: a fully convolutional one on a middle feature."""

from torch import Tensor, nn

from pantile.layers.conv import relu_conv


class FCNHead(nn.Module):
    """(B, in_channels, h, w) -> (B, num_classes, h, w) logits.

    Args:
        channels: of the hidden map.
        dropout: of whole channels, in training.
    """

    def __init__(self, in_channels: int, channels: int, num_classes: int, dropout: float = 0.1):
        super().__init__()
        self.conv = relu_conv(in_channels, channels, 3)
        self.dropout = nn.Dropout2d(dropout)
        self.classifier = nn.Conv2d(channels, num_classes, 1)
        start_classifier(self.classifier)

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(self.dropout(self.conv(x)))


def start_classifier(layer: nn.Linear | nn.Conv2d) -> None:
    """As MMSegmentation starts a last layer."""
    nn.init.normal_(layer.weight, std=0.01)
    nn.init.zeros_(layer.bias)
