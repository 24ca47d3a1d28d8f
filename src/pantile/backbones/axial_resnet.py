"""Axial-ResNets: residual networks whose coarse stages attend along rows and columns instead of convolving.

Axial-DeepLab (Wang et al., ECCV 2020) has the blocks, MaX-DeepLab (Wang et al., CVPR 2021) the networks MaX-S and
MaX-L, CMT-DeepLab (Yu et al., CVPR 2022) Axial-R104; layout as in the TensorFlow library deeplab2.

    name          stem                                   blocks of res2 to res5   block
    axial_r50     3x3/2, 64; 3x3, 64; 3x3, 128           3, 4, 6, 3               bottleneck, or axial
    axial_r104    the same                               3, 4, 24, 3              the same
    max_s         axial_r50 with GELU, as kMaX-DeepLab takes it
    max_l         3x3/2, 64; 3 basic blocks of 128       3, 6, 3, 3               basic, or axial of double width

A block is axial where its *input* has stride 16 or more (the first block of res4 convolves). There is no max-pooling;
the first block of res2 has stride 2. At output stride 16 res5 keeps its resolution. max_l also has the first part of
MaX-DeepLab-L's stacked decoder, which was pretrained with it (``decoder``). Weights do not depend on the output stride.

``forward`` gives activated maps, as other backbones do; blocks themselves are not activated at their end, and ``run``
gives those maps and lets a caller work between the blocks (MaX-DeepLab's dual-path layers).
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from torch import Tensor, nn

from pantile.backbones.interface import AfterBlock, Backbone, Trail, layers_behind
from pantile.backbones.stacked_decoder import StackedDecoder
from pantile.layers.conv import ConvNorm, set_batch_norm
from pantile.layers.residual_block import axial_block, basic_block, bottleneck_block

AXIAL_FROM = 16  # stride of a block's input


@dataclass(frozen=True)
class AxialResNetConfig:
    """Defaults: axial_r50.

    Attributes:
        blocks: of res2 to res5.
        width: res2 has 4 times as many channels, res3 8 times, res4 16 times, res5 32 times.
        stem: "inception", three convolutions, or "wide", one and ``wide_blocks`` basic blocks.
        stem_width: of its first convolution; the stem gives twice as many channels.
        wide_blocks: see ``stem``.
        conv_block: of the fine stages. "basic" also doubles the width of axial blocks.
        decoder: (original stride, blocks) of each step of a stacked decoder that belongs to the backbone.
        num_heads: of the axial attention.
        act: "relu" or "gelu".
        drop_path: rate of the last block; each halving of the resolution between strides 2 and 32 adds a quarter of it.
        drop_path_from: blocks whose input is finer have none.
    """

    blocks: tuple[int, int, int, int] = (3, 4, 6, 3)
    width: int = 64
    stem: Literal["inception", "wide"] = "inception"
    stem_width: int = 64
    wide_blocks: int = 3
    conv_block: Literal["bottleneck", "basic"] = "bottleneck"
    decoder: tuple[tuple[int, int], ...] = ()
    num_heads: int = 8
    act: Literal["relu", "gelu"] = "relu"
    drop_path: float = 0.0
    drop_path_from: int = 16


#: the options that a name stands for
NAMED = {
    "axial_r50": {},
    "axial_r104": {"blocks": (3, 4, 24, 3)},
    "max_s": {"act": "gelu"},
    "max_l": {
        "blocks": (3, 6, 3, 3),
        "stem": "wide",
        "conv_block": "basic",
        "decoder": ((8, 1), (4, 1), (8, 1), (32, 1)),
        "drop_path_from": 4,
    },
    "axial_nano": {"blocks": (1, 1, 2, 1), "width": 16, "stem_width": 16, "num_heads": 4},
}


def is_axial_resnet(name: str) -> bool:
    """Whether a backbone's name belongs to this file."""
    return name in NAMED


def named_axial_resnet(name: str, **options) -> AxialResNetConfig:
    """The config of a name; ``options`` replace its own."""
    return AxialResNetConfig(**NAMED[name] | options)


class AxialResNet(Backbone):
    """Features: stem (stride 2), res2 (4), res3 (8), res4 (16) and res5 (output stride).

    Channels of axial_r50: 128, then 256, 512, 1024, 2048.

    Args:
        config: see ``AxialResNetConfig``.
        output_stride: of res5, 32 or 16.
        in_channels: bands of the image.
    """

    def __init__(self, config: AxialResNetConfig, *, output_stride: int = 32, in_channels: int = 3):
        stem = 2 * config.stem_width
        widths = {32: 32 * config.width, 16: 16 * config.width, 8: 8 * config.width, 4: 4 * config.width}
        names = ("res5", "res4", "res3", "res2")
        super().__init__(
            dict(zip(names, widths.values(), strict=True)) | {"stem": stem}, stem_stride=2, output_stride=output_stride
        )
        self.config = config
        self.act = _activation(config)()
        self.stem = _stem(config, in_channels)
        self.stages = nn.ModuleList()
        incoming = stem
        for count, (stride, width) in zip(config.blocks, reversed(widths.items()), strict=True):
            step = 1 if stride == 32 and output_stride == 16 else 2
            stage = nn.ModuleList([make_block(config, incoming, width, stride // 2, step)])
            stage.extend(make_block(config, width, width, stride) for _ in range(count - 1))
            self.stages.append(stage)
            incoming = width
        self.decoder = StackedDecoder(
            config.decoder, widths, dict.fromkeys(widths, 1), 32, self.make_block, self.act_type
        )
        set_batch_norm(self, eps=1e-3, momentum=0.01)

    @property
    def act_type(self) -> Callable[[], nn.Module]:
        return _activation(self.config)

    def make_block(self, in_channels: int, out_channels: int, entry_stride: int) -> nn.Module:
        """A further block in the style of this network, of stride 1."""
        return make_block(self.config, in_channels, out_channels, entry_stride)

    def drop_path_rate(self, entry_stride: int) -> float:
        """Of what has an input of this original stride."""
        return drop_path_rate(self.config, entry_stride)

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        stem = self.stem(images)
        trail = self._run_stages(stem, lambda x, stride: x)
        return {"stem": self.act(stem)} | {f"res{i}": self.act(trail[2**i][0]) for i in (2, 3, 4, 5)}

    def run(self, images: Tensor, after_block: AfterBlock) -> Trail:
        """See ``Backbone``; none of the maps is activated. The decoder's maps follow those of the stages."""
        trail = self._run_stages(self.stem(images), after_block)
        self.decoder(trail[32][-1], trail, after_block)
        return trail

    def block_strides(self) -> list[int]:
        strides = [s for s, stage in zip((4, 8, 16, 32), self.stages, strict=True) for _ in stage]
        return strides + self.decoder.block_strides()

    def maps_by_stride(self) -> dict[int, int]:
        return self.decoder.earlier

    def layers_behind(self) -> dict[str, int]:
        """Block by block; a stacked decoder learns as what follows it does."""
        names = [name for name, _ in self.named_parameters() if not name.startswith("decoder.")]
        return layers_behind(names, r"stages\.(\d+)\.(\d+)\.")

    def _run_stages(self, x: Tensor, after_block: AfterBlock) -> Trail:
        trail: Trail = {}
        for stage, stride in zip(self.stages, (4, 8, 16, 32), strict=True):
            for block in stage:
                x = after_block(block(x), stride)
            trail[stride] = [x]
        return trail


def make_block(
    config: AxialResNetConfig, in_channels: int, out_channels: int, entry_stride: int, stride: int = 1
) -> nn.Module:
    """A residual block whose input has ``entry_stride``."""
    options = {"stride": stride, "act": _activation(config), "drop_path": drop_path_rate(config, entry_stride)}
    if entry_stride >= AXIAL_FROM:
        keys = out_channels // (4 if config.conv_block == "bottleneck" else 2)
        return axial_block(in_channels, out_channels, keys, config.num_heads, **options)
    block = bottleneck_block if config.conv_block == "bottleneck" else basic_block
    return block(in_channels, out_channels, **options)


def drop_path_rate(config: AxialResNetConfig, entry_stride: int) -> float:
    """Of a block whose input has this original stride."""
    if entry_stride < max(config.drop_path_from, 2):
        return 0.0
    return config.drop_path * (math.log2(entry_stride) - 1) / 4


def _activation(config: AxialResNetConfig) -> Callable[[], nn.Module]:
    return {"relu": nn.ReLU, "gelu": nn.GELU}[config.act]


def _stem(config: AxialResNetConfig, in_channels: int) -> nn.Sequential:
    """Not activated at its end."""
    width, act = config.stem_width, _activation(config)
    if config.stem == "inception":
        return nn.Sequential(
            ConvNorm(in_channels, width, 3, stride=2, act=act),
            ConvNorm(width, width, 3, act=act),
            ConvNorm(width, 2 * width, 3, act=None),
        )
    blocks = (basic_block(width if i == 0 else 2 * width, 2 * width, act=act) for i in range(config.wide_blocks))
    return nn.Sequential(ConvNorm(in_channels, width, 3, stride=2, act=None), *blocks)
