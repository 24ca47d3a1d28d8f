"""How offsets of centres grow with the maps they stand in."""

from pantile.contracts.placement import Placement
from pantile.merge.nearest_pixels import corners_aligned


def offset_growth(size: tuple[int, int], placement: Placement, at_original: bool) -> tuple[float, float]:
    """By how much a distance in pixels of the maps grows on its way to where decisions are made, (y, x)."""
    aligned = corners_aligned(placement)
    growth = []
    for source, padded, content, original in zip(
        size, placement.padded, placement.content, placement.original, strict=True
    ):
        factor = _growth(source, padded, aligned=True)
        growth.append(factor * _growth(content, original, aligned) if at_original else factor)
    return growth[0], growth[1]


def _growth(source: int, target: int, aligned: bool) -> float:
    if aligned:
        return max(target - 1, 1) / max(source - 1, 1)  # one row to one row keeps its size
    return target / source
