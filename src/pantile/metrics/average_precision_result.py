"""The numbers of COCO's protocol for average precision, from its tables of precision and recall."""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Self

import numpy as np

from pantile.metrics.without_nan import without_nan


@dataclass  # torchmetrics refuses frozen ones
class AveragePrecisionResult:
    """COCO's twelve numbers, means over the thing classes that occur in the ground truth; fractions of 1.

    NaN where there is nothing to average: no ground truth (of that size). Areas count the pixels of a mask: small up to
    32**2, medium up to 96**2, large from there.

    Attributes:
        ap: average precision, the mean over the IoU thresholds 0.5, 0.55, ..., 0.95.
        ap50, ap75: at one threshold.
        ap_small, ap_medium, ap_large: as ``ap``, of one range of areas.
        ar1, ar10, ar100: recall with at most 1, 10 or 100 detections per class and image, the mean over thresholds.
        ar_small, ar_medium, ar_large: as ``ar100``, of one range of areas.
        per_class: thing class name -> its ``ap``.
    """

    ap: float
    ap50: float
    ap75: float
    ap_small: float
    ap_medium: float
    ap_large: float
    ar1: float
    ar10: float
    ar100: float
    ar_small: float
    ar_medium: float
    ar_large: float
    per_class: dict[str, float]

    def to_dict(self) -> dict:
        """``{"instance": {"ap", ..., "per_class"}}`` in plain containers; NaN becomes None."""
        return {"instance": without_nan(asdict(self))}

    @classmethod
    def of(cls, precision: np.ndarray, recall: np.ndarray, names: Sequence[str]) -> Self:
        """The named means.

        Args:
            precision: (10 thresholds, 101 recalls, classes, 4 areas: all small medium large, 3 numbers of detections:
                1 10 100), -1 where undefined.
            recall: the same without the axis of recalls.
            names: of the classes.
        """
        ap, ar = precision[..., 2], recall[..., 2]
        return cls(
            ap=_mean(ap[..., 0]),
            ap50=_mean(ap[0, ..., 0]),
            ap75=_mean(ap[5, ..., 0]),
            ap_small=_mean(ap[..., 1]),
            ap_medium=_mean(ap[..., 2]),
            ap_large=_mean(ap[..., 3]),
            ar1=_mean(recall[..., 0, 0]),
            ar10=_mean(recall[..., 0, 1]),
            ar100=_mean(recall[..., 0, 2]),
            ar_small=_mean(ar[..., 1]),
            ar_medium=_mean(ar[..., 2]),
            ar_large=_mean(ar[..., 3]),
            per_class={name: _mean(ap[:, :, k, 0]) for k, name in enumerate(names)},
        )


def _mean(values: np.ndarray) -> float:
    defined = values[values > -1]
    return float(defined.mean()) if defined.size else math.nan
