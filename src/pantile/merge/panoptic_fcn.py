"""Kernels found at positions of a pyramid to predictions (Panoptic FCN, arXiv 2012.00720, sections 3.2 and 3.4).

Every position of high score proposes a kernel, so an object has several queries. Those of one object are fused into
their mean; masks are linear in the kernels, so the mean of mask logits is taken. A thing's score becomes the score of
its position times the mean probability inside its mask. Things are painted from the highest score to the lowest. The
pixels that are left go to the stuff class of greatest mask probability; a stuff class is the mean over the levels.

Queries are read from their class probabilities. Where the greatest is a thing's, it is a candidate, and where it is a
stuff class's, the region of that class in one level; no-object does not take part. A query whose classes are all
equally likely, of two or more, stands for none of them: its no-object probability is the score of a region (of things
in general) that competes with stuff and leaves the pixels that it wins void.

What the paper's code leaves open or does for one image only, here:

- Pixels. Probabilities, not logits, are resized, from their own stride over the padded input to the image, and
  thresholded there; scores are taken at the masks' own stride, over the whole input. That is the original's.
- A stuff class wins a pixel only with a probability greater than that of the region of no class, 0 where there is
  none: a pixel that no accepted class claims is void. A stuff segment's score is the mean score of its regions.
- The original has classes per pixel for stuff only, all things being one. Here things are painted as in the panoptic
  map, the rest as without area limits; -1 where there is neither.
- Instances overlap, are not limited to those of the panoptic map, and have the score that orders the painting.
- Of equal scores, the earlier query comes first.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import torch
from pycocotools.mask import frPyObjects
from torch import Tensor

from pantile.contracts.outputs import MaskOutput
from pantile.contracts.placement import Placement
from pantile.contracts.precision import autocast_off
from pantile.contracts.predictions import Instance, Prediction, Task
from pantile.contracts.taxonomy import Taxonomy
from pantile.contracts.threads import one_thread
from pantile.merge.agreement import check_agreement
from pantile.merge.kernel_fusion import fuse_kernels
from pantile.merge.panoptic_fcn_config import PanopticFCNMergeConfig
from pantile.merge.probability_tiles import ProbabilityTiles, encode_in_box
from pantile.merge.registry import register_merge
from pantile.merge.resampling import original_grid
from pantile.merge.segments import Canvas, PastedSegment


@register_merge(PanopticFCNMergeConfig)
@torch.no_grad()
def predict_panoptic_fcn(
    output: MaskOutput,
    taxonomy: Taxonomy,
    config: PanopticFCNMergeConfig,
    placements: Sequence[Placement],
    tasks: frozenset[Task] = frozenset({"panoptic"}),
) -> list[Prediction]:
    """``merge`` for queries that are found at positions, in any floating dtype on any device.

    Memory does not grow with the number of queries times the resolution of the result, and beyond the output itself
    not with the number of queries: masks are made one by one, each in its box, and stuff in tiles.

    Args:
        output: B images.
        taxonomy: K classes.
        config: thresholds.
        placements: B entries, where each image lies in the network's input.
        tasks: what to fill beside the panoptic map.

    Returns:
        B predictions at the original sizes. Ids are int32, 1..S: things from the highest score to the lowest, then
        stuff in the order of classes; 0 for void. Instances come from the highest score to the lowest. An image
        without a candidate is all void.

    Raises:
        UserError: the numbers of images or of classes disagree.
    """
    check_agreement(output, len(output.class_logits), taxonomy, placements)
    # Under a caller's autocast the resizing would run in bfloat16, which moves borders.
    with autocast_off(output.mask_logits.device), one_thread(output.mask_logits.device):
        return [
            _predict_one(class_logits, mask_logits, kernels, taxonomy, config, placement, tasks)
            for class_logits, mask_logits, kernels, placement in zip(
                output.class_logits, output.mask_logits, output.query_embed, placements, strict=True
            )
        ]


def _predict_one(
    class_logits: Tensor,
    mask_logits: Tensor,
    kernels: Tensor,
    taxonomy: Taxonomy,
    config: PanopticFCNMergeConfig,
    placement: Placement,
    tasks: frozenset[Task],
) -> Prediction:
    """(N, K+1), (N, h, w) and (N, D) to the prediction of one image."""
    candidates, regions = _read_queries(class_logits, taxonomy, config)
    masks = _MeanMasks(mask_logits)
    tiles = ProbabilityTiles(original_grid(mask_logits.shape[-2:], placement, aligned=False), masks.of([]))
    things = _rescore(_fuse(candidates, kernels, config), masks, config)
    canvas = Canvas.empty(tiles.size)
    instances = _paint_things(canvas, things, masks, tiles, config, "instance" in tasks)
    _paint_stuff(canvas, regions, masks, tiles)

    semantic = None
    if "semantic" in tasks:
        semantic = np.array([-1, *(s.class_index for s in canvas.segments)], np.int32)[canvas.ids]
    prediction = canvas.without_small(taxonomy, config).to_prediction()
    return replace(prediction, instances=instances if "instance" in tasks else None, semantic=semantic)


class _Candidates(NamedTuple):
    """C positions that may be things, from the highest score to the lowest.

    Attributes:
        query: (C,) int64
        class_index: (C,) int64
        score: (C,) float64
    """

    query: Tensor
    class_index: Tensor
    score: Tensor


class _Region(NamedTuple):
    """The regions of one stuff class, a query from each level that has one; class -1 for that of no class."""

    class_index: int
    score: float
    queries: list[int]


def _read_queries(
    class_logits: Tensor, taxonomy: Taxonomy, config: PanopticFCNMergeConfig
) -> tuple[_Candidates, list[_Region]]:
    """(N, K+1) to what the queries stand for, on the CPU; regions in the order of classes."""
    exact = class_logits if class_logits.dtype == torch.float64 else class_logits.float()
    probability = exact.softmax(dim=-1).cpu()
    best, label = probability[:, :-1].max(dim=1)
    of_no_class = (probability[:, :-1] == best[:, None]).all(dim=1) & (taxonomy.num_classes > 1)
    score = torch.where(of_no_class, probability[:, -1], best).double()
    label = torch.where(of_no_class, -1, label)
    is_thing = taxonomy.is_thing()[label] & ~of_no_class

    things = (is_thing & (score > config.peak_threshold)).nonzero()[:, 0]
    things = things[score[things].argsort(descending=True, stable=True)]
    accepted = ~is_thing & (score > config.region_threshold)
    regions = []
    for class_index in label[accepted].unique().tolist():
        queries = (accepted & (label == class_index)).nonzero()[:, 0]
        regions.append(_Region(class_index, score[queries].mean().item(), queries.tolist()))
    return _Candidates(things, label[things], score[things]), regions


class _MeanMasks:
    """Mask probabilities of fused kernels.

    Args:
        mask_logits: (N, h, w)
    """

    def __init__(self, mask_logits: Tensor) -> None:
        self.logits = mask_logits
        self.dtype = torch.float64 if mask_logits.dtype == torch.float64 else torch.float32

    def of(self, queries: list[int]) -> Tensor:
        """(h, w) 0..1, the sigmoid of the mean logits."""
        if not queries:
            return self.logits.new_zeros(self.logits.shape[-2:], dtype=self.dtype)
        return self.logits[queries].to(self.dtype).mean(dim=0).sigmoid_()


class _Thing(NamedTuple):
    class_index: int
    score: float
    queries: list[int]


def _fuse(candidates: _Candidates, kernels: Tensor, config: PanopticFCNMergeConfig) -> list[_Thing]:
    """One thing for each group, from the highest score to the lowest."""
    own_kernels = kernels[candidates.query.to(kernels.device)].cpu().double().numpy()
    groups = fuse_kernels(own_kernels, candidates.class_index.numpy(), config.similarity_threshold)
    members: list[list[int]] = [[] for _ in groups.kept]
    for query, group in zip(candidates.query.tolist(), groups.group_of.tolist(), strict=True):
        if group >= 0:
            members[group].append(query)
    return [
        _Thing(int(candidates.class_index[leader]), float(candidates.score[leader]), queries)
        for leader, queries in zip(groups.kept.tolist(), members, strict=True)
    ]


def _rescore(things: list[_Thing], masks: _MeanMasks, config: PanopticFCNMergeConfig) -> list[_Thing]:
    """Scores times the mean probability inside each mask; the best of those that reach the threshold."""
    means = []
    for thing in things:
        probability = masks.of(thing.queries)
        inside = probability > config.mask_threshold
        means.append((probability * inside).sum(dtype=torch.float64) / inside.sum().clamp(min=1))
    if not means:
        return []
    scores = [thing.score * mean for thing, mean in zip(things, torch.stack(means).tolist(), strict=True)]
    rescored = [thing._replace(score=score) for thing, score in zip(things, scores, strict=True)]
    passed = [thing for thing in rescored if thing.score >= config.instance_threshold]
    return sorted(passed, key=lambda thing: -thing.score)[: config.instances]


def _paint_things(
    canvas: Canvas,
    things: list[_Thing],
    masks: _MeanMasks,
    tiles: ProbabilityTiles,
    config: PanopticFCNMergeConfig,
    with_instances: bool,
) -> tuple[Instance, ...]:
    """Paints the canvas in place, and encodes each mask as it is made, if asked to."""
    instances = []
    for thing in things:
        if thing.score < config.object_threshold and not with_instances:
            break
        probability = masks.of(thing.queries)
        box = tiles.box_of(probability > config.mask_threshold)
        if box is None:
            continue
        mask = tiles.mask(probability, config.mask_threshold, box)
        area = int(mask.sum())
        if area == 0:
            continue
        if with_instances:
            height, width = tiles.size
            runs = {"size": [height, width], "counts": encode_in_box(mask, box, tiles.size)}
            instances.append(Instance(thing.class_index, thing.score, frPyObjects(runs, height, width)))
        if thing.score >= config.object_threshold:
            ids = canvas.ids[box.slices]
            free = mask & (ids == 0)
            if (area - int(free.sum())) / area <= config.overlap_threshold:
                canvas.segments.append(PastedSegment(thing.class_index, thing.score, thing.queries[0]))
                ids[free] = len(canvas.segments)
    return tuple(instances)


def _paint_stuff(canvas: Canvas, regions: list[_Region], masks: _MeanMasks, tiles: ProbabilityTiles) -> None:
    """Gives the free pixels of the canvas to the most probable region, in place."""
    of_no_class = [region.queries for region in regions if region.class_index < 0]
    stuff = [region for region in regions if region.class_index >= 0]
    if not stuff:
        return
    layers = [*of_no_class] or [[]]  # zeros where there is none
    maps = torch.stack([masks.of(queries) for queries in [*layers, *(region.queries for region in stuff)]])
    first_id = len(canvas.segments) + 1
    canvas.segments.extend(PastedSegment(r.class_index, r.score, r.queries[0]) for r in stuff)
    for tile, values in tiles.tiles(maps, tiles.whole):
        winner = _first_of_best(values).cpu().numpy()
        ids = canvas.ids[tile.slices]
        np.copyto(ids, winner + (first_id - 1), where=(ids == 0) & (winner > 0))


def _first_of_best(values: Tensor) -> Tensor:
    """(r, C, c) to the (r, c) int32 index of the first maximum; several times as fast as ``argmax`` on a CPU."""
    best = values.amax(dim=1)
    winner = torch.zeros_like(best, dtype=torch.int32)
    for index in range(values.shape[1] - 1, -1, -1):
        winner.masked_fill_(values[:, index] == best, index)
    return winner
