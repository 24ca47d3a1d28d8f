"""Panoptic Quality: PQ = SQ * RQ per class, averaged over classes.

Kirillov et al., "Panoptic Segmentation" (CVPR 2019), equation 1:
PQ = (sum of IoU over matches) / (TP + FP/2 + FN/2). On valid input the numbers equal those of the reference
evaluation to the last bit. Unlike the reference, areas always come from pixels, tables that contradict the pixels are
refused, and classes (or a whole dataset) without any segment give NaN with their count instead of an exception.
"""

import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass

import torch
from torch import Tensor
from torchmetrics import Metric

from pantile.contracts.errors import UserError
from pantile.contracts.panoptic import PanopticMap
from pantile.contracts.taxonomy import Taxonomy
from pantile.metrics.pair_counts import PairCounts, count_pair


@dataclass
class Quality:
    """Means over classes, fractions of 1; NaN where n is 0.

    Attributes:
        pq: panoptic quality.
        sq: segmentation quality, the mean IoU of matches.
        rq: recognition quality, an F1 score.
        n: classes that occur in the ground truth or the predictions, and so in the means.
    """

    pq: float
    sq: float
    rq: float
    n: int


@dataclass
class ClassQuality:
    """One class: fractions of 1, NaN where it never occurs, and counted segments."""

    pq: float
    sq: float
    rq: float
    tp: int
    fp: int
    fn: int

    @property
    def occurs(self) -> bool:
        return self.tp + self.fp + self.fn > 0


@dataclass
class PanopticQualityResult:
    """PQ of a dataset. ``all``, ``things`` and ``stuff`` are means over classes; ``per_class`` goes by class name."""

    all: Quality
    things: Quality
    stuff: Quality
    per_class: dict[str, ClassQuality]

    def to_dict(self) -> dict:
        """``{"panoptic": {"all", "things", "stuff", "per_class"}}`` in plain containers; NaN becomes None."""
        return {"panoptic": _without_nan(asdict(self))}

    def to_json(self) -> str:
        """``to_dict`` as JSON; NaN becomes null."""
        return json.dumps(self.to_dict(), indent=2, allow_nan=False)


class PanopticQuality(Metric):
    """PQ, SQ and RQ over a dataset; adds up over batches and processes.

    >>> metric = PanopticQuality(taxonomy)
    >>> metric.update(prediction, ground_truth)   # PanopticMaps, or two sequences of them
    >>> metric.compute().all.pq

    Args:
        taxonomy: the classes; ``Segment.class_index`` refers to it.
    """

    full_state_update = False
    higher_is_better = True
    is_differentiable = False

    tp: Tensor
    fp: Tensor
    fn: Tensor
    iou: Tensor

    def __init__(self, taxonomy: Taxonomy, **kwargs) -> None:
        super().__init__(**kwargs)
        self.taxonomy = taxonomy
        for name in ("tp", "fp", "fn"):
            self.add_state(name, torch.zeros(len(taxonomy), dtype=torch.int64), dist_reduce_fx="sum")
        self.add_state("iou", torch.zeros(len(taxonomy), dtype=torch.float64), dist_reduce_fx="sum")

    def update(self, pred: PanopticMap | Sequence[PanopticMap], gt: PanopticMap | Sequence[PanopticMap]) -> None:
        """Adds one image, or several.

        Args:
            pred: predicted map(s); ids as numpy arrays or as tensors on any device.
            gt: the ground truth of the same images, of the same sizes.

        Raises:
            UserError: see ``count_pair``; also an unknown class index, or unequal numbers of predictions and images.
        """
        preds = [pred] if isinstance(pred, PanopticMap) else list(pred)
        gts = [gt] if isinstance(gt, PanopticMap) else list(gt)
        if len(preds) != len(gts):
            raise UserError(f"There are {len(preds)} predictions for {len(gts)} images: give one for each image.")
        for one_pred, one_gt in zip(preds, gts, strict=True):
            self._check_classes(one_pred, "prediction")
            self._check_classes(one_gt, "ground truth")
            self._add(count_pair(one_pred, one_gt))

    def compute(self) -> PanopticQualityResult:
        """The result so far; NaN with n = 0 if nothing was seen."""
        per_class = [
            class_quality(*counts)
            for counts in zip(self.iou.tolist(), self.tp.tolist(), self.fp.tolist(), self.fn.tolist(), strict=True)
        ]
        return PanopticQualityResult(
            all=mean_quality(per_class),
            things=mean_quality(per_class[k] for k in self.taxonomy.thing_indices),
            stuff=mean_quality(per_class[k] for k in self.taxonomy.stuff_indices),
            per_class=dict(zip(self.taxonomy.names, per_class, strict=True)),
        )

    def _check_classes(self, panoptic: PanopticMap, what: str) -> None:
        for segment in panoptic.segments:
            if not 0 <= segment.class_index < len(self.taxonomy):
                raise UserError(
                    f"Segment {segment.id} of the {what} has class index {segment.class_index}, but the taxonomy has "
                    f"{len(self.taxonomy)} classes: use an index from 0 to {len(self.taxonomy) - 1}."
                )

    def _add(self, counts: PairCounts) -> None:
        tp, fp, fn, iou = (state.tolist() for state in (self.tp, self.fp, self.fn, self.iou))
        # One IoU after the other onto the running sum: the reference's order of additions.
        for match in counts.matches:
            tp[match.gt.class_index] += 1
            iou[match.gt.class_index] += match.iou
        for segment in counts.spurious:
            fp[segment.class_index] += 1
        for segment in counts.missed:
            fn[segment.class_index] += 1
        device = self.tp.device
        self.tp, self.fp, self.fn = (torch.tensor(s, dtype=torch.int64, device=device) for s in (tp, fp, fn))
        self.iou = torch.tensor(iou, dtype=torch.float64, device=device)


def image_quality(pred: PanopticMap, gt: PanopticMap) -> float:
    """PQ of a single image, 0..1: the mean over the classes that occur in it, NaN if none does.

    It ranks images (best, worst); its mean over images is not the PQ of the dataset.
    """
    per_class: dict[int, list[float]] = {}
    counts = count_pair(pred, gt)
    for match in counts.matches:
        entry = per_class.setdefault(match.gt.class_index, [0.0, 0, 0, 0])
        entry[0] += match.iou
        entry[1] += 1
    for column, segments in ((2, counts.spurious), (3, counts.missed)):
        for segment in segments:
            per_class.setdefault(segment.class_index, [0.0, 0, 0, 0])[column] += 1
    return mean_quality(class_quality(*per_class[k]) for k in sorted(per_class)).pq


def class_quality(iou: float, tp: int, fp: int, fn: int) -> ClassQuality:
    """Equation 1 for one class, from its summed IoU and counted segments."""
    if tp + fp + fn == 0:
        return ClassQuality(math.nan, math.nan, math.nan, 0, 0, 0)
    denominator = tp + 0.5 * fp + 0.5 * fn
    return ClassQuality(iou / denominator, iou / tp if tp else 0.0, tp / denominator, tp, fp, fn)


def mean_quality(classes: Iterable[ClassQuality]) -> Quality:
    """The mean over the classes that occur; NaN with n = 0 if none does."""
    present = [c for c in classes if c.occurs]
    if not present:
        return Quality(math.nan, math.nan, math.nan, 0)
    n = len(present)
    return Quality(sum(c.pq for c in present) / n, sum(c.sq for c in present) / n, sum(c.rq for c in present) / n, n)


def _without_nan(value):
    if isinstance(value, dict):
        return {key: _without_nan(inner) for key, inner in value.items()}
    return None if isinstance(value, float) and math.isnan(value) else value
