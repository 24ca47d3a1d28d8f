"""Results for JSON, which has no NaN."""

import math


def without_nan(value):
    """The same containers with None in place of NaN."""
    if isinstance(value, dict):
        return {key: without_nan(inner) for key, inner in value.items()}
    return None if isinstance(value, float) and math.isnan(value) else value
