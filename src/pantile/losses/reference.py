"""The mask-approximation loss of CMT-DeepLab: reference masks look like the segments of their queries. A reading."""

from torch import Tensor

from pantile.contracts.precision import in_float32
from pantile.contracts.targets import PanopticTargets
from pantile.losses.matching import drop_unmatched, one_hot_rows
from pantile.losses.pq_style import dice_loss


def reference_loss(reference_masks: Tensor, targets: PanopticTargets, matching: Tensor) -> Tensor:
    """Dice loss of matched queries, mean over those of an image, then over the images.

    Args:
        reference_masks: (B, N, h, w) 0..1.
        targets: at any resolution; compared at that of the masks.
        matching: (B, G) query of each row or -1.

    Returns:
        Scalar; an image without matched segments counts as 0.
    """
    return _loss(reference_masks, targets.masks_at(tuple(reference_masks.shape[-2:])).index, matching)


@in_float32
def _loss(reference_masks: Tensor, index: Tensor, matching: Tensor) -> Tensor:
    flat = drop_unmatched(index, matching).flatten(1)
    one_hot = one_hot_rows(flat, matching.shape[1], reference_masks.dtype)
    queries = matching.clamp(min=0)[:, :, None].expand(-1, -1, flat.shape[1])
    rows = reference_masks.flatten(2).gather(1, queries) * (flat >= 0)[:, None]
    counted = one_hot.any(dim=2)  # and still there at this resolution
    loss = (dice_loss(rows, one_hot) * counted).sum(dim=1) / counted.sum(dim=1).clamp(min=1)
    return loss.mean()
