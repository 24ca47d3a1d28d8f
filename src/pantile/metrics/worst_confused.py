"""Where to look for confusion: the images of the predicted things that are the most confused."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torchmetrics import Metric

from pantile.contracts.panoptic import PanopticMap
from pantile.contracts.taxonomy import Taxonomy
from pantile.metrics.comparison import Comparison, compare_maps
from pantile.metrics.registry import register_metric
from pantile.metrics.thing_confusion import confused_segments


@register_metric(
    "worst_confused",
    arguments=lambda batch: (batch.maps, batch.truths, batch.indices, batch.comparisons),
    show=lambda result: None,  # pictures show it
    to_dict=lambda result: {},
    of_things=True,
)
class WorstConfused(Metric):
    """The predicted things with the largest second-largest share of a ground-truth thing, over images and processes.

    >>> metric = WorstConfused(taxonomy, keep=8)
    >>> metric.update([prediction], [ground_truth], [image_index])
    >>> metric.compute()
    [(image_index, 0.93)]

    Args:
        taxonomy: the classes.
        keep: how many segments; nothing more is held.
    """

    full_state_update = False
    higher_is_better = False
    is_differentiable = False

    worst: Tensor

    def __init__(self, taxonomy: Taxonomy, keep: int = 12, **kwargs) -> None:
        super().__init__(**kwargs)
        self.taxonomy = taxonomy
        # Share, pixels of the second thing, image; a share of 0 is no segment.
        empty = torch.zeros(keep, 3, dtype=torch.float64)
        self.add_state("worst", empty, dist_reduce_fx=_first_of_processes)

    def update(
        self,
        pred: Sequence[PanopticMap],
        gt: Sequence[PanopticMap],
        indices: Sequence[int],
        comparisons: Sequence[Comparison] | None = None,
    ) -> None:
        """Adds images.

        Args:
            pred: predicted maps.
            gt: the ground truth of the same images, of the same sizes.
            indices: by which to find each image again, at least 0.
            comparisons: what ``compare_maps`` says of them, where another metric has asked already.

        Raises:
            UserError: see ``compare_maps``.
        """
        comparisons = compare_maps(pred, gt) if comparisons is None else comparisons
        rows = [
            (segment.share, segment.pixels, index)
            for (pair, _), index in zip(comparisons, indices, strict=True)
            for segment in confused_segments(pair, self.taxonomy)
        ]
        if rows:
            found = torch.tensor(rows, dtype=torch.float64, device=self.device)
            self.worst = _first(torch.cat([self.worst, found]), len(self.worst))

    def compute(self) -> list[tuple[int, float]]:
        """(index of the image, second-largest share 0..1) for each segment, worst first."""
        return [(int(index), share) for share, _, index in self.worst.tolist() if share > 0]


def _first_of_processes(tables: Tensor) -> Tensor:
    """(P, keep, 3) to (keep, 3)."""
    return _first(tables.flatten(0, 1), tables.shape[1])


def _first(rows: Tensor, keep: int) -> Tensor:
    """The ``keep`` greatest rows: by share, then by pixels, then the earlier image."""
    ordered = sorted(rows.tolist(), key=lambda row: (-row[0], -row[1], row[2]))
    return rows.new_tensor(ordered[:keep])
