"""Semantic segmentation: intersection over union and accuracy of classes.

The four numbers are those of Long et al., "Fully Convolutional Networks for Semantic Segmentation" (CVPR 2015), section
5: with n_ij pixels of class i predicted as j and t_i = sum_j n_ij, IoU_i = n_ii / (t_i + sum_j n_ji - n_ii). They need
the diagonal and two sums of the confusion matrix: three numbers per class, whatever the number of classes.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor
from torchmetrics import Metric

from pantile.contracts.errors import UserError
from pantile.contracts.panoptic import PanopticMap
from pantile.contracts.taxonomy import Taxonomy
from pantile.metrics.class_maps import semantic_of
from pantile.metrics.map_pair import as_array
from pantile.metrics.printing import print_classes, print_fractions
from pantile.metrics.registry import register_metric
from pantile.metrics.semantic_result import SemanticQualityResult, count_pixels, semantic_result_of

if TYPE_CHECKING:
    from pantile.metrics.evaluated_batch import EvaluatedBatch


def _show(result: SemanticQualityResult) -> None:
    labels = {"miou": "mIoU", "pixel_accuracy": "pixel accuracy", "mean_accuracy": "class accuracy"}
    print_fractions("semantic", vars(result), labels)


def _show_classes(result: SemanticQualityResult) -> None:
    print_classes("IoU", result.per_class)


def _of_images(batch: "EvaluatedBatch") -> list[float]:
    """mIoU of each image alone."""
    qualities = []
    for prediction, truth in zip(batch.class_maps, batch.truths, strict=True):
        metric = SemanticQuality(batch.taxonomy, sync_on_compute=False)  # of this image, whatever other processes see
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
            counts += count_pixels(as_array(prediction), semantic_of(target, self.taxonomy), len(self.taxonomy))
        self.pixels = self.pixels + torch.from_numpy(counts).to(self.device)

    def compute(self) -> SemanticQualityResult:
        """The result so far."""
        return semantic_result_of(self.pixels.cpu().numpy(), self.taxonomy)
