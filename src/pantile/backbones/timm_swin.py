"""Swin Transformer (arXiv:2103.14030) on images of any size, as dense predictors use it.

timm's own forward fixes the image size, shrinks windows that exceed a map, and shifts before it pads. Detectors and
segmenters (the original code, and what was trained with it) do otherwise, so timm's blocks are driven from here:

- the image is padded with zeros to whole patches, each map to whole windows, at the right and the bottom;
- the padded map is shifted, every second block by half a window, whatever the size of the map;
- each of the four outputs has a layer norm of its own.
"""

import re
from typing import Any

import torch
import torch.nn.functional as F
from timm.models import register_model
from timm.models.swin_transformer import SwinTransformer, SwinTransformerBlock
from torch import Tensor, nn

from pantile.backbones.interface import Backbone, layers_behind
from pantile.layers.position_encoding import cached_by_arguments
from pantile.layers.rounding import ceil_div
from pantile.layers.windows import from_windows, pad_to_windows, to_windows, window_counts, without_padding

STAGES = ("res2", "res3", "res4", "res5")
SEPARATED = -100.0  # added to the logits of pixels that only the cyclic shift has brought together


@register_model
def swin_nano_patch4_window7_224(pretrained: bool = False, **options: Any) -> SwinTransformer:
    """A Swin that trains on two CPU cores: 24, 48, 96, 192 channels. There are no weights of it."""
    if pretrained:
        raise ValueError("nobody has trained it")
    options = {name: value for name, value in options.items() if not name.startswith(("pretrained", "cache"))}
    return SwinTransformer(embed_dim=24, depths=(1, 1, 2, 1), num_heads=(1, 2, 4, 8), **options)


class SwinBackbone(Backbone):
    """Tiny and small: 96, 192, 384, 768. Base: 128 to 1024. Large: 192 to 1536. No stem."""

    def __init__(self, model: SwinTransformer, output_stride: int = 32):
        del model.norm, model.head
        for stage in model.layers:
            for index, block in enumerate(stage.blocks):
                block.attn_mask = None  # timm's, for its fixed size
                block.__class__ = AnySizeBlock  # the same tensors, another forward
                block.shifted = index % 2 == 1
        widths = [info["num_chs"] for info in model.feature_info]
        channels = dict(zip(reversed(STAGES), reversed(widths), strict=True))
        super().__init__(channels, stem_stride=4, output_stride=output_stride)
        self.model = model
        self.norms = nn.ModuleDict({name: nn.LayerNorm(width) for name, width in self.channels.items()})

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        x = self.patches(images)
        features = {}
        for name, stage in zip(STAGES, self.model.layers, strict=True):
            x = run_stage(stage, x)
            features[name] = self.norms[name](x).permute(0, 3, 1, 2)
        return features

    def layers_behind(self) -> dict[str, int]:
        """Block by block, a downsampling with the block before it (SimMIM, arXiv:2111.09886); the norms of the outputs
        learn as the decoder does."""
        names = [name for name, _ in self.named_parameters() if name.startswith("model.")]
        behind = layers_behind(names, r"model\.layers\.(\d+)\.blocks\.(\d+)")
        for name in names:
            if match := re.match(r"model\.layers\.(\d+)\.downsample", name):
                stage = int(match[1]) - 1
                last = len(self.model.layers[stage].blocks) - 1
                behind[name] = behind[f"model.layers.{stage}.blocks.{last}.norm1.weight"]
        return behind

    def patches(self, images: Tensor) -> Tensor:
        """(B, C, H, W) to (B, ceil(H / 4), ceil(W / 4), channels), what the first stage reads."""
        embed = self.model.patch_embed
        patch_height, patch_width = embed.patch_size
        height, width = images.shape[2:]
        missing = (
            ceil_div(width, patch_width) * patch_width - width,
            ceil_div(height, patch_height) * patch_height - height,
        )
        return embed.norm(embed.proj(F.pad(images, (0, missing[0], 0, missing[1]))).permute(0, 2, 3, 1))


def run_stage(stage: nn.Module, x: Tensor) -> Tensor:
    """(B, H, W, C) of the stage before to what timm's ``stage`` makes of it."""
    return stage.blocks(stage.downsample(x))


class AnySizeBlock(SwinTransformerBlock):
    """timm's block with the windows of detectors; every second one is ``shifted``."""

    shifted: bool

    def forward(self, x: Tensor) -> Tensor:
        """(B, H, W, C) -> (B, H, W, C)."""
        x = x + self.drop_path1(self._window_attention(self.norm1(x)))
        return x + self.drop_path2(self.mlp(self.norm2(x)))

    def _window_attention(self, x: Tensor) -> Tensor:
        size, window = x.shape[1:3], self.attn.window_size
        counts = window_counts(size, window)
        x = pad_to_windows(x, window)
        shift = (window[0] // 2, window[1] // 2) if self.shifted else (0, 0)
        separation = None
        if self.shifted:
            x = x.roll((-shift[0], -shift[1]), dims=(1, 2))
            separation = shift_separation(counts, window, x.device).to(x.dtype)
        attended = self.attn(to_windows(x, window, counts), mask=separation)
        x = from_windows(attended, window, counts, x.shape[0])
        if self.shifted:
            x = x.roll(shift, dims=(1, 2))
        return without_padding(x, size)


@cached_by_arguments
def shift_separation(counts: tuple[int, int], window: tuple[int, int], device: torch.device) -> Tensor:
    """What is added to the attention logits of each window of a shifted map.

    Args:
        counts: rows and columns of windows.
        window: (height, width) of one.

    Returns:
        (windows, pixels of a window, pixels of a window) float32: 0 for neighbours, ``SEPARATED`` for pixels that
        come from opposite ends of the map.
    """
    height, width = (count * side for count, side in zip(counts, window, strict=True))
    region = torch.zeros(height, width, device=device)
    for axis, (length, side) in enumerate(zip((height, width), window, strict=True)):
        position = torch.arange(length, device=device)
        part = (position >= length - side).float() + (position >= length - side // 2).float()
        region += 3 * part if axis else part[:, None]
    members = to_windows(region[None, :, :, None], window, counts).flatten(1)
    return (members[:, None] != members[:, :, None]).float() * SEPARATED
