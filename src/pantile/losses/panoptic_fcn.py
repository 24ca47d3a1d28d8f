"""The criterion of Panoptic FCN (Li et al. 2021, arXiv 2012.00720, section 3.4).

    loss = focal(thing heat maps) / pairs + focal(stuff maps, mean over positions) / B
         + 3 (weighted dice of things / pairs + dice of stuff / stuff pairs)

A pair is an object and a level of the pyramid on which it trains, or a stuff class and a level. The queries of a pair
are chosen here, before techniques see the output (``choose_queries``):

    object          the k positions inside its mask that score its class highest; k masks p_k, weights w_k = s_k / sum s
    stuff class     one kernel, pooled over its region on the level
    dice of a pair  sum_k w_k (1 - 2 sum p_k t / (sum p_k^2 + sum t^2)), t soft at the prediction's resolution

The gradient passes through the weights, too, so positions learn which of them make good masks. Kernels are not fused in
training. All things together have a channel among the stuff maps; where they do, a mask is made of its pooled kernel as
for a stuff class. It answers for no row of the targets, so it is no query and techniques do not see it.

Void, padding and crowd are negatives of masks and, unless ``ignore_void``, of maps, as in the original: it gives them
no class and asks every position. Deviations from the original: those of ``position_targets``; denominators are means
over processes; an object with fewer than k positions on a level has fewer kernels (there, kernels of weight 0).
"""

from dataclasses import dataclass, replace
from typing import Literal

import torch
import torch.distributed as dist
from torch import Tensor
from torch.nn import functional as F

from pantile.contracts.assignment import Assignment
from pantile.contracts.errors import UserError
from pantile.contracts.outputs import LabelMix, MaskOutput
from pantile.contracts.precision import in_float32
from pantile.contracts.targets import PanopticTargets
from pantile.contracts.taxonomy import Taxonomy
from pantile.losses.criterion import CRITERIA, Criterion
from pantile.losses.kernel_choice import (
    are_finite,
    class_logits_of,
    embeddings_of,
    find_candidates,
    first_candidates,
    flatten_levels,
    pooled_kernels,
    split_levels,
    wait_for_queries,
)
from pantile.losses.position_targets import PositionTargets, position_targets, stuff_channels, thing_heat
from pantile.losses.result import CriterionResult
from pantile.losses.squared_dice import squared_dice


@dataclass
class PanopticFCNCriterionConfig:
    """Defaults are those of the original on COCO.

    Attributes:
        kind: names this criterion among those of other families.
        level_ranges: for each level, finest first, the smallest and the largest root of a box's area, in pixels of the
            input, both included. Cityscapes: (1, 128), (64, 256), (128, 512), (256, 1024), (512, 2048); Mapillary
            Vistas the same with (512, 4096).
        kernels_per_object: k, on each level: 7; 5 for the 600-pixel models, 3 for 400 and 512 pixels and Mapillary.
        position_weight: of both position terms.
        segment_weight: of both mask terms; 4 on Cityscapes.
        focal_alpha: 0..1, weight of positives.
        focal_gamma: >= 0, exponent of the focal loss.
        min_overlap: 0..1, of boxes whose corners lie within the radius of the Gaussians.
        inside_threshold: 0..1: a position is inside a mask that covers more than this share of it.
        ignore_void: positions of which less than a half is a segment count in no position term. The original asks
            them.
        crowd_as_things: crowd of a thing class belongs to the region of all things, as in the original.
    """

    kind: Literal["panoptic_fcn"] = "panoptic_fcn"
    level_ranges: tuple[tuple[float, float], ...] = ((1, 64), (32, 128), (64, 256), (128, 512), (256, 2048))
    kernels_per_object: int = 7
    position_weight: float = 1.0
    segment_weight: float = 3.0
    focal_alpha: float = 0.25
    focal_gamma: float = 2.0
    min_overlap: float = 0.7
    inside_threshold: float = 0.1
    ignore_void: bool = False
    crowd_as_things: bool = True

    def __post_init__(self) -> None:
        if not self.level_ranges:
            raise UserError("criterion.level_ranges is empty: give a range of sizes for each level of the model.")
        for bounds in self.level_ranges:
            if len(bounds) != 2 or bounds[0] > bounds[1]:
                raise UserError(
                    f"criterion.level_ranges has the entry {bounds}: give the smallest and the largest size."
                )
        if self.kernels_per_object < 1:
            raise UserError(
                f"criterion.kernels_per_object is {self.kernels_per_object}: give a positive number of kernels."
            )
        for name in ("focal_alpha", "min_overlap", "inside_threshold"):
            if not 0 <= getattr(self, name) <= 1:
                raise UserError(f"criterion.{name} is {getattr(self, name):g}: give a value from 0 to 1.")
        if self.focal_gamma < 0:
            raise UserError(f"criterion.focal_gamma is {self.focal_gamma:g}: give an exponent of 0 or more.")


@CRITERIA.register("panoptic_fcn")
class PanopticFCNCriterion(Criterion):
    """See the module's docstring and ``PanopticFCNCriterionConfig``.

    Args:
        config: see there.
        is_thing: (K,) bool per class.
    """

    config_class = PanopticFCNCriterionConfig

    def __init__(self, config: PanopticFCNCriterionConfig, is_thing: Tensor) -> None:
        super().__init__()
        self.config = config
        self.is_thing = is_thing.cpu()  # not a buffer: sizes depend on it, and the device shall not be waited for
        self._made: tuple[PanopticTargets, PositionTargets] | None = None  # by choose_queries, for the next forward

    @classmethod
    def create(cls, config: PanopticFCNCriterionConfig, taxonomy: Taxonomy) -> "PanopticFCNCriterion":
        return cls(config, taxonomy.is_thing())

    def choose_queries(self, output: MaskOutput, targets: PanopticTargets) -> MaskOutput:
        """The output with a query for each kernel of each pair.

        Args:
            output: of a model in training mode, with ``positions`` and without queries.
            targets: of the same B images, at the input's resolution.

        Returns:
            The output with N queries, the longest image's; the device is waited for once, to learn N.

            - ``class_logits`` (B, N, K+1): what the maps say at the query's position, or their mean over its region.
              The last column, no-object, is 0, so that for one class a softmax is the maps' sigmoid.
            - ``query_embed`` (B, N, D), 0 for a query without a row; ``mask_logits`` (B, N, h, w), its product with
              ``pixel_embed``.
            - ``assignment``: weights of a thing's row: w_k over the number of levels that have kernels of it; of a
              stuff class: 1 over its number of levels. They sum to 1 per row that has a query, and have a gradient.
            - ``positions.chosen``.

        Raises:
            FloatingPointError: a map of the output is not finite.
            UserError: the config's ranges are not as many as the model's levels.
        """
        maps = output.positions
        truth = self._truth(output, targets)
        self._made = (targets, truth)
        things, stuff, thing_kernels, stuff_kernels = (
            flatten_levels(m) for m in (maps.thing_logits, maps.stuff_logits, maps.thing_kernels, maps.stuff_kernels)
        )
        regions = truth.stuff > 0
        candidates = find_candidates(
            things, truth, regions, self.is_thing, self.config.kernels_per_object, self.config.inside_threshold
        )
        finite = are_finite(things, stuff, thing_kernels, stuff_kernels, output.pixel_embed)
        queries = wait_for_queries(candidates.valid, finite)
        candidates = first_candidates(candidates, queries)
        chosen = torch.where(candidates.valid, candidates.chosen, -1)
        embed = embeddings_of(thing_kernels, stuff_kernels, maps.stuff_bias, regions, truth.sizes, candidates)
        size = output.pixel_embed.shape[-2:]
        return replace(
            output,
            class_logits=class_logits_of(things, stuff, regions, truth.sizes, candidates, self.is_thing),
            query_embed=embed,
            mask_logits=torch.bmm(embed, output.pixel_embed.flatten(2)).unflatten(2, size),
            positions=replace(maps, chosen=chosen),
            assignment=Assignment(torch.where(candidates.valid, candidates.rows, -1), candidates.weights),
        )

    def forward(
        self, output: MaskOutput, targets: PanopticTargets, generator: torch.Generator | None = None
    ) -> CriterionResult:
        """Computes all terms. Each stays connected to the output, whatever the targets.

        Args:
            output: what ``choose_queries`` made, or a technique out of it; an output without queries gets them first.
                With ``label_mix`` the heat maps at the chosen positions become a mixture with the soft labels of
                things, their mean where several queries share a position; queries of stuff are not softened.
            targets: of the same images.
            generator: not used, nothing is drawn.

        Returns:
            ``losses``: "position_things", "position_stuff", "mask_things", "mask_stuff", each weighted. Things are
            divided by the number of pairs of an object and a level (also where no position is inside the mask), stuff
            by that of a class and a level, all things together being one: over the batch, averaged over processes, at
            least 1. "position_stuff" is a mean over the images of the process.
            ``assignment``: the output's.
            ``counts``: "segments" and "dropped_segments" of the batch (visible, but without a query: too small, or of a
            size that no level takes), and "object_levels", the pairs of things.
        """
        if output.assignment is None:
            output = self.choose_queries(output, targets)
        config, maps = self.config, output.positions
        truth = self._truth_of_queries(output, targets)
        object_levels = truth.pairs.sum()
        regions = truth.stuff > 0
        exist = torch.stack([r.any(dim=2) for r in split_levels(regions, truth.sizes)], dim=1)  # (B, L, C)
        per_thing, per_stuff = _per_process(torch.stack([object_levels, exist.sum()]))

        asked = ~truth.void if config.ignore_void else torch.ones_like(truth.void)
        heat = thing_heat(truth, self.is_thing)
        if output.label_mix is not None:
            heat = _mixed(heat, output.label_mix, maps.chosen, output.assignment.rows, self.is_thing)
        things = _focal_sum(flatten_levels(maps.thing_logits), heat, asked, config.focal_alpha, config.focal_gamma)
        share = torch.cat([asked.new_full((h * w,), 1 / (h * w), dtype=torch.float64) for h, w in truth.sizes])
        stuff = _focal_sum(
            flatten_levels(maps.stuff_logits), truth.stuff, asked * share, config.focal_alpha, config.focal_gamma
        )

        rows = output.assignment.rows
        losses = squared_dice(output.mask_logits, truth.masks, rows)
        at_position = maps.chosen >= 0
        weights = _weights_of_pairs(output.assignment, maps.chosen, truth)
        mask_things = (losses * torch.where(at_position, weights, 0)).sum()
        mask_stuff = (losses * ((rows >= 0) & ~at_position)).sum()
        if stuff_channels(self.is_thing, truth.regions.shape[1])[1]:
            kernels = pooled_kernels(flatten_levels(maps.stuff_kernels), maps.stuff_bias, regions[:, :1], truth.sizes)[
                :, :, 0
            ]
            logits = torch.bmm(kernels, output.pixel_embed.flatten(2)).unflatten(2, output.pixel_embed.shape[-2:])
            together = squared_dice(logits, truth.regions[:, :1], exist[:, :, 0].long() - 1)
            mask_stuff = mask_stuff + (together * exist[:, :, 0]).sum()

        row_has_query = (rows[:, :, None] == torch.arange(truth.labels.shape[1], device=rows.device)).any(dim=1)
        return CriterionResult(
            losses={
                "position_things": config.position_weight * things / per_thing,
                "position_stuff": config.position_weight * stuff / len(targets),
                "mask_things": config.segment_weight * mask_things / per_thing,
                "mask_stuff": config.segment_weight * mask_stuff / per_stuff,
            },
            assignment=output.assignment,
            counts={
                "segments": truth.visible.sum(),
                "dropped_segments": (truth.visible & ~row_has_query).sum(),
                "object_levels": object_levels,
            },
        )

    def _truth_of_queries(self, output: MaskOutput, targets: PanopticTargets) -> PositionTargets:
        """What the queries were chosen with, if that was the last thing done; made again otherwise."""
        made, self._made = self._made, None
        if made is not None and made[0] is targets:
            truth = made[1]
            sizes = tuple(tuple(m.shape[-2:]) for m in output.positions.thing_logits)
            asked = (output.pixel_embed.shape[-2:], output.positions.stuff_logits[0].shape[1], sizes)
            if asked == (truth.masks.shape[-2:], truth.regions.shape[1], truth.sizes):
                return truth
        return self._truth(output, targets)

    def _truth(self, output: MaskOutput, targets: PanopticTargets) -> PositionTargets:
        config, maps = self.config, output.positions
        if len(config.level_ranges) != len(maps.thing_logits):
            raise UserError(
                f"criterion.level_ranges has {len(config.level_ranges)} ranges, but the model has "
                f"{len(maps.thing_logits)} levels: give one range for each."
            )
        return position_targets(
            targets,
            self.is_thing,
            maps.stuff_logits[0].shape[1],
            tuple(output.pixel_embed.shape[-2:]),
            [tuple(m.shape[-2:]) for m in maps.thing_logits],
            config.level_ranges,
            config.min_overlap,
            config.crowd_as_things,
        )


def _per_process(counts: Tensor) -> Tensor:
    """(n,) integers of this process to float32 means over processes, at least 1, in one message."""
    counts = counts.float()
    if dist.is_available() and dist.is_initialized():
        dist.all_reduce(counts)
        counts = counts / dist.get_world_size()
    return counts.clamp(min=1)


@in_float32
def _focal_sum(logits: Tensor, target: Tensor, weight: Tensor, alpha: float, gamma: float) -> Tensor:
    """Scalar: focal losses of (B, C, P) logits and soft targets, weighted by (B, P), summed."""
    target = target.to(logits.dtype)
    probability = logits.sigmoid()
    wrong = probability + target - 2 * probability * target  # 1 - (p t + (1 - p) (1 - t))
    entropy = F.binary_cross_entropy_with_logits(logits, target, reduction="none")
    loss = (1 - alpha + (2 * alpha - 1) * target) * wrong.clamp(min=0) ** gamma * entropy
    return (loss * weight[:, None].to(loss.dtype)).sum()


def _mixed(heat: Tensor, mix: LabelMix, chosen: Tensor, rows: Tensor, is_thing: Tensor) -> Tensor:
    """(B, T, P) heat maps with soft labels mixed in where queries of things come from."""
    batch, count, positions = heat.shape
    things = is_thing.nonzero()[:, 0].to(heat.device)
    soft = mix.soft.index_select(2, things).float().transpose(1, 2)  # (B, T, N)
    index = torch.where((chosen >= 0) & (rows >= 0), chosen, positions)  # the last place is for all others
    total = heat.new_zeros(batch, count, positions + 1).scatter_add(2, index[:, None].expand_as(soft), soft)
    times = heat.new_zeros(batch, positions + 1).scatter_add(1, index, heat.new_ones(()).expand(index.shape))
    total, times = total[..., :positions], times[:, None, :positions]
    return torch.where(times > 0, (1 - mix.weight) * heat + mix.weight * total / times.clamp(min=1), heat)


def _weights_of_pairs(assignment: Assignment, chosen: Tensor, truth: PositionTargets) -> Tensor:
    """(B, N): the weights of a row's queries on one level, made to sum to 1; 0 for queries without a position."""
    batch, rows = truth.labels.shape
    levels = len(truth.sizes)
    ends = torch.tensor([h * w for h, w in truth.sizes]).cumsum(0).to(chosen.device, non_blocking=True)
    pair = assignment.rows.clamp(min=0) * levels + torch.bucketize(chosen, ends, right=True)
    weights = torch.where((chosen >= 0) & (assignment.rows >= 0), assignment.weights, 0)
    total = weights.new_zeros(batch, rows * levels).scatter_add(1, pair, weights).gather(1, pair)
    return weights / torch.where(total > 0, total, 1)
