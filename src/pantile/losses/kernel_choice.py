"""Which positions become queries of Panoptic FCN in training, and what those queries are.

A pair is an object and a level of the pyramid on which it trains, or a stuff class and a level; ``panoptic_fcn`` says
what is chosen for it.
"""

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from pantile.contracts.precision import in_float32
from pantile.losses.position_targets import PositionTargets, at_levels, stuff_channels

_NO_SCORE = -1e30  # a logit that never wins and, unlike -inf, has a softmax when it is alone


class Candidates(NamedTuple):
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


def flatten_levels(levels: tuple[Tensor, ...]) -> Tensor:
    """(B, C, h_l, w_l) of each level to (B, C, P), one level after the other."""
    return torch.cat([level.flatten(2) for level in levels], dim=2)


def split_levels(maps: Tensor, sizes: tuple[tuple[int, int], ...]) -> tuple[Tensor, ...]:
    """The way back, but for the shape: (B, C, h_l * w_l) of each level."""
    return maps.split([h * w for h, w in sizes], dim=2)


def find_candidates(
    thing_logits: Tensor,
    truth: PositionTargets,
    regions: Tensor,
    is_thing: Tensor,
    kernels_per_object: int,
    inside_threshold: float,
) -> Candidates:
    """Things level by level, row by row, best first; then stuff level by level, channel by channel.

    Args:
        thing_logits: (B, T, P).
        regions: (B, C, P) bool.
    """
    of_things = _thing_candidates(thing_logits, truth, is_thing.cumsum(0) - 1, kernels_per_object, inside_threshold)
    of_stuff = _stuff_candidates(truth, regions, thing_logits.dtype)
    return Candidates(*(torch.cat(pair, dim=1) for pair in zip(of_things, of_stuff, strict=True)))


@in_float32
def _thing_candidates(
    logits: Tensor, truth: PositionTargets, channel_of_class: Tensor, kernels: int, threshold: float
) -> Candidates:
    batch, rows = truth.labels.shape
    device = logits.device
    if not logits.shape[1]:  # a taxonomy without things
        none = torch.zeros(batch, 0, dtype=torch.int64, device=device)
        return Candidates(none.bool(), none, none.to(logits.dtype), none, none)
    channel = torch.where(truth.labels < 0, 0, channel_of_class.to(device)[truth.labels.clamp(min=0)]).clamp(min=0)
    inside = at_levels(truth.masks, truth.sizes) > threshold  # (B, R, P)
    parts, start = [], 0
    for level, (own, within) in enumerate(
        zip(split_levels(logits, truth.sizes), split_levels(inside, truth.sizes), strict=True)
    ):
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
    return Candidates(
        torch.cat([valid.flatten(1) for valid, _, _ in parts], dim=1),
        torch.cat([row.expand_as(valid).flatten(1) for valid, _, _ in parts], dim=1),
        torch.cat([(weights / levels).flatten(1) for _, weights, _ in parts], dim=1),
        torch.cat([index.flatten(1) for _, _, index in parts], dim=1),
        torch.cat([torch.full_like(index, -1).flatten(1) for _, _, index in parts], dim=1),
    )


def _stuff_candidates(truth: PositionTargets, regions: Tensor, dtype: torch.dtype) -> Candidates:
    """One for each level and channel that has a region there and a row of its own."""
    batch, rows = truth.channels.shape
    count = regions.shape[1]
    row = torch.arange(rows, device=regions.device).expand(batch, -1)
    row_of_channel = torch.full((batch, count + 1), -1, device=regions.device)
    row_of_channel = row_of_channel.scatter(1, torch.where(truth.channels < 0, count, truth.channels), row)[:, :count]
    exist = torch.stack([r.any(dim=2) for r in split_levels(regions, truth.sizes)], dim=1)  # (B, L, C)
    valid = exist & (row_of_channel >= 0)[:, None]
    weights = valid / valid.sum(dim=1, keepdim=True).clamp(min=1)
    index = torch.arange(exist[0].numel(), device=regions.device).expand(batch, -1)
    return Candidates(
        valid.flatten(1),
        row_of_channel[:, None].expand_as(valid).flatten(1),
        weights.flatten(1).to(torch.float64 if dtype == torch.float64 else torch.float32),
        torch.full_like(index, -1),
        index,
    )


def are_finite(*tensors: Tensor) -> Tensor:
    """(len(tensors),) bool, in the order of ``_NAMES``."""
    return torch.stack([t.isfinite().all() for t in tensors])


_NAMES = ("thing logits", "stuff logits", "thing kernels", "stuff kernels", "pixel embedding")


def wait_for_queries(valid: Tensor, finite: Tensor) -> int:
    """N of the batch, the only number that the host needs; complains of what is not finite."""
    *good, queries = torch.cat([finite.long(), valid.sum(dim=1).amax()[None]]).tolist()
    if not all(good):
        broken = [name for name, is_good in zip(_NAMES, good, strict=True) if not is_good]
        raise FloatingPointError(f"Not finite: {' and '.join(broken)}.")
    return queries


def first_candidates(candidates: Candidates, queries: int) -> Candidates:
    """The valid ones first, in their order, and ``queries`` in all."""
    order = candidates.valid.int().argsort(dim=1, descending=True, stable=True)[:, :queries]
    return Candidates(*(each.gather(1, order) for each in candidates))


@in_float32
def embeddings_of(
    thing_kernels: Tensor,
    stuff_kernels: Tensor,
    stuff_bias: Tensor,
    regions: Tensor,
    sizes: tuple[tuple[int, int], ...],
    candidates: Candidates,
) -> Tensor:
    """(B, N, D) of kernels (B, D, P), 0 for what is no query."""
    pooled = pooled_kernels(stuff_kernels, stuff_bias, regions, sizes).flatten(1, 2)
    return _read(thing_kernels, pooled, candidates) * candidates.valid[..., None]


@in_float32
def class_logits_of(
    things: Tensor,
    stuff: Tensor,
    regions: Tensor,
    sizes: tuple[tuple[int, int], ...],
    candidates: Candidates,
    is_thing: Tensor,
) -> Tensor:
    """(B, N, K + 1) of maps (B, T, P) and (B, C, P)."""
    channel, _ = stuff_channels(is_thing, stuff.shape[1])
    column = torch.where(is_thing, is_thing.cumsum(0) - 1, things.shape[1] + channel)
    maps = torch.cat([things, stuff], dim=1).index_select(1, column.to(things.device))  # (B, K, P)
    means = [
        torch.bmm(region.to(values.dtype), values.transpose(1, 2)) / region.sum(dim=2, keepdim=True).clamp(min=1)
        for region, values in zip(split_levels(regions, sizes), split_levels(maps, sizes), strict=True)
    ]
    logits = _read(maps, torch.cat(means, dim=1), candidates) * candidates.valid[..., None]
    return F.pad(logits, (0, 1))


@in_float32
def pooled_kernels(kernels: Tensor, bias: Tensor, regions: Tensor, sizes: tuple[tuple[int, int], ...]) -> Tensor:
    """(B, D, P) kernels, summed over (B, C, P) regions and divided by the whole map's size: (B, L, C, D)."""
    pooled = [
        torch.bmm(region.to(values.dtype), values.transpose(1, 2)) / region.shape[2]
        for region, values in zip(split_levels(regions, sizes), split_levels(kernels, sizes), strict=True)
    ]
    return torch.stack(pooled, dim=1) + bias


def _read(maps: Tensor, pooled: Tensor, candidates: Candidates) -> Tensor:
    """(B, N, D): columns of (B, D, P) at chosen positions, rows of (B, L * C, D) for pooled queries."""
    depth = maps.shape[1]
    at_position = maps.gather(2, candidates.chosen.clamp(min=0)[:, None].expand(-1, depth, -1)).transpose(1, 2)
    pooled = F.pad(pooled, (0, 0, 0, 1))  # the last one is for those that are not pooled
    index = torch.where(candidates.pooled < 0, pooled.shape[1] - 1, candidates.pooled)
    over_region = pooled.gather(1, index[..., None].expand(-1, -1, depth))
    return torch.where((candidates.pooled < 0)[..., None], at_position, over_region)
