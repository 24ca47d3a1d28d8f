"""Semantic segmentation: intersection over union and accuracy of classes.

The four numbers are those of Long et al., "Fully Convolutional Networks for Semantic Segmentation" (CVPR 2015), section
5: with n_ij pixels of class i predicted as j and t_i = sum_j n_ij, IoU_i = n_ii / (t_i + sum_j n_ji - n_ii). They need
the diagonal and two sums of the confusion matrix: three numbers per class, whatever the number of classes.
"""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor
from torchmetrics import Metric

from pantile.contracts.errors import UserError
from pantile.contracts.panoptic import VOID_ID, PanopticMap
from pantile.contracts.taxonomy import Taxonomy
from pantile.metrics.map_pair import as_array, id_map
from pantile.metrics.printing import print_classes, print_fractions
from pantile.metrics.registry import register_metric
from pantile.metrics.without_nan import without_nan

if TYPE_CHECKING:
    from pantile.metrics.evaluated_batch import EvaluatedBatch


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


def _show(result: SemanticQualityResult) -> None:
    labels = {"miou": "mIoU", "pixel_accuracy": "pixel accuracy", "mean_accuracy": "class accuracy"}
    print_fractions("semantic", vars(result), labels)


def _show_classes(result: SemanticQualityResult) -> None:
    print_classes("IoU", result.per_class)


def _of_images(batch: "EvaluatedBatch") -> list[float]:
    """mIoU of each image alone."""
    qualities = []
    for prediction, truth in zip(batch.class_maps, batch.truths, strict=True):
        metric = SemanticQuality(batch.taxonomy)
        metric.update([prediction], [truth])
        qualities.append(metric.compute().miou)
    return qualities


@register_metric(
    "semantic_quality",
    task="semantic",
    arguments=lambda batch: (batch.class_maps, batch.truths),
    show=_show,
    validated={"miou": lambda result: result.miou},
    label="mIoU",
    of_images=_of_images,
    show_classes=_show_classes,
)
class SemanticQuality(Metric):
    """Mean IoU and accuracies over a dataset; adds up over batches and processes.

    >>> metric = SemanticQuality(taxonomy)
    >>> metric.update([class_map], [ground_truth])   # one entry for each image
    >>> metric.compute().miou

    A class that is predicted and occurs in no image has an IoU of 0 in ``miou``, as in mmsegmentation and in the papers
    that report its numbers; detectron2 and the evaluation of VSPW leave it out, as ``miou_labelled`` does. With few
    images of many classes both differ much.

    Crowd pixels have their class like any others. A pixel without a predicted class is a miss of its true class.

    Args:
        taxonomy: the classes.
    """

    full_state_update = False
    higher_is_better = True
    is_differentiable = False

    pixels: Tensor

    def __init__(self, taxonomy: Taxonomy, **kwargs) -> None:
        super().__init__(**kwargs)
        self.taxonomy = taxonomy
        # of each class: right ones, true ones, and predicted ones where there is a true class
        self.add_state("pixels", torch.zeros(3, len(taxonomy), dtype=torch.int64), dist_reduce_fx="sum")

    def update(self, predictions: Sequence[np.ndarray], targets: Sequence[PanopticMap]) -> None:
        """Adds images.

        Args:
            predictions: (H, W) integers each, class index or -1 for none; arrays, or tensors on any device.
            targets: the ground truth of the same images, of the same sizes.

        Raises:
            UserError: unequal numbers or sizes of images, a prediction that holds anything but -1 and class indices, or
                see ``semantic_of``.
        """
        predictions, targets = list(predictions), list(targets)
        if len(predictions) != len(targets):
            raise UserError(
                f"There are {len(predictions)} semantic maps for {len(targets)} images: give one for each image."
            )
        counts = np.zeros(tuple(self.pixels.shape), np.int64)
        for prediction, target in zip(predictions, targets, strict=True):
            counts += self._count(as_array(prediction), semantic_of(target, self.taxonomy))
        self.pixels = self.pixels + torch.from_numpy(counts).to(self.device)

    def compute(self) -> SemanticQualityResult:
        """The result so far."""
        hit, true, predicted = self.pixels.cpu().numpy()
        union = true + predicted - hit
        iou, accuracy = (np.divide(hit, of, out=np.full(len(hit), math.nan), where=of > 0) for of in (union, true))
        total, occurs = int(true.sum()), union > 0
        return SemanticQualityResult(
            miou=_mean(iou[occurs]),
            fwiou=float((true * iou)[true > 0].sum()) / total if total else math.nan,
            mean_accuracy=_mean(accuracy[true > 0]),
            pixel_accuracy=float(hit.sum()) / total if total else math.nan,
            n=int(occurs.sum()),
            per_class=dict(zip(self.taxonomy.names, iou.tolist(), strict=True)),
            miou_labelled=_mean(iou[true > 0]),
        )

    def _count(self, prediction: np.ndarray, target: np.ndarray) -> np.ndarray:
        """(3, K) int64: the pixels of one image, see ``pixels``."""
        if prediction.shape != target.shape:
            own, wanted = (" x ".join(str(n) for n in a.shape) for a in (prediction, target))
            raise UserError(
                f"The ground truth is {wanted} pixels but the semantic map is {own}: "
                "resize the prediction to the size of the ground truth."
            )
        if prediction.dtype.kind not in "iu":
            raise UserError(f"The semantic map holds {prediction.dtype} values: give class indices as integers.")
        classes = len(self.taxonomy)
        low, high = (int(prediction.min()), int(prediction.max())) if prediction.size else (0, 0)
        if low < -1 or high >= classes:
            raise UserError(
                f"The semantic map holds the class index {low if low < -1 else high}: "
                f"use an index from 0 to {classes - 1}, or -1 for none."
            )
        labelled = target >= 0
        kept = (target[labelled & (target == prediction)], target[labelled], prediction[labelled & (prediction >= 0)])
        return np.stack([np.bincount(values, minlength=classes) for values in kept])


def semantic_of(panoptic: PanopticMap, taxonomy: Taxonomy) -> np.ndarray:
    """The class of every pixel of a panoptic map; crowd has its class, scores do not matter.

    Neighbours along a row nearly always carry the same id, so ids are looked up once for each run.

    Args:
        panoptic: ids as a numpy array or a torch tensor on any device.

    Returns:
        (H, W) int32, class index, -1 on void.

    Raises:
        UserError: a segment's class index is outside the taxonomy, or pixels carry an id that the table lacks.
    """
    for segment in panoptic.segments:
        if not 0 <= segment.class_index < len(taxonomy):
            raise UserError(
                f"Segment {segment.id} has class index {segment.class_index}, but the taxonomy has "
                f"{len(taxonomy)} classes: use an index from 0 to {len(taxonomy) - 1}."
            )
    ids = id_map(panoptic, "ground truth")
    flat = ids.reshape(-1)
    starts = np.flatnonzero(np.concatenate([[True][: flat.size], flat[1:] != flat[:-1]]))
    rows = sorted([(VOID_ID, -1), *((s.id, s.class_index) for s in panoptic.segments)])
    known, classes = np.array(rows, np.int64).T
    runs = flat[starts].astype(np.int64)
    row = np.searchsorted(known, runs).clip(max=len(known) - 1)
    if (strange := known[row] != runs).any():
        raise UserError(
            f"There are pixels with id {runs[strange][0]}, but the table of segments lacks that id: "
            "add the row, or set the pixels to 0 (void)."
        )
    return np.repeat(classes[row].astype(np.int32), np.diff(starts, append=flat.size)).reshape(ids.shape)


def _mean(values: np.ndarray) -> float:
    return float(values.mean()) if values.size else math.nan
