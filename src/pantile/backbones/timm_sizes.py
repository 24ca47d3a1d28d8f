"""How any timm model is brought to maps of ceil(side / stride) for images of any size: tried out, not looked up.

In this order, on the meta device, where nothing is computed:

1. as it is;
2. padded with zeros, at the right and the bottom, to a multiple of 32, 64, 128 or the size that the model was built
   for, the rest of its maps cut off: families that round down, or have windows of a fixed size;
3. the same with an option by which families that were built for one size take others (Swin V2).
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from math import ceil

import timm
import torch
from torch import Tensor, nn

from pantile.contracts.errors import UserError

#: by which timm's families take other sizes than the one that they were built for
SIZE_OPTIONS: tuple[dict[str, bool], ...] = (
    {},
    {"dynamic_img_size": True},
    {"strict_img_size": False},  # of older timm
)
#: (H, W) that tell apart who rounds up, down and elsewhere: 65 is one more than a multiple at every stride
ODD_SIZES = ((65, 96), (62, 79))
MULTIPLES = (32, 64, 128)
SET_SIZE = (256, 320)  # (H, W) that families can be built for whose tables or windows fit one size


@dataclass(frozen=True)
class Sizing:
    """
    Attributes:
        multiple: images are padded to a multiple of it; 1 is no padding.
        options: for timm, (name, value).
    """

    multiple: int = 1
    options: tuple[tuple[str, bool], ...] = ()


def sizing_of(name: str, output_stride: int = 32) -> Sizing:
    """Tried once in a process.

    Args:
        name: timm's, without a tag.
        output_stride: 16 or 32.

    Raises:
        UserError: timm cannot build its features, or there is no way; with the reason.
    """
    sizing, reason = _tried(name, output_stride)
    if sizing is None:
        raise UserError(
            f"model.backbone: {name} {reason}; choose one with maps at strides 4, 8, 16 and 32 for any size, such as "
            "resnet50 (docs/backbones.md has a table)."
        )
    return sizing


@cache
def _tried(name: str, output_stride: int) -> tuple[Sizing | None, str]:
    built = {"features_only": True} | ({"output_stride": output_stride} if output_stride < 32 else {})
    reason = ""
    for options in SIZE_OPTIONS:
        try:
            with torch.device("meta"):
                model = timm.create_model(name, **built, **options).eval()
        except Exception as error:  # timm's models refuse in many ways
            if not options:
                return None, f"cannot be built by timm for its features ({_first_line(error)})"
            continue
        strides = model.feature_info.reduction()
        if missing := Counter((4, 8, 16, output_stride)) - Counter(strides):
            return None, f"has features of strides {strides}, without {min(missing)}"
        for multiple, sizes in _trials(name):
            reason = _mismatch(model, strides, sizes)
            if not reason:
                return Sizing(multiple, tuple(options.items())), ""
            if not options:
                last = reason
    return None, _one_size(name, built) or f"does not take images of every size ({last})"


def _one_size(name: str, built: dict) -> str:
    """Of a model that takes images of a single size, how that one is chosen; empty for others."""
    height, width = timm.get_pretrained_cfg(name).input_size[1:]
    for options, size, told in (
        ({"img_size": SET_SIZE}, SET_SIZE, f"chosen when timm builds it (img_size, {height}x{width} by itself)"),
        ({}, (height, width), f"{height}x{width} pixels, which timm has no option to change"),
    ):
        try:
            with torch.device("meta"):
                model = timm.create_model(name, **built, **options).eval()
        except Exception:
            continue
        if not _mismatch(model, model.feature_info.reduction(), (size,)):
            return f"takes images of one size only: {told}"
    return ""


def _trials(name: str) -> Iterator[tuple[int, tuple[tuple[int, int], ...]]]:
    """Multiples, and sizes to try them with."""
    yield 1, ODD_SIZES
    side = timm.get_pretrained_cfg(name).input_size[1]
    for multiple in dict.fromkeys((*MULTIPLES, 32 * ceil(side / 32))):
        yield multiple, ((multiple, 2 * multiple), (3 * multiple, multiple))


def _mismatch(model: nn.Module, strides: list[int], sizes: tuple[tuple[int, int], ...]) -> str:
    """Why the maps are not those of the interface; empty if they are."""
    for height, width in sizes:
        try:
            with torch.no_grad():
                maps = channels_first(model, model(torch.empty(1, 3, height, width, device="meta")))
        except Exception as error:
            return f"at {height}x{width} pixels: {_first_line(error)}"
        for x, stride in zip(maps, strides, strict=True):
            expected = (ceil(height / stride), ceil(width / stride))
            if 4 <= stride <= 32 and tuple(x.shape[2:]) != expected:
                return f"at {height}x{width} pixels its map of stride {stride} measures {x.shape[2]}x{x.shape[3]}"
    return ""


def channels_first(model: nn.Module, maps: list[Tensor]) -> list[Tensor]:
    """The maps of timm's ``features_only`` form as (B, C, h, w)."""
    return [x.permute(0, 3, 1, 2) for x in maps] if getattr(model, "output_fmt", None) == "NHWC" else maps


def _first_line(error: Exception) -> str:
    line = str(error).strip().partition("\n")[0].partition("!")[0].rstrip(".")
    return line or f"a failed {type(error).__name__} in timm"
