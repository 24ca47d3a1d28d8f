"""Comparison: everything that metrics on panoptic maps share about one image, made once for all of them."""

from collections.abc import Sequence
from typing import NamedTuple

from pantile.contracts.errors import UserError
from pantile.contracts.panoptic import PanopticMap
from pantile.metrics.map_pair import MapPair, compare
from pantile.metrics.pair_counts import PairCounts, match_segments


class Comparison(NamedTuple):
    """One prediction beside its ground truth.

    Attributes:
        pair: the maps and the pixels that their segments share.
        counts: which segments match.
    """

    pair: MapPair
    counts: PairCounts


def compare_maps(
    pred: PanopticMap | Sequence[PanopticMap], gt: PanopticMap | Sequence[PanopticMap]
) -> list[Comparison]:
    """One image, or several.

    Args:
        pred: predicted map(s); ids as numpy arrays or as tensors on any device.
        gt: the ground truth of the same images, of the same sizes.

    Raises:
        UserError: see ``count_pair``; also unequal numbers of predictions and images.
    """
    preds = [pred] if isinstance(pred, PanopticMap) else list(pred)
    gts = [gt] if isinstance(gt, PanopticMap) else list(gt)
    if len(preds) != len(gts):
        raise UserError(f"There are {len(preds)} predictions for {len(gts)} images: give one for each image.")
    pairs = [compare(one_pred, one_gt) for one_pred, one_gt in zip(preds, gts, strict=True)]
    return [Comparison(pair, match_segments(pair)) for pair in pairs]
