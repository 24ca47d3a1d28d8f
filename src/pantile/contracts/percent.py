"""How fractions are shown to people: PQ and every other quality in percent with one decimal. Files hold fractions."""

import math


def percent(value: float | None, none: str = "-") -> str:
    """0.4217 as ``42.2``.

    Args:
        value: a fraction, usually 0..1.
        none: in place of None and NaN, where there was nothing to measure.
    """
    return none if value is None or not math.isfinite(value) else f"{100 * value:.1f}"
