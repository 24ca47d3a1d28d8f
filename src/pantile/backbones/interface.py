"""What every backbone is to a decoder: named feature maps with known widths and strides."""

import re
from collections.abc import Callable, Iterable

from torch import Tensor, nn

#: maps by original stride (32 for res5, whatever the output stride), the earliest first
Trail = dict[int, list[Tensor]]
#: what a caller does after a residual block: its map, not activated, and its original stride to another map of the
#: shape
AfterBlock = Callable[[Tensor, int], Tensor]


class Backbone(nn.Module):
    """Common interface: (B, in_channels, H, W) normalised float -> dict of (B, C, h, w) by name.

    Names are res2, res3, res4, res5 (strides 4, 8, 16 and 32; none above the output stride) and, where the family
    has one, stem. A map of stride s measures ceil(H / s) x ceil(W / s).

    Attributes:
        channels: name -> C. Its order is that in which a decoder visits the maps, coarse to fine.
        strides: name -> s.
    """

    def __init__(self, channels: dict[str, int], *, stem_stride: int, output_stride: int):
        super().__init__()
        strides = {"res5": output_stride, "res4": min(16, output_stride), "res3": 8, "res2": 4, "stem": stem_stride}
        self.channels = channels
        self.strides = {name: strides[name] for name in channels}

    def run(self, images: Tensor, after_block: AfterBlock) -> Trail:
        """The maps of every original stride, perhaps not activated, with a caller's work between the blocks.

        Where the blocks of a family cannot be seen, ``after_block`` is never called.
        """
        features = self(images)
        return {2**i: [features[f"res{i}"]] for i in (2, 3, 4, 5)}

    def block_strides(self) -> list[int]:
        """The original stride of each call of ``after_block``."""
        return []

    def layers_behind(self) -> dict[str, int]:
        """How many layers lie behind each parameter, for layer-wise learning rate decay; see ``layers_behind``. What is
        left out counts 0: it learns as fast as the decoder."""
        return {}

    def maps_by_stride(self) -> dict[int, int]:
        """How many maps of each original stride ``run`` gives."""
        return dict.fromkeys((4, 8, 16, 32), 1)


def layers_behind(names: Iterable[str], pattern: str) -> dict[str, int]:
    """How many layers lie behind each parameter of a row of blocks, itself included, as BEiT's layer decay counts them:
    1 for the last block, one more for each before it, and one more again for what stands before the first.

    Args:
        names: of all parameters.
        pattern: at the beginning of a block's, whose groups are the numbers that place it in the row; what does not
            match stands before the first block.
    """
    matches = {name: re.match(pattern, name) for name in names}
    places = {name: tuple(map(int, match.groups())) for name, match in matches.items() if match}
    row = sorted(set(places.values()), reverse=True)
    return {name: row.index(places[name]) + 1 if name in places else len(row) + 1 for name in matches}
