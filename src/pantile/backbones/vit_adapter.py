"""ViT-Adapter (Chen et al., ICLR 2023, arXiv:2205.08534) on BEiT: a plain transformer that talks to a pyramid.

    images -> spatial prior: small convolutions -> map at stride 4, pixels C at strides 8, 16 and 32
           -> patches X at stride 16

    four times:  X <- X + gamma attention(LN X, LN C)         injector: patches read the pyramid
                 X <- a quarter of the transformer's blocks
                 C <- C + attention(LN C, LN X)               extractor: the pyramid reads the patches
                 C <- C + FFN(LN C)                           with a 3x3 depthwise convolution of each map

    maps of C, stride 4 made of that at 8  + X after each quarter, resized  -> batch norm -> res2 .. res5

All attention is deformable; after the last quarter the extractor is three in a row. As in the released code gamma
starts at 1e-6 (the paper: 0), and an image is first padded with zeros, at the right and the bottom, to a multiple of
32, where the original enlarges it. The transformer's class token takes part in its blocks only.
"""

import math
from itertools import pairwise

import torch
import torch.nn.functional as F
from timm.layers import DropPath
from torch import Tensor, nn

from pantile.backbones.interface import Backbone
from pantile.backbones.timm_beit import BeitBackbone, relative_bias
from pantile.contracts.errors import UserError
from pantile.contracts.precision import at_least_float32, autocast_off
from pantile.layers.deformable_attention import MultiScaleDeformableAttention
from pantile.layers.position_encoding import Sizes
from pantile.layers.rounding import ceil_div

PREFIX = "vit_adapter_"
GROUPS = 4
STEM_WIDTH = 64
POINTS = 4
VALUE_SHARE = 0.5  # of the width, inside deformable attention
FFN_SHARE = 0.25
EXTRACTORS_AT_THE_END = 3
FIRST_GAMMA = 1e-6
NORM_EPS = 1e-6


class ViTAdapter(Backbone):
    """The transformer's width in all four maps: base 768, large 1024. No stem.

    Args:
        beit: its transformer is taken over; ``beit.tables`` and ``beit.model`` keep their names.
        in_channels: bands of the image.
        drop_path: stochastic depth of the extractors' feed-forward parts, 0..1.

    Raises:
        UserError: another backbone, or blocks that do not make four equal groups.
    """

    def __init__(self, beit: BeitBackbone, in_channels: int = 3, drop_path: float = 0.0):
        super().__init__(beit.channels, stem_stride=4, output_stride=32)
        if not isinstance(beit, BeitBackbone):
            raise UserError(
                f"model.backbone: {type(beit).__name__} is not a BEiT; after {PREFIX} give the timm name of one, "
                f"such as {PREFIX}beit_large_patch16_224."
            )
        depth, width = len(beit.tables), beit.model.embed_dim
        if depth % GROUPS:
            raise UserError(f"model.backbone: a ViT-Adapter needs a multiple of {GROUPS} blocks, and this has {depth}.")
        heads = beit.model.blocks[0].attn.num_heads
        del beit.quarter, beit.eighth
        self.beit = beit
        self.level_embed = nn.Parameter(torch.randn(3, width))
        self.prior = SpatialPrior(in_channels, width)
        self.injectors = nn.ModuleList(Injector(width, heads) for _ in range(GROUPS))
        self.extractors = nn.ModuleList(
            nn.ModuleList(Extractor(width, heads, drop_path) for _ in range(number))
            for number in (1, 1, 1, EXTRACTORS_AT_THE_END)
        )
        self.up = nn.ConvTranspose2d(width, width, 2, stride=2)
        self.norms = nn.ModuleDict({name: nn.BatchNorm2d(width) for name in ("res2", "res3", "res4", "res5")})
        for part in (self.prior, self.extractors, self.up):
            part.apply(_start)
        for module in self.extractors.modules():
            if isinstance(module, MultiScaleDeformableAttention):
                module.reset_parameters()

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        height, width = images.shape[2:]
        images = F.pad(images, (0, -width % 32, 0, -height % 32))
        stem, *coarser = self.prior(images)
        sizes = tuple((x.shape[2], x.shape[3]) for x in coarser)
        pyramid = torch.cat([_tokens(x) + level for x, level in zip(coarser, self.level_embed, strict=True)], dim=1)
        pyramid, patch_maps = self._interact(images, pyramid, sizes)
        stride_8, stride_16, stride_32 = (
            x.transpose(1, 2).unflatten(2, size)
            for x, size in zip(pyramid.split([h * w for h, w in sizes], dim=1), sizes, strict=True)
        )
        maps = {
            "res2": stem + self.up(stride_8) + _enlarged(patch_maps[0], 4),
            "res3": stride_8 + _enlarged(patch_maps[1], 2),
            "res4": stride_16 + patch_maps[2],
            "res5": stride_32 + F.avg_pool2d(patch_maps[3], 2),
        }
        strides = self.strides
        return {
            name: self.norms[name](x[:, :, : ceil_div(height, strides[name]), : ceil_div(width, strides[name])])
            for name, x in maps.items()
        }

    def _interact(self, images: Tensor, pyramid: Tensor, sizes: Sizes) -> tuple[Tensor, list[Tensor]]:
        """The pyramid's pixels at the end, (B, S, C), and the map (B, C, h, w) of patches after each group."""
        model, tables = self.beit.model, self.beit.tables
        grid, step, patch_maps = sizes[1], len(tables) // GROUPS, []
        patches = _tokens(model.patch_embed.proj(images))
        class_token = model.cls_token.expand(images.shape[0], -1, -1)
        for group, (injector, extractors) in enumerate(zip(self.injectors, self.extractors, strict=True)):
            x = torch.cat([class_token, injector(patches, grid, pyramid, sizes)], dim=1)
            for number in range(group * step, (group + 1) * step):
                x = model.blocks[number](x, relative_bias(tables[number], self.beit.grid, grid).to(x.dtype))
            class_token, patches = x[:, :1], x[:, 1:]
            for extractor in extractors:
                pyramid = extractor(pyramid, sizes, patches, grid)
            patch_maps.append(patches.transpose(1, 2).unflatten(2, grid))
        return pyramid, patch_maps

    def layers_behind(self) -> dict[str, int]:
        """Of the transformer's parameters; the adapter learns like the decoder. See ``interface.layers_behind``."""
        return {f"beit.{name}": count for name, count in self.beit.layers_behind().items()}


class SpatialPrior(nn.Module):
    """(B, in_channels, H, W) -> (B, channels, h, w) at strides 4, 8, 16 and 32."""

    def __init__(self, in_channels: int, channels: int):
        super().__init__()
        width = STEM_WIDTH
        self.stem = nn.Sequential(
            _conv(in_channels, width, stride=2),
            _conv(width, width),
            _conv(width, width),
            nn.MaxPool2d(3, stride=2, padding=1),
        )
        widths = (width, 2 * width, 4 * width, 4 * width)
        self.halvings = nn.ModuleList(_conv(wide, wider, stride=2) for wide, wider in pairwise(widths))
        self.projections = nn.ModuleList(nn.Conv2d(wide, channels, 1) for wide in widths)

    def forward(self, images: Tensor) -> list[Tensor]:
        maps = [self.stem(images)]
        for halve in self.halvings:
            maps.append(halve(maps[-1]))
        return [project(x) for project, x in zip(self.projections, maps, strict=True)]


class Injector(nn.Module):
    """Patches (B, h w, C) read the pyramid."""

    def __init__(self, channels: int, num_heads: int):
        super().__init__()
        self.attention = NormedAttention(channels, num_heads, num_levels=3)
        self.gamma = nn.Parameter(torch.full((channels,), FIRST_GAMMA))

    def forward(self, patches: Tensor, grid: tuple[int, int], pyramid: Tensor, sizes: Sizes) -> Tensor:
        return patches + self.gamma * self.attention(patches, (grid,), pyramid, sizes)


class Extractor(nn.Module):
    """The pyramid's pixels (B, S, C) read the patches, and their neighbours."""

    def __init__(self, channels: int, num_heads: int, drop_path: float):
        super().__init__()
        hidden = int(channels * FFN_SHARE)
        self.attention = NormedAttention(channels, num_heads, num_levels=1)
        self.ffn_norm = nn.LayerNorm(channels, eps=NORM_EPS)
        self.expand = nn.Linear(channels, hidden)
        self.neighbours = nn.Conv2d(hidden, hidden, 3, padding=1, groups=hidden)
        self.project = nn.Linear(hidden, channels)
        self.drop_path = DropPath(drop_path)

    def forward(self, pyramid: Tensor, sizes: Sizes, patches: Tensor, grid: tuple[int, int]) -> Tensor:
        x = pyramid + self.attention(pyramid, sizes, patches, (grid,))
        hidden = self.expand(self.ffn_norm(x)).split([h * w for h, w in sizes], dim=1)
        maps = [t.transpose(1, 2).unflatten(2, size) for t, size in zip(hidden, sizes, strict=True)]
        hidden = torch.cat([_tokens(self.neighbours(t)) for t in maps], dim=1)
        return x + self.drop_path(self.project(F.gelu(hidden)))


class NormedAttention(nn.Module):
    """Deformable attention behind a layer norm on each side, in float32 at least: positions have no digits to lose."""

    def __init__(self, channels: int, num_heads: int, num_levels: int):
        super().__init__()
        self.query_norm = nn.LayerNorm(channels, eps=NORM_EPS)
        self.value_norm = nn.LayerNorm(channels, eps=NORM_EPS)
        self.attention = MultiScaleDeformableAttention(
            channels, num_heads, num_levels, POINTS, value_channels=int(channels * VALUE_SHARE)
        )

    def forward(self, query: Tensor, query_sizes: Sizes, value: Tensor, sizes: Sizes) -> Tensor:
        with autocast_off(query.device):
            query, value = self.query_norm(at_least_float32(query)), self.value_norm(at_least_float32(value))
            return self.attention(query, value, sizes, query_sizes)


def _conv(in_channels: int, out_channels: int, stride: int = 1) -> nn.Sequential:
    convolution = nn.Conv2d(in_channels, out_channels, 3, stride=stride, padding=1, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(out_channels), nn.ReLU())


@torch.no_grad()
def _start(module: nn.Module) -> None:
    """Kernels He-normal by the fan of the output, linear layers truncated normal, biases 0."""
    if isinstance(module, nn.Linear):
        nn.init.trunc_normal_(module.weight, std=0.02)
    elif isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
        fan = math.prod(module.kernel_size) * module.out_channels // module.groups
        module.weight.normal_(0, math.sqrt(2 / fan))
    if isinstance(module, nn.Linear | nn.Conv2d | nn.ConvTranspose2d) and module.bias is not None:
        nn.init.zeros_(module.bias)


def _tokens(x: Tensor) -> Tensor:
    """(B, C, h, w) -> (B, h w, C)."""
    return x.flatten(2).transpose(1, 2)


def _enlarged(x: Tensor, times: int) -> Tensor:
    return F.interpolate(x, scale_factor=times, mode="bilinear", align_corners=False)
