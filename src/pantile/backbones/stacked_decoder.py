"""MaX-DeepLab's stacked decoder: up and down between strides 4 and 32, with a look back at every step.

A step at another stride than the map it gets begins with the sum of that map and the last two earlier maps of its own
stride (``layers.resized_fuse``); a step at the same stride goes on, and its map takes that map's place. Then come
residual blocks. Strides are the original ones: 32 stands for the coarsest stage also where it has stride 16.
"""

from collections.abc import Callable, Sequence

from torch import Tensor, nn

from pantile.backbones.interface import AfterBlock, Trail
from pantile.layers.resized_fuse import ResizedFuse

LATERALS = 2


class StackedDecoder(nn.Module):
    """
    Args:
        steps: (original stride, residual blocks) of each.
        widths: channels of a map by original stride.
        earlier: how many maps of each original stride there are before.
        stride: original, of the map it starts from.
        make_block: (in channels, out channels, stride of the input) -> module.
        act: makes the activation.

    Attributes:
        earlier: how many there are afterwards.
    """

    def __init__(
        self,
        steps: Sequence[tuple[int, int]],
        widths: dict[int, int],
        earlier: dict[int, int],
        stride: int,
        make_block: Callable[[int, int, int], nn.Module],
        act: Callable[[], nn.Module],
    ):
        super().__init__()
        self.strides = [stride for stride, _ in steps]
        self.earlier = dict(earlier)
        self.fuses, self.stages = nn.ModuleList(), nn.ModuleList()
        for target, count in steps:
            laterals = min(LATERALS, self.earlier[target])
            fuse: nn.Module = nn.Identity()
            if target != stride:
                channels = [widths[stride], *[widths[target]] * laterals]
                fuse = ResizedFuse(channels, [stride < target, *[False] * laterals], widths[target], act)
            self.fuses.append(fuse)
            width = widths[target]
            self.stages.append(nn.ModuleList(make_block(width, width, target) for _ in range(count)))
            self.earlier[target] += target != stride
            stride = target

    def forward(self, x: Tensor, trail: Trail, after_block: AfterBlock) -> Tensor:
        """The last step's map, not activated; every step's goes to ``trail``.

        Args:
            x: the latest map.
            trail: of all earlier maps, x among them.
            after_block: called after each residual block with its map and original stride.
        """
        for stride, fuse, stage in zip(self.strides, self.fuses, self.stages, strict=True):
            if isinstance(fuse, ResizedFuse):
                laterals = trail[stride][-LATERALS:]
                x = fuse([x, *laterals], tuple(laterals[0].shape[2:]))
            for block in stage:
                x = after_block(block(x), stride)
            if isinstance(fuse, ResizedFuse):
                trail[stride].append(x)
            else:
                trail[stride][-1] = x
        return x

    def block_strides(self) -> list[int]:
        """The original stride of each call of ``after_block``."""
        return [stride for stride, stage in zip(self.strides, self.stages, strict=True) for _ in stage]
