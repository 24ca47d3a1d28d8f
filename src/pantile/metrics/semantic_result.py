"""Mean IoU and accuracies from counted pixels of classes: equations of Long et al., see ``semantic_quality``."""

import math
from dataclasses import asdict, dataclass

import numpy as np

from pantile.contracts.errors import UserError
from pantile.contracts.taxonomy import Taxonomy
from pantile.metrics.without_nan import without_nan


@dataclass  # torchmetrics refuses frozen ones
class SemanticQualityResult:
    """Fractions of 1 over the pixels that are not void in the ground truth; NaN if there are none.

    Attributes:
        miou: mean of the IoU of the classes that occur in the ground truth or the predictions.
        fwiou: mean IoU, each class weighted by its pixels in the ground truth.
        mean_accuracy: mean recall of the classes that occur in the ground truth.
        pixel_accuracy: pixels of the right class.
        n: the classes in ``miou``.
        miou_labelled: mean of the IoU of the classes that occur in the ground truth.
        per_class: class name -> IoU, NaN where the class never occurs.
    """

    miou: float
    fwiou: float
    mean_accuracy: float
    pixel_accuracy: float
    n: int
    per_class: dict[str, float]
    miou_labelled: float = math.nan

    def to_dict(self) -> dict:
        """``{"semantic": {"miou", ..., "per_class"}}`` in plain containers; NaN becomes None."""
        return {"semantic": without_nan(asdict(self))}


def count_pixels(prediction: np.ndarray, target: np.ndarray, classes: int) -> np.ndarray:
    """The pixels of one image.

    Args:
        prediction: (H, W) integers, class index or -1 for none.
        target: (H, W) integers, the true class index, -1 on void.
        classes: K, how many there are.

    Returns:
        (3, K) int64: of each class right ones, true ones, and predicted ones where there is a true class.

    Raises:
        UserError: the sizes differ, or the prediction holds anything but -1 and class indices.
    """
    if prediction.shape != target.shape:
        own, wanted = (" x ".join(str(n) for n in a.shape) for a in (prediction, target))
        raise UserError(
            f"The ground truth is {wanted} pixels but the semantic map is {own}: "
            "resize the prediction to the size of the ground truth."
        )
    if prediction.dtype.kind not in "iu":
        raise UserError(f"The semantic map holds {prediction.dtype} values: give class indices as integers.")
    low, high = (int(prediction.min()), int(prediction.max())) if prediction.size else (0, 0)
    if low < -1 or high >= classes:
        raise UserError(
            f"The semantic map holds the class index {low if low < -1 else high}: "
            f"use an index from 0 to {classes - 1}, or -1 for none."
        )
    labelled = target >= 0
    kept = (target[labelled & (target == prediction)], target[labelled], prediction[labelled & (prediction >= 0)])
    return np.stack([np.bincount(values, minlength=classes) for values in kept])


def semantic_result_of(pixels: np.ndarray, taxonomy: Taxonomy) -> SemanticQualityResult:
    """From the sum of ``count_pixels`` over all images."""
    hit, true, predicted = pixels
    union = true + predicted - hit
    iou, accuracy = (np.divide(hit, of, out=np.full(len(hit), math.nan), where=of > 0) for of in (union, true))
    total, occurs = int(true.sum()), union > 0
    return SemanticQualityResult(
        miou=_mean(iou[occurs]),
        fwiou=float((true * iou)[true > 0].sum()) / total if total else math.nan,
        mean_accuracy=_mean(accuracy[true > 0]),
        pixel_accuracy=float(hit.sum()) / total if total else math.nan,
        n=int(occurs.sum()),
        per_class=dict(zip(taxonomy.names, iou.tolist(), strict=True)),
        miou_labelled=_mean(iou[true > 0]),
    )


def _mean(values: np.ndarray) -> float:
    return float(values.mean()) if values.size else math.nan
