"""The simple feature pyramid of ViTDet (Li et al., ECCV 2022, arXiv:2203.16527): four maps of a plain transformer's
last one, with D channels at stride 16::

    stride 4     deconvolution to D/2, layer norm, GELU, deconvolution to D/4  -+
    stride 8     deconvolution to D/2                                           |  1x1 to 256, layer norm,
    stride 16    as it is                                                       |  3x3, layer norm
    stride 32    max-pooling                                                   -+

Deconvolutions are 2x2 of stride 2; layer norms are over the channels of a pixel. Patches of 8 or 32 pixels have one
deconvolution less or more everywhere; those of another size are resampled to 16 as weights are loaded.
"""

import math

import torch.nn.functional as F
from torch import Tensor, nn

from pantile.backbones.interface import Backbone
from pantile.backbones.timm_tokens import PlainTransformer
from pantile.contracts.errors import UserError
from pantile.layers.rounding import ceil_div

CHANNELS = 256
STRIDES = {"res5": 32, "res4": 16, "res3": 8, "res2": 4}
PATCH_SIZES = (8, 16, 32)
NORM_EPS = 1e-6


def pyramid_patch_size(size: int) -> int:
    """Of a transformer whose patches have this size."""
    return size if size in PATCH_SIZES else 16


class SimplePyramid(Backbone):
    """256 channels in all four maps. No stem.

    Args:
        tokens: the transformer, of patches of 8, 16 or 32 pixels.
        output_stride: 32.

    Raises:
        UserError: another output stride.
    """

    def __init__(self, tokens: PlainTransformer, output_stride: int = 32):
        super().__init__(dict.fromkeys(STRIDES, CHANNELS), stem_stride=4, output_stride=32)
        if output_stride != 32:
            raise UserError("model.output_stride: the pyramid of a vision transformer ends at 32; set it to 32.")
        self.tokens = tokens
        self.pyramid = nn.ModuleDict({name: _level(tokens.channels, tokens.stride, s) for name, s in STRIDES.items()})

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        height, width = images.shape[2:]
        x = self.tokens(images)
        return {
            name: level(x)[:, :, : ceil_div(height, stride), : ceil_div(width, stride)]
            for (name, level), stride in zip(self.pyramid.items(), STRIDES.values(), strict=True)
        }

    def layers_behind(self) -> dict[str, int]:
        """Of the transformer; the pyramid learns as the decoder does."""
        return {f"tokens.{name}": count for name, count in self.tokens.layers_behind().items()}


class PixelNorm(nn.LayerNorm):
    """Layer norm over the channels of (B, C, h, w)."""

    def __init__(self, channels: int):
        super().__init__(channels, eps=NORM_EPS)

    def forward(self, x: Tensor) -> Tensor:
        normed = F.layer_norm(x.permute(0, 2, 3, 1), self.normalized_shape, self.weight, self.bias, self.eps)
        return normed.permute(0, 3, 1, 2)


def _level(channels: int, source: int, target: int) -> nn.Sequential:
    """From a map of stride ``source`` to one of stride ``target``."""
    layers: list[nn.Module] = []
    for number in range(max(0, round(math.log2(source / target)))):
        if number > 0:
            layers += [PixelNorm(channels), nn.GELU()]
        layers.append(nn.ConvTranspose2d(channels, channels // 2, 2, stride=2))
        channels //= 2
    layers += [nn.MaxPool2d(2, ceil_mode=True)] * max(0, round(math.log2(target / source)))
    layers += [nn.Conv2d(channels, CHANNELS, 1, bias=False), PixelNorm(CHANNELS)]
    return nn.Sequential(*layers, nn.Conv2d(CHANNELS, CHANNELS, 3, padding=1, bias=False), PixelNorm(CHANNELS))
