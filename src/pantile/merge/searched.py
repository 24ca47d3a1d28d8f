"""Which thresholds of a merge are worth looking for on a split of one's own, and among which values.

A merge's config names them in ``SEARCHED``, in the order of how much they usually change.
"""

from collections.abc import Mapping
from typing import Any

#: field of a merge's config -> values to try, from small to large
Searched = Mapping[str, tuple[float, ...]]

FRACTIONS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
THING_AREAS = (0, 16, 64, 256, 1024)  # pixels
STUFF_AREAS = (0, 256, 1024, 4096, 16384)


def searched(config: Any) -> Searched:
    """Of a merge's config; empty where nothing is decided by thresholds."""
    return getattr(config, "SEARCHED", {})
