"""Pixel decoder of kMaX-DeepLab: from the coarsest backbone map to the finest, one stage per stride.

    x = Stage_0(LN_0(f_0)),    x = Stage_i(Fuse_i(x, LN_i(f_i)))

f_0 is the backbone's map at stride 32. Stages at strides 32 and 16 are axial attention blocks, the others
bottlenecks. No block is activated at its end. Whoever reads a stage applies a GELU first (the next fusion, the
transformer layers), except the final predictor, which reads the last stage as it is; so the decoder applies that GELU
once and gives activated maps, except the last.
"""

import torch.nn.functional as F
from torch import Tensor, nn

from pantile.layers.conv import ChannelLayerNorm, ConvNorm
from pantile.layers.residual_block import axial_block, bottleneck_block
from pantile.layers.resize import resize

AXIAL_STAGES = 2


class PixelDecoder(nn.Module):
    """Tuple of backbone maps, coarse to fine -> list of (B, 4 * width_i, h_i, w_i) in the same order.

    All but the last are activated (GELU).

    Args:
        in_channels: of the backbone maps, coarse to fine.
        widths: base width of each stage; a stage gives four times that.
        blocks: residual blocks of each stage.
        num_heads: of the axial attention.
    """

    def __init__(self, in_channels: list[int], widths: list[int], blocks: list[int], num_heads: int):
        super().__init__()
        self.input_norms = nn.ModuleList(ChannelLayerNorm(channels) for channels in in_channels)
        self.fusions = nn.ModuleList()
        self.stages = nn.ModuleList()
        self.out_channels = [4 * width for width in widths]
        for i, (width, count) in enumerate(zip(widths, blocks, strict=True)):
            entry = in_channels[0] if i == 0 else width
            if i > 0:
                self.fusions.append(Fusion(4 * widths[i - 1], in_channels[i], width))
            self.stages.append(
                nn.Sequential(
                    *(
                        _block(entry if j == 0 else 4 * width, width, axial=i < AXIAL_STAGES, num_heads=num_heads)
                        for j in range(count)
                    )
                )
            )

    def forward(self, features: tuple[Tensor, ...]) -> list[Tensor]:
        x = self.stages[0](self.input_norms[0](features[0]))
        activated = []
        for feature, norm, fuse, stage in zip(
            features[1:], self.input_norms[1:], self.fusions, self.stages[1:], strict=True
        ):
            activated.append(F.gelu(x))
            x = stage(fuse(activated[-1], norm(feature)))
        return [*activated, x]


class Fusion(nn.Module):
    """``resize(BN(1x1(low))) + BN(1x1(GELU(high)))``, low being activated already.

    A finer map that has ``out_channels`` already is used raw: no GELU, no convolution.
    """

    def __init__(self, low_channels: int, high_channels: int, out_channels: int):
        super().__init__()
        self.low = ConvNorm(low_channels, out_channels, act=None)
        self.high = nn.Identity()
        if high_channels != out_channels:
            self.high = nn.Sequential(nn.GELU(), ConvNorm(high_channels, out_channels, act=None))

    def forward(self, low: Tensor, high: Tensor) -> Tensor:
        return resize(self.low(low), high.shape[2:]) + self.high(high)


def _block(in_channels: int, width: int, *, axial: bool, num_heads: int) -> nn.Module:
    if axial:
        return axial_block(in_channels, 4 * width, width, num_heads)
    return bottleneck_block(in_channels, 4 * width)
