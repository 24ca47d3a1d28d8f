"""Queries vote for a class per pixel, and no instance is told from another: the semantic task of mask classification.

    votes of a class = sum over queries of class probability (no-object left out) * mask probability

Averaged over windows of the input, as EoMT's authors do, votes come as the ``SemanticOutput`` that
``average_windows`` makes: its class logits are logarithms of mean votes. Without windows they are counted at the
image's own size.
"""

from collections.abc import Iterator, Sequence
from functools import singledispatch
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from pantile.contracts.outputs import MaskOutput, ModelOutput, SemanticOutput
from pantile.contracts.placement import Placement
from pantile.contracts.precision import autocast_off
from pantile.contracts.predictions import Prediction, Task
from pantile.contracts.taxonomy import Taxonomy
from pantile.contracts.threads import one_thread
from pantile.merge.agreement import check_agreement
from pantile.merge.class_votes import query_probability
from pantile.merge.mask_tiles import sigmoid_tiles
from pantile.merge.query_votes_config import QueryVotesConfig
from pantile.merge.registry import register_merge
from pantile.merge.resampling import Grid, original_grid, source_spans
from pantile.merge.semantic_maps import prediction_of_classes


class VoteTile(NamedTuple):
    """A rectangle of the result.

    Attributes:
        top, left: position of its first pixel.
        votes: (r, k, c), not negative.
        classes: (k,) int64 ascending, whose votes they are; None is all K classes.
    """

    top: int
    left: int
    votes: Tensor
    classes: Tensor | None = None


@register_merge(QueryVotesConfig, tasks=frozenset({"panoptic", "semantic"}), main_metric="miou")
@torch.no_grad()
def predict_votes(
    output: MaskOutput | SemanticOutput,
    taxonomy: Taxonomy,
    config: QueryVotesConfig,
    placements: Sequence[Placement],
    tasks: frozenset[Task] = frozenset({"panoptic"}),
) -> list[Prediction]:
    """``merge`` for class maps of queries, in any floating dtype on any device.

    Args:
        output: B images, of queries or of votes.
        taxonomy: K classes.
        config: see there.
        placements: B entries, where each image lies in the network's input.
        tasks: "semantic" gives the class of every pixel; "instance" gives none.

    Returns:
        B predictions at the original sizes. Ids are int32, 1..S in the order of classes; a segment's score is the mean
        share of its class in the votes of its pixels.

    Raises:
        UserError: the numbers of images or of classes disagree.
    """
    check_agreement(output, len(output.class_logits), taxonomy, placements)
    limits = np.zeros(taxonomy.num_classes, np.int64)
    predictions = []
    with autocast_off(output.class_logits.device), one_thread(output.class_logits.device):
        for index, placement in enumerate(placements):
            classes = np.empty(placement.original, np.int32)
            share = np.empty(placement.original, np.float32)
            for tile in vote_tiles(output, index, placement, config):
                best, winner = tile.votes.max(dim=1)
                winner = winner if tile.classes is None else tile.classes[winner]
                rows, columns = winner.shape
                window = (slice(tile.top, tile.top + rows), slice(tile.left, tile.left + columns))
                classes[window] = winner.cpu().numpy()
                share[window] = (best / tile.votes.sum(dim=1).clamp(min=1e-12)).cpu().numpy()
            predictions.append(prediction_of_classes(classes, share, limits, "semantic" in tasks))
    return predictions


@singledispatch
def vote_tiles(output: ModelOutput, image: int, placement: Placement, config: QueryVotesConfig) -> Iterator[VoteTile]:
    """The votes of one image at its original size, tile by tile."""
    raise TypeError(f"no rule to count votes of {type(output).__name__}")


@vote_tiles.register
def _of_queries(output: MaskOutput, image: int, placement: Placement, config: QueryVotesConfig) -> Iterator[VoteTile]:
    logits = output.mask_logits[image]
    grid = original_grid(logits.shape[-2:], placement, aligned=False)
    probability = query_probability(output)[image].T
    for tile in sigmoid_tiles(logits, grid, config.chunk_rows, grid.size[1]):
        yield VoteTile(tile.top, tile.left, probability.to(tile.probability.dtype) @ tile.probability)


@vote_tiles.register
def _of_windows(
    output: SemanticOutput, image: int, placement: Placement, config: QueryVotesConfig
) -> Iterator[VoteTile]:
    votes, classes = output.class_logits[image], None
    grid = original_grid(votes.shape[-2:], placement, aligned=False)
    if output.classes is not None:  # of windows that select classes
        classes, order = output.classes[image].sort()
        classes, order = classes[classes >= 0], order[classes >= 0]
        votes = votes[order]
    for top, resized in _resized_rows(votes.exp(), grid, config.chunk_rows):
        yield VoteTile(top, 0, resized.transpose(0, 1), classes)


def _resized_rows(maps: Tensor, grid: Grid, rows: int) -> Iterator[tuple[int, Tensor]]:
    """(C, h, w) to (C, r, W), r rows of the grid at a time, with the number of the first."""
    down, across = (axis.to(maps.device, maps.dtype) for axis in (grid.rows, grid.columns))
    for top, (first, behind) in zip(range(0, grid.size[0], rows), source_spans(grid.rows, rows), strict=True):
        yield top, down[top : top + rows, first:behind] @ (maps[:, first:behind] @ across.T)
