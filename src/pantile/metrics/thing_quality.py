"""ThingQuality: pixel accuracy, pixel precision and the confusion curve of things over a data set.

de Geus and Dubbelman, "Intra-Batch Supervision for Panoptic Segmentation on High-Resolution Images" (WACV 2023),
equations 2 and 3 and Figure 5; ``thing_pixels`` and ``thing_confusion`` say how the open points are read.
"""

from collections.abc import Sequence

import torch
from torch import Tensor
from torchmetrics import Metric

from pantile.contracts.panoptic import PanopticMap
from pantile.contracts.taxonomy import Taxonomy
from pantile.metrics.comparison import Comparison, compare_maps
from pantile.metrics.printing import print_things
from pantile.metrics.registry import register_metric
from pantile.metrics.thing_confusion import THRESHOLDS, ThingConfusion, thing_confusion
from pantile.metrics.thing_pixels import ThingPixels, thing_pixels
from pantile.metrics.thing_result import ThingQualityResult


def _show(result: ThingQualityResult) -> None:
    if result.pixels.truth:
        print_things("things", result.to_dict())


@register_metric(
    "things", arguments=lambda batch: (batch.maps, batch.truths, batch.comparisons), show=_show, of_things=True
)
class ThingQuality(Metric):
    """Counts pixels and confused segments of things; adds up over batches and processes, without rounding.

    >>> metric = ThingQuality(taxonomy)
    >>> metric.update(prediction, ground_truth)   # PanopticMaps, or two sequences of them
    >>> metric.compute().accuracy

    Args:
        taxonomy: the classes; without things every fraction is NaN.
    """

    full_state_update = False
    higher_is_better = True
    is_differentiable = False

    pixels: Tensor
    confused: Tensor
    segments: Tensor

    def __init__(self, taxonomy: Taxonomy, **kwargs) -> None:
        super().__init__(**kwargs)
        self.taxonomy = taxonomy
        for name, count in (("pixels", len(ThingPixels())), ("confused", len(THRESHOLDS)), ("segments", 1)):
            self.add_state(name, torch.zeros(count, dtype=torch.int64), dist_reduce_fx="sum")

    def update(
        self,
        pred: PanopticMap | Sequence[PanopticMap],
        gt: PanopticMap | Sequence[PanopticMap],
        comparisons: Sequence[Comparison] | None = None,
    ) -> None:
        """Adds one image, or several.

        Args:
            pred: predicted map(s).
            gt: the ground truth of the same images, of the same sizes.
            comparisons: what ``compare_maps`` says of them, where another metric has asked already.

        Raises:
            UserError: see ``compare_maps``.
        """
        pixels, confusion = ThingPixels(), ThingConfusion()
        for pair, counts in compare_maps(pred, gt) if comparisons is None else comparisons:
            pixels = pixels.plus(thing_pixels(pair, counts, self.taxonomy))
            confusion = confusion.plus(thing_confusion(pair, self.taxonomy))
        self.pixels = self.pixels + self._counts(pixels)
        self.confused = self.confused + self._counts(confusion.confused)
        self.segments = self.segments + confusion.segments

    def compute(self) -> ThingQualityResult:
        """The result so far."""
        confusion = ThingConfusion(tuple(self.confused.tolist()), int(self.segments))
        return ThingQualityResult(ThingPixels(*self.pixels.tolist()), confusion)

    def _counts(self, values: Sequence[int]) -> Tensor:
        return torch.tensor(values, dtype=torch.int64, device=self.device)
