"""SWideRNet: Scaling Wide Residual Networks (Chen et al., arXiv:2011.11675), and Wide-ResNet-41, which it scales.

    stage   stride    block (channels of WR-41)              blocks  scaled by   SE   SAC
    conv1   1 -> 2    3x3, 64                                        w1
    conv2   2         3x3, 128; 3x3, 128                     3       w1
            2 -> 4    max-pooling 3x3
    conv3   4 -> 8    3x3, 256; 3x3, 256                     3       w2, l       yes
    conv4   8 -> 16   3x3, 512; 3x3, 512                     6       w2, l       yes
    conv5   16 -> 32  3x3, 1024; 3x3, 1024                   3       w2, l       yes
    conv6   32        1x1, 512; 3x3, 1024; 1x1, 2048         3       w2, l       yes  the 3x3

    block(x) = ReLU(shortcut(x) + drop_path(SE(branch(x)))),   SE(z) = z * hard_sigmoid(W mean(z) + b)

Every convolution of a branch is followed by batch norm and, but for the last, ReLU. The table is the paper's Table 1;
what the paper leaves open is settled by its Tables 3 and 4: the differences between their parameter columns come out
to the last printed digit only with the reading below, and their multiply-adds tell where the strides are:

- the stride sits in the last 3x3 of a stage's last block; a strided shortcut without a change of channels takes every
  second pixel and has no parameters, one with a change of channels is a 1x1 convolution with batch norm;
- SE has one fully connected layer with bias, the global contexts of SAC (``layers.switchable_atrous``) have biases;
- channels and numbers of blocks are truncated, not rounded;
- at output stride 16 conv5 keeps its resolution and rate 1, and all of conv6 gets atrous rate 2 (SAC: 2 and 6);
- the maps at strides 4 and 8 (and here 16) are taken just before a stage's strided block, so that they are as wide as
  the stage. A stage of one block has no such map: its first 3x3's output stands in (our choice; no source says).

``layout="deeplab2"`` is what the authors' public TensorFlow code does: no max-pooling, the stride in the first 3x3 of
the first block of conv3 to conv6, maps read at the ends of stages, and at output stride 16 rates 1, 2, 2, ... in
conv6. It costs the same parameters and up to 6 % more multiply-adds. Two deviations from that code: SE stays out of
conv2 as in the paper, and where a SAC is strided (output stride 32) it keeps its switch, so that the same weights fit
both output strides.
"""

import math
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import torch.nn.functional as F
from timm.layers import DropPath, EffectiveSEModule, lecun_normal_, variance_scaling_
from torch import Tensor, nn

from pantile.backbones.interface import Backbone, layers_behind
from pantile.backbones.weights_file import load_backbone_weights
from pantile.contracts.errors import UserError
from pantile.layers.conv import set_batch_norm
from pantile.layers.switchable_atrous import SwitchableAtrousConv2d

NAME_FORM = "swidernet_W1_W2_L, such as swidernet_1_1_4.5 or swidernet_0.25_0.5_1"


@dataclass
class SWideRNetConfig:
    """Defaults: SWideRNet-(1, 1, 1).

    Attributes:
        w1: scales the channels of conv1 and conv2.
        w2: scales the channels of conv3 to conv6.
        l: scales the number of blocks of conv3 to conv6.
        squeeze_excite: in every block of conv3 to conv6.
        switchable_atrous: in every block of conv6.
        multi_grid: atrous rates of the last three blocks times 1, 2, 4 (Table 3; off in the paper's final models).
        layout: where the strides are, see the head of this file.
        drop_path: probability of leaving out the branch of a block of conv3 to conv6 in training, per image; 0..1.
        drop_path_schedule: "constant" (the paper: 0.2 everywhere), or "linear": a quarter of ``drop_path`` in
            conv3, half in conv4, three quarters in conv5, all of it in conv6 (deeplab2).
    """

    w1: float = 1.0
    w2: float = 1.0
    l: float = 1.0  # noqa: E741 - the paper's name
    squeeze_excite: bool = True
    switchable_atrous: bool = True
    multi_grid: bool = False
    layout: Literal["paper", "deeplab2"] = "paper"
    drop_path: float = 0.2
    drop_path_schedule: Literal["constant", "linear"] = "constant"


def wr41(**options) -> SWideRNetConfig:
    """Wide-ResNet-41: SWideRNet-(1, 1, 1) without SE and SAC. ``options``: further fields of the config."""
    return SWideRNetConfig(1.0, 1.0, 1.0, squeeze_excite=False, switchable_atrous=False, **options)


def is_swidernet(name: str) -> bool:
    """Whether a backbone's name belongs to this file (well-formed or not)."""
    return name == "wr41" or name.startswith("swidernet")


def named_config(name: str, options: SWideRNetConfig) -> SWideRNetConfig:
    """``options`` with what the name decides: w1, w2 and l; "wr41" also leaves out SE and SAC.

    Raises:
        UserError: a name of another form, or factors of ``options`` that are neither the name's nor the defaults.
    """
    if name == "wr41":
        named = replace(options, w1=1.0, w2=1.0, l=1.0, squeeze_excite=False, switchable_atrous=False)
    else:
        number = r"(\d+(?:\.\d+)?)"
        match = re.fullmatch(f"swidernet_{number}_{number}_{number}", name)
        if match is None:
            raise UserError(f"model.backbone: {name!r} is not of the form {NAME_FORM}.")
        w1, w2, l = map(float, match.groups())  # noqa: E741
        named = replace(options, w1=w1, w2=w2, l=l)
    for factor in ("w1", "w2", "l"):
        given = getattr(options, factor)
        if given not in (getattr(SWideRNetConfig, factor), getattr(named, factor)):
            raise UserError(
                f"swidernet.{factor} = {given:g} does not agree with the backbone {name!r}; leave it out, the name "
                "decides."
            )
    return named


class SWideRNet(Backbone):
    """Features: stem (stride 2, 64 w1 channels), res2 (4, 256 w2), res3 (8, 512 w2), res4 (16, 1024 w2) and res5
    (output stride, 2048 w2), all activated.

    Parameters do not depend on layout, output stride or multi-grid: weights of one fit the others.

    Args:
        config: see ``SWideRNetConfig``.
        output_stride: of res5, 32 or 16.
        in_channels: bands of the image.

    Raises:
        UserError: a scale factor that leaves a stage without channels or blocks, or another value that is not
            possible.
    """

    def __init__(self, config: SWideRNetConfig, *, output_stride: int = 32, in_channels: int = 3):
        _check(config, output_stride)
        stem, low = (_scaled(base, config.w1) for base in (64, 128))
        res2, res3, res4, res5 = (_scaled(base, config.w2) for base in (256, 512, 1024, 2048))
        super().__init__(
            {"res5": res5, "res4": res4, "res3": res3, "res2": res2, "stem": stem},
            stem_stride=2,
            output_stride=output_stride,
        )
        self.config = config
        self.conv1 = _conv_norm(nn.Conv2d(in_channels, stem, 3, stride=2, padding=1, bias=False), stem)
        self.conv2 = nn.Sequential(_basic(stem, low), _basic(low, low), _basic(low, low))

        stride_last = config.layout == "paper"
        strides = _strides(stride_last, output_stride)
        incoming = low
        stages = []
        for width, blocks, stride, drop_path in zip(
            (res2, res3, res4, res5), blocks_of(config), strides, _drop_path_rates(config), strict=True
        ):
            stage = nn.ModuleList()
            for index in range(blocks):
                options = {
                    "stride": stride if index == (blocks - 1 if stride_last else 0) else 1,
                    "squeeze_excite": config.squeeze_excite,
                    "drop_path": drop_path,
                }
                if len(stages) < 3:
                    stage.append(_basic(incoming, width, stride_last=stride_last, **options))
                else:
                    widths = res3, res4, width
                    rate = _rates(config, output_stride)[index]
                    stage.append(_bottleneck(incoming, widths, rate, config.switchable_atrous, **options))
                incoming = width
            stages.append(stage)
        self.conv3, self.conv4, self.conv5, self.conv6 = stages
        set_batch_norm(self, eps=1e-3, momentum=0.01)

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        stem = F.relu(self.conv1(images))
        x = self.conv2(stem)
        if self.config.layout == "paper":
            x = F.max_pool2d(x, 3, stride=2, padding=1)
        res2, x = self._stage(self.conv3, x)
        res3, x = self._stage(self.conv4, x)
        res4, x = self._stage(self.conv5, x)
        for block in self.conv6:
            x = block(x)
        return {"stem": stem, "res2": res2, "res3": res3, "res4": res4, "res5": x}

    def layers_behind(self) -> dict[str, int]:
        """Block by block."""
        return layers_behind([name for name, _ in self.named_parameters()], r"conv([2-6])\.(\d+)\.")

    def _stage(self, blocks: nn.ModuleList, x: Tensor) -> tuple[Tensor, Tensor]:
        """The map that decoders read, at the stage's full width and its finest resolution, and the output."""
        *body, last = blocks
        for block in body:
            x = block(x)
        if self.config.layout == "deeplab2":
            x = last(x)
            return x, x
        hidden, out = last(x, with_hidden=True)
        return (x if body else hidden), out

    def load_weights(self, weights_file: str | Path) -> None:
        """Loads a state dict of this network or of a ``SWideRNetClassifier`` (whose last layer is left out).

        The first kernel of weights for three bands is adapted to ``in_channels`` by timm's rule.

        Args:
            weights_file: .safetensors, or a .pth of ``torch.save``.

        Raises:
            UserError: no such file, not a state dict, or not of this network.
        """
        load_backbone_weights(
            self, weights_file, "conv1.0.weight", "check w1, w2, l, squeeze_excite and switchable_atrous"
        )


class SWideRNetClassifier(nn.Module):
    """The ImageNet form (Table 1): output stride 32, global average, one fully connected layer.

    (B, in_channels, H, W) normalised -> (B, num_classes) logits.
    """

    def __init__(self, config: SWideRNetConfig, num_classes: int = 1000, in_channels: int = 3):
        super().__init__()
        self.backbone = SWideRNet(config, output_stride=32, in_channels=in_channels)
        self.fc = nn.Linear(self.backbone.channels["res5"], num_classes)

    def forward(self, images: Tensor) -> Tensor:
        return self.fc(self.backbone(images)["res5"].mean((2, 3)))


class ResidualBlock(nn.Module):
    """``ReLU(shortcut(x) + drop_path(SE(rest(first(x)))))``; a new block is its shortcut.

    Args:
        first: convolution, batch norm, ReLU.
        rest: the other convolutions with theirs; ends with a batch norm.
        in_channels: of x.
        out_channels: of the result; a change makes the shortcut a 1x1 convolution with batch norm.
        stride: of the whole block.
        squeeze_excite: scale the branch's channels.
        drop_path: probability of leaving the branch out in training.
    """

    def __init__(
        self,
        first: nn.Sequential,
        rest: nn.Sequential,
        in_channels: int,
        out_channels: int,
        *,
        stride: int = 1,
        squeeze_excite: bool = False,
        drop_path: float = 0.0,
    ):
        super().__init__()
        self.first, self.rest, self.stride = first, rest, stride
        nn.init.zeros_(rest[-1].weight)
        self.squeeze_excite = EffectiveSEModule(out_channels) if squeeze_excite else nn.Identity()
        if squeeze_excite:
            lecun_normal_(self.squeeze_excite.fc.weight)
            nn.init.zeros_(self.squeeze_excite.fc.bias)
        self.drop_path = DropPath(drop_path)
        self.projection = None
        if in_channels != out_channels:
            self.projection = _conv_norm(nn.Conv2d(in_channels, out_channels, 1, stride, bias=False), out_channels)

    def forward(self, x: Tensor, with_hidden: bool = False) -> Tensor | tuple[Tensor, Tensor]:
        """The block's output; ``with_hidden`` puts the output of ``first`` before it."""
        hidden = self.first(x)
        shortcut = x[:, :, :: self.stride, :: self.stride] if self.projection is None else self.projection(x)
        out = F.relu(shortcut + self.drop_path(self.squeeze_excite(self.rest(hidden))))
        return (hidden, out) if with_hidden else out


def blocks_of(config: SWideRNetConfig) -> tuple[int, int, int, int]:
    """Residual blocks of conv3, conv4, conv5 and conv6."""
    return tuple(_scaled(base, config.l) for base in (3, 6, 3, 3))


def _scaled(base: int, factor: float) -> int:
    return int(base * factor + 1e-6)  # truncated, but for the noise of the product


def _strides(stride_last: bool, output_stride: int) -> tuple[int, int, int, int]:
    """Of conv3, conv4, conv5 and conv6; at output stride 16 the last of them goes."""
    last = 2 if output_stride == 32 else 1
    return (2, 2, last, 1) if stride_last else (2, 2, 2, last)


def _rates(config: SWideRNetConfig, output_stride: int) -> list[int]:
    """Atrous rate of each block of conv6: doubled after the block whose stride output stride 16 removes."""
    rates = [32 // output_stride] * blocks_of(config)[3]
    if config.layout == "deeplab2":
        rates[0] = 1
    if config.multi_grid:
        rates[-3:] = [unit * rate for unit, rate in zip((1, 2, 4), rates[-3:], strict=True)]
    return rates


def _drop_path_rates(config: SWideRNetConfig) -> tuple[float, ...]:
    """Of conv3, conv4, conv5 and conv6."""
    if config.drop_path_schedule == "constant":
        return (config.drop_path,) * 4
    return tuple(config.drop_path * step / 4 for step in (1, 2, 3, 4))


def _conv_norm(conv: nn.Module, width: int, *, relu: bool = False) -> nn.Sequential:
    """Batch norm of ``width`` channels and perhaps ReLU; an ordinary kernel starts from a truncated normal of variance
    2 / fan-in (He)."""
    if isinstance(conv, nn.Conv2d):
        variance_scaling_(conv.weight, scale=2.0, mode="fan_in", distribution="truncated_normal")
    return nn.Sequential(conv, nn.BatchNorm2d(width), *([nn.ReLU(inplace=True)] if relu else []))


def _basic(in_channels: int, width: int, *, stride: int = 1, stride_last: bool = True, **options) -> ResidualBlock:
    """3x3, 3x3; the stride in the second or the first of them."""
    first_stride, last_stride = (1, stride) if stride_last else (stride, 1)
    first = _conv_norm(nn.Conv2d(in_channels, width, 3, first_stride, padding=1, bias=False), width, relu=True)
    rest = _conv_norm(nn.Conv2d(width, width, 3, last_stride, padding=1, bias=False), width)
    return ResidualBlock(first, rest, in_channels, width, stride=stride, **options)


def _bottleneck(
    in_channels: int, widths: tuple[int, ...], rate: int, switchable: bool, *, stride: int, **options
) -> ResidualBlock:
    """1x1, 3x3 (stride and rate), 1x1."""
    narrow, middle, wide = widths
    if switchable:
        atrous = SwitchableAtrousConv2d(narrow, middle, 3, stride=stride, rate=rate)
    else:
        atrous = nn.Conv2d(narrow, middle, 3, stride, padding=rate, dilation=rate, bias=False)
    first = _conv_norm(nn.Conv2d(in_channels, narrow, 1, bias=False), narrow, relu=True)
    last = _conv_norm(nn.Conv2d(middle, wide, 1, bias=False), wide)
    rest = nn.Sequential(*_conv_norm(atrous, middle, relu=True), *last)
    return ResidualBlock(first, rest, in_channels, wide, stride=stride, **options)


def _check(config: SWideRNetConfig, output_stride: int) -> None:
    """Raises a UserError for what cannot be built."""
    for factor, base, what in (("w1", 64, "channels"), ("w2", 256, "channels"), ("l", 3, "blocks")):
        value = getattr(config, factor)
        if not math.isfinite(value) or _scaled(base, value) < 1:
            stage = {"w1": "conv1", "w2": "conv3", "l": "conv3"}[factor]
            raise UserError(
                f"swidernet.{factor} = {value:g} leaves no {what} in {stage}; give a number from 1/{base} on."
            )
    if config.layout not in ("paper", "deeplab2"):
        raise UserError(f"swidernet.layout is {config.layout!r}; give 'paper' or 'deeplab2'.")
    if config.drop_path_schedule not in ("constant", "linear"):
        raise UserError(f"swidernet.drop_path_schedule is {config.drop_path_schedule!r}; give 'constant' or 'linear'.")
    if not 0 <= config.drop_path < 1:
        raise UserError(f"swidernet.drop_path is {config.drop_path:g}; give a probability from 0 to below 1.")
    if config.multi_grid and blocks_of(config)[3] < 3:
        raise UserError(
            f"swidernet.multi_grid needs three blocks in conv6, but l = {config.l:g} makes {blocks_of(config)[3]}; "
            "turn it off or give an l of at least 1."
        )
    if output_stride not in (16, 32):
        raise UserError(f"model.output_stride is {output_stride}; give 32 or 16.")
