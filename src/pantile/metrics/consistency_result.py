"""VC of a data set."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from pantile.metrics.without_nan import without_nan


@dataclass  # torchmetrics refuses frozen ones
class VideoConsistencyResult:
    """
    Attributes:
        vc: length of the windows in frames -> mean over all windows of all videos, a fraction of 1; NaN without any.
        windows: length -> how many windows there were; those without a pixel of constant truth are left out.
    """

    vc: dict[int, float]
    windows: dict[int, int]

    def to_dict(self) -> dict:
        """``{"video_consistency": {"vc8", "vc16", ..., "windows"}}`` in plain containers; NaN becomes None."""
        values = {f"vc{length}": value for length, value in self.vc.items()}
        return {"video_consistency": without_nan(values | {"windows": self.windows})}


def consistency_of(lengths: Sequence[int], sums: Sequence[float], numbers: Sequence[int]) -> VideoConsistencyResult:
    """From the sums over windows and their number, for each length."""
    means = [total / number if number else math.nan for total, number in zip(sums, numbers, strict=True)]
    return VideoConsistencyResult(dict(zip(lengths, means, strict=True)), dict(zip(lengths, numbers, strict=True)))
