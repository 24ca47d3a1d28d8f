"""Panoptic Quality: PQ = SQ * RQ per class, averaged over classes.

Kirillov et al., "Panoptic Segmentation" (CVPR 2019), equation 1:
PQ = (sum of IoU over matches) / (TP + FP/2 + FN/2). On valid input the counts and each IoU equal those of the reference
evaluation to the last bit; where a class has several crowd regions in an image, with ``crowd="reference"``. The sum of
IoUs is exact and rounded once, so that it depends on no order, where the last digits of the reference's do. Unlike the
reference, areas always come from pixels, tables that contradict the pixels are refused, and classes (or a whole
dataset) without any segment give NaN with their count instead of an exception.
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torchmetrics import Metric

from pantile.contracts.errors import UserError
from pantile.contracts.panoptic import PanopticMap
from pantile.contracts.taxonomy import Taxonomy
from pantile.metrics.comparison import Comparison, compare_maps
from pantile.metrics.exact_sums import iou_of_parts, iou_units, parts_of
from pantile.metrics.pair_counts import CrowdRule, PairCounts, check_rule, match_segments
from pantile.metrics.printing import print_quality
from pantile.metrics.quality import PanopticQualityResult, quality_of, summarise
from pantile.metrics.registry import register_metric


@register_metric(
    "panoptic_quality",
    arguments=lambda batch: (batch.maps, batch.truths, batch.comparisons),
    show=print_quality,
    validated={
        "pq": lambda result: result.all.pq,
        "pq_things": lambda result: result.things.pq,
        "pq_stuff": lambda result: result.stuff.pq,
        "sq": lambda result: result.all.sq,
        "rq": lambda result: result.all.rq,
    },
    label="PQ",
    of_images=lambda batch: [quality_of(comparison.counts) for comparison in batch.comparisons],
)
class PanopticQuality(Metric):
    """PQ, SQ and RQ over a dataset; adds up over batches and processes.

    >>> metric = PanopticQuality(taxonomy)
    >>> metric.update(prediction, ground_truth)   # PanopticMaps, or two sequences of them
    >>> metric.compute().all.pq

    Args:
        taxonomy: the classes; ``Segment.class_index`` refers to it.
        crowd: which crowd regions of its class excuse a prediction, where an image has several: "all", so that the
            order of rows does not matter, or the last row as in the "reference".

    Raises:
        UserError: another rule.
    """

    full_state_update = False
    higher_is_better = True
    is_differentiable = False

    tp: Tensor
    fp: Tensor
    fn: Tensor
    iou_high: Tensor
    iou_low: Tensor

    def __init__(self, taxonomy: Taxonomy, crowd: CrowdRule = "all", **kwargs) -> None:
        super().__init__(**kwargs)
        check_rule(crowd)
        self.taxonomy = taxonomy
        self.crowd = crowd
        # The sum of IoUs is a whole number of ``iou_units``, in its ``parts_of``.
        for name in ("tp", "fp", "fn", "iou_high", "iou_low"):
            self.add_state(name, torch.zeros(len(taxonomy), dtype=torch.int64), dist_reduce_fx="sum")

    def update(
        self,
        pred: PanopticMap | Sequence[PanopticMap],
        gt: PanopticMap | Sequence[PanopticMap],
        comparisons: Sequence[Comparison] | None = None,
    ) -> None:
        """Adds one image, or several.

        Args:
            pred: predicted map(s); ids as numpy arrays or as tensors on any device.
            gt: the ground truth of the same images, of the same sizes.
            comparisons: what ``compare_maps`` says of them, where another metric has asked already.

        Raises:
            UserError: see ``count_pair``, such as for a batch of maps in one array; also an unknown class index, or
                unequal numbers of predictions and images.
        """
        for pair, counts in compare_maps(pred, gt) if comparisons is None else comparisons:
            self._check_classes(pair.pred, "prediction")
            self._check_classes(pair.gt, "ground truth")
            self._add(counts if self.crowd == "all" else match_segments(pair, crowd=self.crowd))

    def compute(self) -> PanopticQualityResult:
        """The result so far; NaN with n = 0 if nothing was seen."""
        return summarise(self.taxonomy, self.iou, *(state.tolist() for state in (self.tp, self.fp, self.fn)))

    @property
    def iou(self) -> list[float]:
        """The summed IoU of each class, rounded once."""
        both = zip(self.iou_high.tolist(), self.iou_low.tolist(), strict=True)
        return [iou_of_parts(*parts) for parts in both]

    def _check_classes(self, panoptic: PanopticMap, what: str) -> None:
        for segment in panoptic.segments:
            if not 0 <= segment.class_index < len(self.taxonomy):
                raise UserError(
                    f"Segment {segment.id} of the {what} has class index {segment.class_index}, but the taxonomy has "
                    f"{len(self.taxonomy)} classes: use an index from 0 to {len(self.taxonomy) - 1}."
                )

    def _add(self, counts: PairCounts) -> None:
        sums = np.zeros((5, len(self.taxonomy)), np.int64)
        for match in counts.matches:
            sums[:, match.gt.class_index] += (1, 0, 0, *parts_of(iou_units(match.iou)))
        for segment in counts.spurious:
            sums[1, segment.class_index] += 1
        for segment in counts.missed:
            sums[2, segment.class_index] += 1
        added = torch.from_numpy(sums).to(self.tp.device)
        for name, more in zip(("tp", "fp", "fn", "iou_high", "iou_low"), added, strict=True):
            setattr(self, name, getattr(self, name) + more)
