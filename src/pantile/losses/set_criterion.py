"""The criterion of Mask2Former (Cheng et al. 2022, arXiv 2112.01527) and MaskFormer (arXiv 2107.06278).

    loss = sum over outputs [ 2 class + 5 cross-entropy + 5 dice ]        Mask2Former, at sampled points
    loss = sum over outputs [ 1 class + 20 focal + 1 dice ]               MaskFormer, at all pixels

Every output, the final one and each decoder layer's, is matched on its own and supervised alike. A matched query is
compared with its own segment only; masks do not compete.

Void and crowd have no mask, so their pixels, padding too, are negatives of every mask, as in the originals: nothing is
ignored. Prediction and ground truth share their borders (pixel centres at (i + 0.5) / size) at any size.

Of a clip (``PanopticTargets.frames``), a query answers for a segment in all frames. Costs compare the masks of all
frames at once, at points that are the same in each; the mask and dice terms take each frame as a mask of its own, also
where the segment is not seen, and are divided by the number of segments of clips, so that they grow with the length of
a clip (Cheng et al. 2021, arXiv 2112.10764, and its code).

Deviations from the originals: ground truth that the crop removed is dropped (``drop_removed_targets``), which raises
Mapillary Vistas from 36.3 to 41.5 PQ (de Geus and Dubbelman, Intra-Batch Supervision, WACV 2023, section 4); all
outputs of a step are matched on the same random points.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

import torch
import torch.distributed as dist
from torch import Tensor
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from pantile.contracts.assignment import Assignment, one_to_one
from pantile.contracts.errors import UserError
from pantile.contracts.outputs import LabelMix, MaskOutput
from pantile.contracts.precision import in_float32
from pantile.contracts.targets import MaskTargets, PanopticTargets
from pantile.losses.binary_masks import mask_and_dice_costs, mask_and_dice_losses
from pantile.losses.criterion import CRITERIA, Criterion
from pantile.losses.matching import hungarian, rows_to_queries
from pantile.losses.point_sampling import (
    draw_points,
    draw_uncertain_points,
    sample_all_rows,
    sample_maps,
    sample_own_rows,
)
from pantile.losses.result import CriterionResult

_PIXELS_AT_A_TIME = 2**21  # of MaskFormer's full-size masks; they are computed again in the backward pass


@dataclass
class SetCriterionConfig:
    """Defaults are those of Mask2Former; ``maskformer_criterion`` gives MaskFormer's.

    Attributes:
        kind: names this criterion among those of other families.
        class_weight: of the class term and of the class cost.
        mask_weight: of the mask term and cost, cross-entropy or focal.
        dice_weight: of the dice term and cost.
        no_object_weight: of unmatched queries in the weighted mean of the class term.
        mask_loss: "points_bce" compares masks at random points by cross-entropy (Mask2Former); "focal" compares whole
            masks at the targets' resolution by focal loss (MaskFormer). The fields below need "points_bce".
        points: per mask.
        oversample: candidates per kept point, >= 1.
        importance: 0..1, share of the points that are the most uncertain candidates.
        clips: "whole", one matching for a clip and its segments (Mask2Former for video); "frames", each frame is an
            image of its own, as in VidEoMT's code.
        drop_removed_targets: False also matches segments of the table without a pixel, as the originals do with what
            the random crop removed.
    """

    kind: Literal["set"] = "set"
    class_weight: float = 2.0
    mask_weight: float = 5.0
    dice_weight: float = 5.0
    no_object_weight: float = 0.1
    mask_loss: Literal["points_bce", "focal"] = "points_bce"
    points: int = 12544
    oversample: float = 3.0
    importance: float = 0.75
    clips: Literal["whole", "frames"] = "whole"
    drop_removed_targets: bool = True

    def __post_init__(self) -> None:
        if self.points < 1:
            raise UserError(f"criterion.points is {self.points}: give a positive number of points.")
        if self.oversample < 1:
            raise UserError(f"criterion.oversample is {self.oversample}: give 1 or more candidates per point.")
        if not 0 <= self.importance <= 1:
            raise UserError(f"criterion.importance is {self.importance}: give a fraction from 0 to 1.")


def maskformer_criterion() -> SetCriterionConfig:
    """MaskFormer: whole masks, focal loss."""
    return SetCriterionConfig(class_weight=1.0, mask_weight=20.0, dice_weight=1.0, mask_loss="focal")


class _Matches(NamedTuple):
    """Who is matched with whom; built from what the host knows, so the device is waited for once.

    Attributes:
        query_of_row: (L, B, G) int64 for L outputs, -1 where there is none.
        pairs: (L, 3, M) int64: image, row and query of each match of an output; M is the same for all outputs.
        segments: rows with a mask in the batch, matched or not.
    """

    query_of_row: Tensor
    pairs: Tensor
    segments: int


@CRITERIA.register("set")
class SetCriterion(Criterion):
    """See the module's docstring and ``SetCriterionConfig``."""

    config_class = SetCriterionConfig

    def __init__(self, config: SetCriterionConfig | None = None) -> None:
        super().__init__()
        self.config = config or SetCriterionConfig()

    def forward(
        self, output: MaskOutput, targets: PanopticTargets, generator: torch.Generator | None = None
    ) -> CriterionResult:
        """Computes all terms.

        Args:
            output: the final output, with its decoder layers in ``layers``. Any of them may carry ``label_mix``.
            targets: of the same B images, at the input's resolution or any other.
            generator: draws the points, on the device of the outputs.

        Returns:
            ``losses``: "class", "mask", "dice", each weighted and summed over outputs. The class term is a weighted
            mean over the queries of the batch; the others are sums over matches divided by the number of segments
            of the batch (one of a clip counts once), averaged over processes and at least 1. All depend on every
            output, also without segments.
            ``assignment``: of all outputs.
            ``counts``: "segments" and "dropped_segments" (those beyond the number of queries) of the batch.

        Raises:
            FloatingPointError: an output is not finite.
        """
        config = self.config
        if config.clips == "frames":
            targets = targets.as_images()
        outputs = (*output.layers, output)
        masks = self._masks(targets)
        matches = self._match(outputs, masks, targets, generator)
        denominator = segments_per_process(matches.segments, output.mask_logits.device)

        classes, mask_terms, dice_terms = [], [], []
        for each, query_of_row, pairs in zip(outputs, matches.query_of_row, matches.pairs, strict=True):
            classes.append(
                weighted_class_loss(
                    each.class_logits, masks.labels, query_of_row, config.no_object_weight, each.label_mix
                )
            )
            image, row, query = pairs
            logits = each.mask_logits[image, query]
            if config.mask_loss == "points_bce":
                mask, dice = self._at_points(logits, masks.index, image, row, generator)
            else:
                mask, dice = _at_pixels(logits, masks.index, image, row)
            mask_terms.append(mask.sum() / denominator)
            dice_terms.append(dice.sum() / denominator)

        matched = matches.pairs.shape[2] // targets.frames
        counts = torch.tensor([matches.segments, matches.segments - matched]).to(denominator.device, non_blocking=True)
        return CriterionResult(
            losses={
                "class": config.class_weight * torch.stack(classes).sum(),
                "mask": config.mask_weight * torch.stack(mask_terms).sum(),
                "dice": config.dice_weight * torch.stack(dice_terms).sum(),
            },
            assignment=_assignment(matches.query_of_row, output.num_queries),
            counts={"segments": counts[0], "dropped_segments": counts[1]},
        )

    def _masks(self, targets: PanopticTargets) -> MaskTargets:
        """At full resolution, as a map of rows."""
        masks = targets.masks_at(tuple(targets.ids.shape[-2:]))
        if self.config.drop_removed_targets:
            return masks
        return replace(masks, labels=torch.where(targets.crowd, -1, targets.classes))

    @torch.no_grad()
    def _match(
        self,
        outputs: Sequence[MaskOutput],
        masks: MaskTargets,
        targets: PanopticTargets,
        generator: torch.Generator | None,
    ) -> _Matches:
        """The cheapest assignment of each output; the costs of all reach the host in one transfer."""
        frames, rows = targets.frames, masks.labels.shape[1]
        clips, device = len(targets) // frames, masks.labels.device
        points = truth = None
        if self.config.mask_loss == "points_bce":
            points = draw_points(clips, self.config.points, outputs[-1].mask_logits, generator)
            points = points.repeat_interleave(frames, dim=0)
            truth = sample_all_rows(masks.index, rows, points)
        costs = torch.cat([self._cost(each, masks, points, truth, frames) for each in outputs])
        valid = masks.present[::frames].repeat(len(outputs), 1)
        host = torch.cat([costs, valid[:, None].to(costs.dtype)], dim=1).cpu()
        try:
            matching = hungarian(host[:, :-1], host[:, -1] > 0, list(targets.names[::frames]) * len(outputs))
        except FloatingPointError as error:
            raise FloatingPointError(f"{error} {_not_finite(outputs)}") from error
        matching = matching.view(len(outputs), clips, rows).repeat_interleave(frames, dim=1)
        layer, image, row = (matching >= 0).nonzero(as_tuple=True)
        pairs = torch.stack([image, row, matching[layer, image, row]])
        pairs = pairs.view(3, len(outputs), image.numel() // len(outputs)).transpose(0, 1)
        return _Matches(
            matching.to(device, non_blocking=True),
            pairs.to(device, non_blocking=True),
            int((host[:clips, -1] > 0).sum()),
        )

    def _cost(
        self, output: MaskOutput, masks: MaskTargets, points: Tensor | None, truth: Tensor | None, frames: int
    ) -> Tensor:
        """(B / T, N, G) float32; columns of rows without a mask mean nothing."""
        config = self.config
        if points is not None:
            logits = sample_maps(output.mask_logits, points)
            mask, dice = mask_and_dice_costs(_by_clip(logits, frames), _by_clip(truth, frames), "cross_entropy")
        else:
            index = nearest_pixels(masks.index, tuple(output.mask_logits.shape[-2:]))
            truth = replace(masks, index=index).one_hot()
            logits = output.mask_logits.flatten(2)
            truth = truth.to(_wide(logits.dtype))
            mask, dice = mask_and_dice_costs(_by_clip(logits, frames), _by_clip(truth, frames), "focal")
        probability = output.class_logits.to(mask.dtype).softmax(dim=2)
        if frames > 1:
            probability = probability.unflatten(0, (-1, frames)).mean(dim=1)
        columns = masks.labels[::frames].clamp(min=0)[:, None].expand(-1, output.num_queries, -1)
        return (
            config.mask_weight * mask + config.dice_weight * dice - config.class_weight * probability.gather(2, columns)
        )

    def _at_points(
        self, logits: Tensor, index: Tensor, image: Tensor, row: Tensor, generator: torch.Generator | None
    ) -> tuple[Tensor, Tensor]:
        """(M, h, w) logits of the matched queries to the two losses of each pair, (M,)."""
        config = self.config
        points = draw_uncertain_points(logits, config.points, config.oversample, config.importance, generator)
        sampled = sample_maps(logits[:, None], points)[:, 0]
        return mask_and_dice_losses(sampled, sample_own_rows(index, image, row, points), "cross_entropy")


def _by_clip(values: Tensor, frames: int) -> Tensor:
    """(B, R, P) values at P points of each frame to (B / T, R, T P), so that a clip is one larger image."""
    if frames == 1:
        return values
    return values.unflatten(0, (-1, frames)).transpose(1, 2).flatten(2)


def _assignment(query_of_row: Tensor, num_queries: int) -> Assignment:
    """(L, B, G) query of each row in each output, the final one last."""
    *layers, final = (one_to_one(matching, num_queries) for matching in query_of_row)
    return replace(final, layers=tuple(layers))


def _at_pixels(logits: Tensor, index: Tensor, image: Tensor, row: Tensor) -> tuple[Tensor, Tensor]:
    """The same at all pixels, some masks at a time so that few of them exist at full resolution."""
    at_a_time = max(1, _PIXELS_AT_A_TIME // index[0].numel())
    parts = [
        checkpoint(_dense_losses, *part, index, use_reentrant=False, preserve_rng_state=False)
        for part in zip(*(t.split(at_a_time) for t in (logits, image, row)), strict=True)
    ]
    mask, dice = zip(*parts, strict=True)
    return torch.cat(mask), torch.cat(dice)


@in_float32
def _dense_losses(logits: Tensor, image: Tensor, row: Tensor, index: Tensor) -> tuple[Tensor, Tensor]:
    size = tuple(index.shape[-2:])
    resized = F.interpolate(logits[:, None], size, mode="bilinear", align_corners=False).flatten(1)
    own = index[image] == row[:, None, None]
    return mask_and_dice_losses(resized, own.flatten(1).to(resized.dtype), "focal")


def weighted_class_loss(
    class_logits: Tensor,
    labels: Tensor,
    matching: Tensor,
    no_object_weight: float,
    label_mix: LabelMix | None = None,
) -> Tensor:
    """Cross-entropy of every query, matched ones to their segment's class, the others to no-object.

    Args:
        class_logits: (B, N, K+1).
        labels: (B, G) class of each row.
        matching: (B, G) query of each row or -1.
        no_object_weight: of an unmatched query; a matched one weighs 1.
        label_mix: softens the target of matched queries; no-object gets none of the soft part.

    Returns:
        Scalar: the weighted sum over the queries of the batch divided by the sum of weights.
    """
    soft, mix = (None, 0.0) if label_mix is None else (label_mix.soft, label_mix.weight)
    return _class_loss(class_logits, labels, matching, no_object_weight, soft, mix)


@in_float32
def _class_loss(
    class_logits: Tensor, labels: Tensor, matching: Tensor, no_object_weight: float, soft: Tensor | None, mix: float
) -> Tensor:
    no_object = class_logits.shape[2] - 1
    target = rows_to_queries(labels, matching, class_logits.shape[1], no_object)
    matched = target != no_object
    log_probability = class_logits.log_softmax(dim=2)
    loss = -log_probability.gather(2, target[:, :, None])[:, :, 0]
    if soft is not None:
        softened = (1 - mix) * loss - mix * (soft * log_probability[:, :, :-1]).sum(dim=2)
        loss = torch.where(matched, softened, loss)
    weight = torch.where(matched, 1.0, no_object_weight).to(loss.dtype)
    return (weight * loss).sum() / weight.sum().clamp(min=torch.finfo(loss.dtype).tiny)


def segments_per_process(segments: int, device: torch.device) -> Tensor:
    """Scalar float32: the mean number of segments in the batches of all processes, at least 1."""
    count = torch.tensor(float(segments)).to(device, non_blocking=True)
    if dist.is_available() and dist.is_initialized():
        dist.all_reduce(count)
        count = count / dist.get_world_size()
    return count.clamp(min=1)


def nearest_pixels(index: Tensor, size: tuple[int, int]) -> Tensor:
    """(B, H, W) to (B, *size): output pixel i reads floor(i * H / h)."""
    for dim, wanted in zip((1, 2), size, strict=True):
        steps = torch.arange(wanted, device=index.device)
        index = index.index_select(dim, steps * index.shape[dim] // wanted)
    return index


def _wide(dtype: torch.dtype) -> torch.dtype:
    return torch.float64 if dtype == torch.float64 else torch.float32


def _not_finite(outputs: Sequence[MaskOutput]) -> str:
    broken = [
        what
        for what, tensors in (
            ("class logits", [o.class_logits for o in outputs]),
            ("mask logits", [o.mask_logits for o in outputs]),
        )
        if not all(bool(t.isfinite().all()) for t in tensors)
    ]
    return f"Not finite: {' and '.join(broken) or 'their product'}."
