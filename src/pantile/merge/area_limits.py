"""Area limits apart from the rest of a merge: where an image is cut, they are for the whole of it, not for tiles."""

from dataclasses import dataclass, replace

from pantile.contracts.placement import Placement
from pantile.merge.registry import MergeConfig


@dataclass(frozen=True)
class AreaLimits:
    """Segments with fewer pixels of the image become void.

    Attributes:
        thing: for each thing segment.
        stuff: for the one segment of a stuff class.
    """

    thing: float = 0.0
    stuff: float = 0.0


def split_area_limits(config: MergeConfig, placement: Placement) -> tuple[MergeConfig, AreaLimits]:
    """A merge without area limits, and its limits in pixels of the image.

    Args:
        placement: of any tile: limits that a merge counts on the network's input ("ids_last") grow with the image's
            pixels per pixel of the input.
    """
    if not hasattr(config, "thing_area_limit"):  # merges that go without
        return config, AreaLimits()
    growth = 1.0
    if getattr(config, "resize_order", "logits_first") == "ids_last":
        (content_h, content_w), (original_h, original_w) = placement.content, placement.original
        growth = (original_h * original_w) / (content_h * content_w)
    limits = AreaLimits(config.thing_area_limit * growth, config.stuff_area_limit * growth)
    return replace(config, thing_area_limit=0, stuff_area_limit=0), limits
