"""Sums of IoUs in whole numbers, so that they depend neither on the order of segments nor on who added which.

A match has an IoU above 0.5 and at most 1, and doubles from there on are multiples of 2**-53: in that unit each is a
whole number, and so is their sum, which is rounded once, at the end.
"""

_UNITS = 2**53
_LOW_BITS = 27  # of two int64, so that a sum of 2**36 IoUs still fits


def iou_units(iou: float) -> int:
    """
    Args:
        iou: of a match, above 0.5 and at most 1.

    Returns:
        Exactly ``iou`` times 2**53.
    """
    return int(iou * _UNITS)


def iou_of_units(units: int) -> float:
    """The double that is nearest to ``units`` / 2**53."""
    return units / _UNITS


def parts_of(units: int) -> tuple[int, int]:
    """Higher and lower bits, to be added up apart in arrays of int64."""
    return units >> _LOW_BITS, units & (1 << _LOW_BITS) - 1


def iou_of_parts(high: int, low: int) -> float:
    """``iou_of_units`` of sums of what ``parts_of`` gives."""
    return iou_of_units((high << _LOW_BITS) + low)
