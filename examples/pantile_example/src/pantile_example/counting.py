"""Counting: how many things a model sees too many or too few in an image; a metric, and a panel of the report."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import torch
from torchmetrics import Metric

from pantile.contracts.panoptic import PanopticMap
from pantile.contracts.taxonomy import Taxonomy
from pantile.metrics.registry import register_metric
from pantile.visualize import ReportData, fill, register_panel


@dataclass
class CountingResult:
    """
    Attributes:
        error: mean absolute difference between the numbers of predicted and of true things; None without images.
        images: how many.
    """

    error: float | None
    images: int

    def to_dict(self) -> dict:
        return {"counting": asdict(self)}


def show(result: CountingResult) -> None:
    if result.images:
        print(f"counting: {result.error:.1f} things too many or too few in an image")


@register_metric("counting", arguments=lambda batch: (batch.maps, batch.truths), show=show)
class CountingError(Metric):
    def __init__(self, taxonomy: Taxonomy) -> None:
        super().__init__()
        self.taxonomy = taxonomy
        for name in ("differences", "images"):
            self.add_state(name, torch.tensor(0), dist_reduce_fx="sum")

    def update(self, maps: Sequence[PanopticMap], truths: Sequence[PanopticMap]) -> None:
        for predicted, truth in zip(maps, truths, strict=True):
            self.differences += abs(self._things(predicted) - self._things(truth))
            self.images += 1

    def compute(self) -> CountingResult:
        images = int(self.images)
        return CountingResult(int(self.differences) / images if images else None, images)

    def _things(self, panoptic: PanopticMap) -> int:
        return sum(self.taxonomy.classes[s.class_index].is_thing and not s.is_crowd for s in panoptic.segments)


@register_panel("counting", "Counting")
def panel(data: ReportData) -> str:
    counting = (data.results or {}).get("counting")
    text = '<p class="note">{{ "%.1f" | format(error) }} things too many or too few in each of {{ images }} images.</p>'
    return fill(text, **counting) if counting and counting["images"] else ""
