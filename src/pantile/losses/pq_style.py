"""The PQ-style objective of MaX-DeepLab (Wang et al. 2021, section 3.2): matching and two losses from one product.

PQ multiplies recognition with segmentation, so a query n and a segment g are as similar as

    dice(n, g) * p(n, label of g).

The pairing of highest total similarity is kept, and its two factors are raised each with the other as a
constant weight: the class term weighted by dice, the mask term weighted by class probability. An unmatched query is
pushed to no-object in proportion to the share of its mask that lies on void.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from pantile.contracts.outputs import LabelMix
from pantile.contracts.precision import in_float32
from pantile.contracts.targets import MaskTargets
from pantile.losses.matching import one_hot_rows, rows_to_queries
from pantile.losses.query_maps import softmax_overlaps

MATCHED_SHARE, UNMATCHED_SHARE = 0.75, 0.25  # of the class loss; the mask term has the matched share too
SMALLEST_WEIGHT = 1e-5
EPSILON = 1e-5


@dataclass(frozen=True)
class PQSimilarity:
    """Constants of one output; no gradient.

    Attributes:
        dice: (B, N, G) 0..1, of the softmax masks with each ground-truth mask, void pixels left out.
        class_probability: (B, N, G) 0..1, of each row's class, no-object in the denominator.
        void_share: (B, N) 0..1, the share of the soft mask that lies on void.
    """

    dice: Tensor
    class_probability: Tensor
    void_share: Tensor

    @property
    def cost(self) -> Tensor:
        """(B, N, G) to be minimised."""
        return -self.dice * self.class_probability


@torch.no_grad()
def pq_similarity(mask_logits: Tensor, class_logits: Tensor, masks: MaskTargets) -> PQSimilarity:
    """Compares every query with every segment.

    Args:
        mask_logits: (B, N, h, w), resized to the targets' resolution; softmax over N.
        class_logits: (B, N, K+1).
        masks: targets of G rows; values of rows without a mask mean nothing.
    """
    return _pq_similarity(mask_logits, class_logits, masks.index, masks.labels)


@in_float32
def _pq_similarity(mask_logits: Tensor, class_logits: Tensor, index: Tensor, labels: Tensor) -> PQSimilarity:
    regions = one_hot_rows(index.flatten(1), labels.shape[1], mask_logits.dtype, with_void=True)
    overlaps = softmax_overlaps(mask_logits, regions, tuple(index.shape[-2:]))
    on_void, inside = overlaps[:, :, 0], overlaps[:, :, 1:]
    labelled_area = inside.sum(dim=2)  # the masks partition the labelled pixels
    mean_area = (labelled_area[:, :, None] + regions[:, 1:].sum(dim=2)[:, None]) / 2
    probability = class_logits.softmax(dim=2)
    columns = labels.clamp(min=0)[:, None].expand(-1, probability.shape[1], -1)
    return PQSimilarity(
        dice=inside / (mean_area + EPSILON),
        class_probability=probability.gather(2, columns),
        void_share=on_void / (labelled_area + on_void + EPSILON),
    )


@dataclass(frozen=True)
class PQWeights:
    """What a matching makes of a similarity.

    Attributes:
        of_class: (B, N), the dice of matched queries, the void share of the others, at least 1e-5.
        of_mask: (B, G), the class probability of the matched query, at least 1e-5; 0 for rows without one.
    """

    of_class: Tensor
    of_mask: Tensor


@torch.no_grad()
def pq_weights(similarity: PQSimilarity, matching: Tensor) -> PQWeights:
    """Args: matching: (B, G) query of each row or -1."""
    query = matching.clamp(min=0)[:, None]
    dice = similarity.dice.gather(1, query)[:, 0]
    probability = similarity.class_probability.gather(1, query)[:, 0]
    matched_dice = rows_to_queries(dice, matching, similarity.void_share.shape[1], -1.0)
    return PQWeights(
        of_class=torch.where(matched_dice < 0, similarity.void_share, matched_dice).clamp(min=SMALLEST_WEIGHT),
        of_mask=torch.where(matching < 0, 0.0, probability.clamp(min=SMALLEST_WEIGHT)),
    )


def class_loss(
    class_logits: Tensor, labels: Tensor, matching: Tensor, weights: Tensor, label_mix: LabelMix | None = None
) -> Tensor:
    """The class term: softmax cross-entropy of every query, matched ones to their segment's class, others to no-object.

    Per image it is the mean over the queries whose loss is not zero, times 0.75 (matched) or 0.25 and the weights.

    Args:
        class_logits: (B, N, K+1).
        labels: (B, G) class of each row.
        matching: (B, G) query of each row or -1.
        weights: (B, N), constants.
        label_mix: softens the target of matched queries; no-object gets none of the soft part.

    Returns:
        Scalar, mean over the images.
    """
    soft, mix = (None, 0.0) if label_mix is None else (label_mix.soft, label_mix.weight)
    return _class_loss(class_logits, labels, matching, weights, soft, mix)


@in_float32
def _class_loss(class_logits: Tensor, labels: Tensor, matching: Tensor, weights: Tensor, soft, mix: float) -> Tensor:
    no_object = class_logits.shape[2] - 1
    target = rows_to_queries(labels, matching, class_logits.shape[1], no_object)
    matched = target != no_object
    log_probability = class_logits.log_softmax(dim=2)
    loss = -log_probability.gather(2, target[:, :, None])[:, :, 0]
    if soft is not None:
        softened = (1 - mix) * loss - mix * (soft * log_probability[:, :, :-1]).sum(dim=2)
        loss = torch.where(matched, softened, loss)
    share = torch.where(matched, MATCHED_SHARE, UNMATCHED_SHARE)
    return mean_of_nonzero(share * weights * loss).mean()


@in_float32
def dice_loss(probabilities: Tensor, one_hot: Tensor) -> Tensor:
    """1 - (2 |P T| + 1) / (|P| + |T| + 1) of each pair of masks.

    Args:
        probabilities: (B, G, P) 0..1, already zero where pixels do not count.
        one_hot: (B, G, P) of 0 and 1.

    Returns:
        (B, G)
    """
    inside = (probabilities * one_hot).sum(dim=2)
    return 1 - (2 * inside + 1) / (probabilities.sum(dim=2) + one_hot.sum(dim=2) + 1)


def mean_of_nonzero(values: Tensor) -> Tensor:
    """(B, M) to (B,): the sum over the number of elements that are not zero, at least one."""
    return values.sum(dim=1) / (values != 0).sum(dim=1).clamp(min=1)
