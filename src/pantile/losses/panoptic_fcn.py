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

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

import torch
import torch.distributed as dist
from torch import Tensor
from torch.nn import functional as F

from pantile.contracts.assignment import Assignment
from pantile.contracts.errors import UserError
from pantile.contracts.outputs import LabelMix, MaskOutput
from pantile.contracts.targets import PanopticTargets
from pantile.losses.criterion import Criterion
from pantile.losses.position_targets import PositionTargets, at_levels, position_targets, stuff_channels, thing_heat
from pantile.losses.precision import in_float32
from pantile.losses.result import CriterionResult

_PIXELS_AT_A_TIME = 2**21  # of masks in the dice loss
_NO_SCORE = -1e30  # a logit that never wins and, unlike -inf, has a softmax when it is alone


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


class _Candidates(NamedTuple):
    """Queries that might be, M of them per image, in a fixed place each; those of weight 0 are none.

    Attributes:
        valid: (B, M) bool.
        rows: (B, M) int64.
        weights: (B, M), with a gradient.
        chosen: (B, M) int64 position of the kernel, -1 for a pooled one.
        pooled: (B, M) int64 index of the kernel into all levels' channels, -1 for one at a position.
    """

    valid: Tensor
    rows: Tensor
    weights: Tensor
    chosen: Tensor
    pooled: Tensor


class PanopticFCNCriterion(Criterion):
    """See the module's docstring and ``PanopticFCNCriterionConfig``.

    Args:
        config: see there.
        is_thing: (K,) bool per class.
    """

    def __init__(self, config: PanopticFCNCriterionConfig, is_thing: Tensor) -> None:
        super().__init__()
        self.config = config
        self.is_thing = is_thing.cpu()  # not a buffer: sizes depend on it, and the device shall not be waited for
        self._made: tuple[PanopticTargets, PositionTargets] | None = None  # by choose_queries, for the next forward

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
            _flat(m) for m in (maps.thing_logits, maps.stuff_logits, maps.thing_kernels, maps.stuff_kernels)
        )
        regions = truth.stuff > 0
        candidates = _candidates(things, truth, regions, self.is_thing, self.config)
        finite = _finite(things, stuff, thing_kernels, stuff_kernels, output.pixel_embed)
        queries = _wait_for_queries(candidates.valid, finite)
        candidates = _first(candidates, queries)
        chosen = torch.where(candidates.valid, candidates.chosen, -1)
        embed = _embeddings(thing_kernels, stuff_kernels, maps.stuff_bias, regions, truth.sizes, candidates)
        size = output.pixel_embed.shape[-2:]
        return replace(
            output,
            class_logits=_class_logits(things, stuff, regions, truth.sizes, candidates, self.is_thing),
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
        exist = torch.stack([r.any(dim=2) for r in _split(regions, truth.sizes)], dim=1)  # (B, L, C)
        per_thing, per_stuff = _per_process(torch.stack([object_levels, exist.sum()]))

        asked = ~truth.void if config.ignore_void else torch.ones_like(truth.void)
        heat = thing_heat(truth, self.is_thing)
        if output.label_mix is not None:
            heat = _mixed(heat, output.label_mix, maps.chosen, output.assignment.rows, self.is_thing)
        things = _focal_sum(_flat(maps.thing_logits), heat, asked, config.focal_alpha, config.focal_gamma)
        share = torch.cat([asked.new_full((h * w,), 1 / (h * w), dtype=torch.float64) for h, w in truth.sizes])
        stuff = _focal_sum(_flat(maps.stuff_logits), truth.stuff, asked * share, config.focal_alpha, config.focal_gamma)

        rows = output.assignment.rows
        losses = _dice(output.mask_logits, truth.masks, rows)
        at_position = maps.chosen >= 0
        weights = _weights_of_pairs(output.assignment, maps.chosen, truth)
        mask_things = (losses * torch.where(at_position, weights, 0)).sum()
        mask_stuff = (losses * ((rows >= 0) & ~at_position)).sum()
        if stuff_channels(self.is_thing, truth.regions.shape[1])[1]:
            kernels = _pooled(_flat(maps.stuff_kernels), maps.stuff_bias, regions[:, :1], truth.sizes)[:, :, 0]
            logits = torch.bmm(kernels, output.pixel_embed.flatten(2)).unflatten(2, output.pixel_embed.shape[-2:])
            together = _dice(logits, truth.regions[:, :1], exist[:, :, 0].long() - 1)
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


def _flat(levels: tuple[Tensor, ...]) -> Tensor:
    """(B, C, h_l, w_l) of each level to (B, C, P), one level after the other."""
    return torch.cat([level.flatten(2) for level in levels], dim=2)


def _split(maps: Tensor, sizes: tuple[tuple[int, int], ...]) -> tuple[Tensor, ...]:
    """The way back, but for the shape: (B, C, h_l * w_l) of each level."""
    return maps.split([h * w for h, w in sizes], dim=2)


# -- choosing queries --------------------------------------------------------------------------------------------


def _candidates(
    thing_logits: Tensor, truth: PositionTargets, regions: Tensor, is_thing: Tensor, config: PanopticFCNCriterionConfig
) -> _Candidates:
    """Things level by level, row by row, best first; then stuff level by level, channel by channel.

    Args:
        thing_logits: (B, T, P).
        regions: (B, C, P) bool.
    """
    of_things = _thing_candidates(
        thing_logits, truth, is_thing.cumsum(0) - 1, config.kernels_per_object, config.inside_threshold
    )
    of_stuff = _stuff_candidates(truth, regions, thing_logits.dtype)
    return _Candidates(*(torch.cat(pair, dim=1) for pair in zip(of_things, of_stuff, strict=True)))


@in_float32
def _thing_candidates(
    logits: Tensor, truth: PositionTargets, channel_of_class: Tensor, kernels: int, threshold: float
) -> _Candidates:
    batch, rows = truth.labels.shape
    device = logits.device
    if not logits.shape[1]:  # a taxonomy without things
        none = torch.zeros(batch, 0, dtype=torch.int64, device=device)
        return _Candidates(none.bool(), none, none.to(logits.dtype), none, none)
    channel = torch.where(truth.labels < 0, 0, channel_of_class.to(device)[truth.labels.clamp(min=0)]).clamp(min=0)
    inside = at_levels(truth.masks, truth.sizes) > threshold  # (B, R, P)
    parts, start = [], 0
    for level, (own, within) in enumerate(zip(_split(logits, truth.sizes), _split(inside, truth.sizes), strict=True)):
        own = own.gather(1, channel[..., None].expand(-1, -1, own.shape[2]))
        own = torch.where(within & truth.pairs[:, :, level, None], own, _NO_SCORE)
        scores, index = own.topk(min(kernels, own.shape[2]), dim=2)  # (B, R, k)
        valid = scores > _NO_SCORE
        # s_k / sum s without the underflow of small scores
        weights = torch.where(valid, F.logsigmoid(scores), _NO_SCORE).softmax(dim=2) * valid
        parts.append((valid, weights, index + start))
        start += own.shape[2]
    levels = torch.stack([valid.any(dim=2) for valid, _, _ in parts]).sum(dim=0).clamp(min=1)[..., None]
    row = torch.arange(rows, device=device)[None, :, None]
    return _Candidates(
        torch.cat([valid.flatten(1) for valid, _, _ in parts], dim=1),
        torch.cat([row.expand_as(valid).flatten(1) for valid, _, _ in parts], dim=1),
        torch.cat([(weights / levels).flatten(1) for _, weights, _ in parts], dim=1),
        torch.cat([index.flatten(1) for _, _, index in parts], dim=1),
        torch.cat([torch.full_like(index, -1).flatten(1) for _, _, index in parts], dim=1),
    )


def _stuff_candidates(truth: PositionTargets, regions: Tensor, dtype: torch.dtype) -> _Candidates:
    """One for each level and channel that has a region there and a row of its own."""
    batch, rows = truth.channels.shape
    count = regions.shape[1]
    row = torch.arange(rows, device=regions.device).expand(batch, -1)
    row_of_channel = torch.full((batch, count + 1), -1, device=regions.device)
    row_of_channel = row_of_channel.scatter(1, torch.where(truth.channels < 0, count, truth.channels), row)[:, :count]
    exist = torch.stack([r.any(dim=2) for r in _split(regions, truth.sizes)], dim=1)  # (B, L, C)
    valid = exist & (row_of_channel >= 0)[:, None]
    weights = valid / valid.sum(dim=1, keepdim=True).clamp(min=1)
    index = torch.arange(exist[0].numel(), device=regions.device).expand(batch, -1)
    return _Candidates(
        valid.flatten(1),
        row_of_channel[:, None].expand_as(valid).flatten(1),
        weights.flatten(1).to(torch.float64 if dtype == torch.float64 else torch.float32),
        torch.full_like(index, -1),
        index,
    )


def _finite(*tensors: Tensor) -> Tensor:
    """(len(tensors),) bool, in the order of ``_NAMES``."""
    return torch.stack([t.isfinite().all() for t in tensors])


_NAMES = ("thing logits", "stuff logits", "thing kernels", "stuff kernels", "pixel embedding")


def _wait_for_queries(valid: Tensor, finite: Tensor) -> int:
    """N of the batch, the only number that the host needs; complains of what is not finite."""
    *good, queries = torch.cat([finite.long(), valid.sum(dim=1).amax()[None]]).tolist()
    if not all(good):
        broken = [name for name, is_good in zip(_NAMES, good, strict=True) if not is_good]
        raise FloatingPointError(f"Not finite: {' and '.join(broken)}.")
    return queries


def _first(candidates: _Candidates, queries: int) -> _Candidates:
    """The valid ones first, in their order, and ``queries`` in all."""
    order = candidates.valid.int().argsort(dim=1, descending=True, stable=True)[:, :queries]
    return _Candidates(*(each.gather(1, order) for each in candidates))


@in_float32
def _embeddings(
    thing_kernels: Tensor,
    stuff_kernels: Tensor,
    stuff_bias: Tensor,
    regions: Tensor,
    sizes: tuple[tuple[int, int], ...],
    candidates: _Candidates,
) -> Tensor:
    """(B, N, D) of kernels (B, D, P), 0 for what is no query."""
    pooled = _pooled(stuff_kernels, stuff_bias, regions, sizes).flatten(1, 2)
    return _read(thing_kernels, pooled, candidates) * candidates.valid[..., None]


@in_float32
def _class_logits(
    things: Tensor,
    stuff: Tensor,
    regions: Tensor,
    sizes: tuple[tuple[int, int], ...],
    candidates: _Candidates,
    is_thing: Tensor,
) -> Tensor:
    """(B, N, K + 1) of maps (B, T, P) and (B, C, P)."""
    channel, _ = stuff_channels(is_thing, stuff.shape[1])
    column = torch.where(is_thing, is_thing.cumsum(0) - 1, things.shape[1] + channel)
    maps = torch.cat([things, stuff], dim=1).index_select(1, column.to(things.device))  # (B, K, P)
    means = [
        torch.bmm(region.to(values.dtype), values.transpose(1, 2)) / region.sum(dim=2, keepdim=True).clamp(min=1)
        for region, values in zip(_split(regions, sizes), _split(maps, sizes), strict=True)
    ]
    logits = _read(maps, torch.cat(means, dim=1), candidates) * candidates.valid[..., None]
    return F.pad(logits, (0, 1))


@in_float32
def _pooled(kernels: Tensor, bias: Tensor, regions: Tensor, sizes: tuple[tuple[int, int], ...]) -> Tensor:
    """(B, D, P) kernels, summed over (B, C, P) regions and divided by the whole map's size: (B, L, C, D)."""
    pooled = [
        torch.bmm(region.to(values.dtype), values.transpose(1, 2)) / region.shape[2]
        for region, values in zip(_split(regions, sizes), _split(kernels, sizes), strict=True)
    ]
    return torch.stack(pooled, dim=1) + bias


def _read(maps: Tensor, pooled: Tensor, candidates: _Candidates) -> Tensor:
    """(B, N, D): columns of (B, D, P) at chosen positions, rows of (B, L * C, D) for pooled queries."""
    depth = maps.shape[1]
    at_position = maps.gather(2, candidates.chosen.clamp(min=0)[:, None].expand(-1, depth, -1)).transpose(1, 2)
    pooled = F.pad(pooled, (0, 0, 0, 1))  # the last one is for those that are not pooled
    index = torch.where(candidates.pooled < 0, pooled.shape[1] - 1, candidates.pooled)
    over_region = pooled.gather(1, index[..., None].expand(-1, -1, depth))
    return torch.where((candidates.pooled < 0)[..., None], at_position, over_region)


# -- losses ------------------------------------------------------------------------------------------------------


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


def _dice(logits: Tensor, masks: Tensor, rows: Tensor) -> Tensor:
    """(B, N): 1 - 2 sum p t / (sum p^2 + sum t^2) of each query and its row's mask; of row -1 it means nothing.

    Args:
        logits: (B, N, h, w).
        masks: (B, R, h, w) 0..1.
        rows: (B, N) int64.
    """
    batch, queries, h, w = logits.shape
    image = torch.arange(batch, device=rows.device)[:, None]
    row = (image * masks.shape[1] + rows.clamp(min=0)).flatten()
    flat = logits.reshape(batch * queries, h * w)
    return _Dice.apply(flat, masks.reshape(-1, h * w), row).view(batch, queries)


class _Dice(torch.autograd.Function):
    """(M, P) logits, (R, P) masks and the (M,) mask of each: (M,), at least float32.

    Some masks at a time, forwards and backwards, so that probabilities and targets never exist for all queries at once.
    """

    @staticmethod
    def forward(ctx, logits: Tensor, masks: Tensor, row: Tensor) -> Tensor:
        inside, squares = [], []
        for part, own in _parts(logits, row):
            probability, target = _wide(part).sigmoid(), masks.index_select(0, own)
            inside.append((probability * target).sum(dim=1))
            squares.append(probability.square().sum(dim=1) + target.square().sum(dim=1))
        inside, squares = torch.cat(inside), torch.cat(squares).clamp(min=1e-8)
        ctx.save_for_backward(logits, masks, row, inside, squares)
        return 1 - 2 * inside / squares

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, gradient: Tensor) -> tuple[Tensor, None, None]:
        logits, masks, row, inside, squares = ctx.saved_tensors
        of_target = (-2 * gradient / squares)[:, None]
        of_probability = (4 * gradient * inside / squares**2)[:, None]
        result = torch.empty_like(logits)
        start = 0
        for part, own in _parts(logits, row):
            these = slice(start, start + len(own))
            probability = _wide(part).sigmoid()
            slope = masks.index_select(0, own).to(probability.dtype).mul_(of_target[these])
            slope.addcmul_(probability, of_probability[these])
            result[these] = slope.mul_(probability).mul_(1 - probability)
            start += len(own)
        return result, None, None


def _parts(logits: Tensor, row: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    at_a_time = max(1, _PIXELS_AT_A_TIME // logits.shape[1])
    yield from zip(logits.split(at_a_time), row.split(at_a_time), strict=True)


def _wide(values: Tensor) -> Tensor:
    return values if values.dtype == torch.float64 else values.float()
