"""Feature pyramid network (Lin et al., arXiv:1612.03144), with the coarser levels of RetinaNet (arXiv:1708.02002).

top-down:  x_l = conv1x1(res_l) + nearest(x_{l+1}),   p_l = conv3x3(x_l),    l = 5, 4, 3, 2
coarser:   p_6 = conv3x3/2(p_5),   p_7 = conv3x3/2(relu(p_6))
"""

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn


class FeaturePyramid(nn.Module):
    """Backbone maps, finest first -> as many maps of one width and ``coarser`` more, finest first.

    Args:
        in_channels: of the backbone's maps, finest first.
        channels: of every level.
        coarser: levels beyond the backbone's last.
    """

    def __init__(self, in_channels: Sequence[int], channels: int, coarser: int):
        super().__init__()
        self.laterals = nn.ModuleList(nn.Conv2d(width, channels, 1) for width in in_channels)
        self.outputs = nn.ModuleList(nn.Conv2d(channels, channels, 3, padding=1) for _ in in_channels)
        self.coarser = nn.ModuleList(nn.Conv2d(channels, channels, 3, stride=2, padding=1) for _ in range(coarser))
        for conv in (*self.laterals, *self.outputs, *self.coarser):
            nn.init.kaiming_uniform_(conv.weight, a=1)
            nn.init.zeros_(conv.bias)

    def forward(self, features: Sequence[Tensor]) -> list[Tensor]:
        """features: (B, C_l, h_l, w_l), each about half as large as the one before."""
        x = self.laterals[-1](features[-1])
        levels = [self.outputs[-1](x)]
        for index in range(len(features) - 2, -1, -1):
            fine = self.laterals[index](features[index])
            x = fine + F.interpolate(x, fine.shape[2:], mode="nearest")
            levels.insert(0, self.outputs[index](x))
        for index, conv in enumerate(self.coarser):
            levels.append(conv(F.relu(levels[-1]) if index else levels[-1]))
        return levels
