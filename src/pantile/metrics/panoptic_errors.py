"""PanopticErrors: mistakes by kind with the PQ that each costs; ``segment_errors`` says which kinds there are."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torchmetrics import Metric

from pantile.contracts.panoptic import PanopticMap
from pantile.contracts.percent import percent
from pantile.contracts.taxonomy import Taxonomy
from pantile.metrics.comparison import Comparison, compare_maps
from pantile.metrics.error_tally import ErrorTally, PanopticErrorsResult
from pantile.metrics.registry import register_metric
from pantile.metrics.segment_errors import errors_of


def _show(result: PanopticErrorsResult) -> None:
    if not result.per_class:
        return
    lost = ", ".join(f"{kind.replace('_', ' ')} {percent(row.lost_pq)}" for kind, row in result.kinds.items())
    print(f"PQ lost to each kind of mistake: {lost}")


@register_metric(
    "panoptic_errors", arguments=lambda batch: (batch.maps, batch.truths, batch.comparisons), show=_show, of_things=True
)
class PanopticErrors(Metric):
    """Counts mistakes by kind; adds up over batches and processes, without rounding.

    >>> metric = PanopticErrors(taxonomy)
    >>> metric.update(prediction, ground_truth)   # PanopticMaps, or two sequences of them
    >>> metric.compute().kinds["merged"].lost_pq

    Args:
        taxonomy: the classes.
    """

    full_state_update = False
    is_differentiable = False

    sums: Tensor

    def __init__(self, taxonomy: Taxonomy, **kwargs) -> None:
        super().__init__(**kwargs)
        self.taxonomy = taxonomy
        self.add_state("sums", torch.from_numpy(ErrorTally(taxonomy).sums), dist_reduce_fx="sum")

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
        tally = ErrorTally(self.taxonomy)
        for pair, counts in compare_maps(pred, gt) if comparisons is None else comparisons:
            tally.add(counts, errors_of(pair, counts))
        self.sums = self.sums + torch.from_numpy(tally.sums).to(self.sums.device)

    def compute(self) -> PanopticErrorsResult:
        """The result so far."""
        return ErrorTally(self.taxonomy, self.sums.cpu().numpy()).result()
