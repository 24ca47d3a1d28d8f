"""How much a network believes in each class at each pixel, computed only where somebody asks for it.

What is evidence depends on the kind of merge:

- pixel classifiers and centres: softmax of the semantic logits;
- queries that compete by softmax: sum over queries of class probability times the query's share of the pixel;
- queries with independent masks: the same sum with the masks' sigmoids;
- kernels found at positions, of which an object has several: for each class the largest product of a query's score
  and its mask's sigmoid.

It sums to one over the classes, so that tiles with many confident queries do not outweigh others, or is 0 for all.
Where k of K classes are selected, K maps exist for the window that is asked for only.
"""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from pantile.contracts.class_channels import in_class_order
from pantile.contracts.outputs import CenterOutput, MaskOutput, ModelOutput, SemanticOutput
from pantile.contracts.placement import Placement
from pantile.contracts.precision import autocast_off
from pantile.merge.center_config import CenterMergeConfig
from pantile.merge.center_resampling import decision_grid
from pantile.merge.mask_config import MaskMergeConfig
from pantile.merge.nearest_pixels import corners_aligned
from pantile.merge.panoptic_fcn_config import PanopticFCNMergeConfig
from pantile.merge.query_config import QueryMergeConfig
from pantile.merge.query_votes import vote_tiles
from pantile.merge.query_votes_config import QueryVotesConfig
from pantile.merge.registry import EVIDENCE, MERGERS, ClassEvidence, MergeConfig, register_evidence
from pantile.merge.resampling import Grid, original_grid
from pantile.merge.semantic_config import SemanticMergeConfig
from pantile.merge.semantic_maps import resized_by
from pantile.merge.tile_layout import Window
from pantile.merge.window_mosaic import WindowMosaic, as_taken


def class_evidence(output: ModelOutput | WindowMosaic, config: MergeConfig, placement: Placement) -> ClassEvidence:
    """The evidence of one image, at its original size.

    Holds the network's logits, at their own stride, and nothing else of the output; memory for an answer is
    proportional to the queries and classes times the window.

    Args:
        output: one image (B = 1).
        placement: where the image lies in the network's input.
    """
    evidence = EVIDENCE.find(config.kind, "merge.kind")
    takes = MERGERS[config.kind].takes if config.kind in MERGERS else object
    return evidence(as_taken(output, takes), placement, config)


@register_evidence(CenterMergeConfig)
def _of_centers(output: CenterOutput, placement: Placement, _: MergeConfig) -> ClassEvidence:
    logits, classes, num_classes = output.semantic_logits[0], output.classes, output.num_classes
    grid = decision_grid(logits.shape[-2:], placement, at_original=True)

    def evidence(window: Window) -> np.ndarray:
        return (
            in_class_order(_resized(logits, grid, window).softmax(dim=0)[None], classes, num_classes, 0.0)[0]
            .cpu()
            .numpy()
        )

    return evidence


@register_evidence(SemanticMergeConfig)
def _of_classes(
    output: SemanticOutput | WindowMosaic, placement: Placement, config: SemanticMergeConfig
) -> ClassEvidence:
    output, (grid,) = resized_by(output, [placement], config)
    maps, classes, num_classes = output.class_logits[0], output.classes, output.num_classes
    resized_first = config.resize == "logits"
    if not resized_first:
        maps = maps.float().softmax(dim=0)

    def evidence(window: Window) -> np.ndarray:
        fine = _resized(maps, grid, window)
        shares = fine.softmax(dim=0) if resized_first else fine
        return in_class_order(shares[None], classes, num_classes, 0.0)[0].cpu().numpy()

    return evidence


@register_evidence(MaskMergeConfig)
def _of_competing_masks(output: MaskOutput, placement: Placement, _: MergeConfig) -> ClassEvidence:
    grid = original_grid(output.mask_logits.shape[-2:], placement, corners_aligned(placement))
    return _of_masks(output, grid, lambda logits: logits.softmax(dim=0))


@register_evidence(QueryMergeConfig)
def _of_independent_masks(output: MaskOutput, placement: Placement, _: MergeConfig) -> ClassEvidence:
    grid = original_grid(output.mask_logits.shape[-2:], placement, aligned=False)
    return _of_masks(output, grid, torch.sigmoid)


def _of_masks(output: MaskOutput, grid: Grid, probability_of: Callable[[Tensor], Tensor]) -> ClassEvidence:
    logits = output.mask_logits[0]
    class_probability = output.class_logits[0].float().softmax(dim=-1)[:, :-1].T  # (K, N)

    def evidence(window: Window) -> np.ndarray:
        masks = probability_of(_resized(logits, grid, window))  # (N, r, c)
        with autocast_off(masks.device):
            votes = (class_probability @ masks.flatten(1)).unflatten(1, masks.shape[1:])
        return (votes / votes.sum(dim=0).clamp(min=1e-12)).cpu().numpy()

    return evidence


@register_evidence(QueryVotesConfig)
def _of_votes(output: MaskOutput | SemanticOutput, placement: Placement, config: QueryVotesConfig) -> ClassEvidence:
    tiles = list(vote_tiles(output, 0, placement, config))
    votes, classes, num_classes = torch.cat([t.votes.cpu() for t in tiles]), tiles[0].classes, output.num_classes
    shares = (votes / votes.sum(dim=1, keepdim=True).clamp(min=1e-12)).transpose(0, 1)  # (k, H, W)
    selected = None if classes is None else classes.cpu()[None]

    def evidence(window: Window) -> np.ndarray:
        return in_class_order(shares[None, :, *window.slices].float(), selected, num_classes, 0.0)[0].numpy()

    return evidence


@register_evidence(PanopticFCNMergeConfig)
def _of_kernels(output: MaskOutput, placement: Placement, config: PanopticFCNMergeConfig) -> ClassEvidence:
    probability = output.class_logits[0].float().softmax(dim=-1)[:, :-1]
    num_classes = probability.shape[1]
    score, label = probability.max(dim=1)
    if num_classes > 1:  # a query whose classes are all equal stands for none
        score = torch.where((probability == score[:, None]).all(dim=1), 0, score)
    heard = (score > min(config.peak_threshold, config.region_threshold)).nonzero()[:, 0]
    probabilities = output.mask_logits[0][heard].float().sigmoid()  # resized as such, as the merge does
    score, label = score[heard], label[heard]
    grid = original_grid(probabilities.shape[-2:], placement, aligned=False)

    def evidence(window: Window) -> np.ndarray:
        votes = _resized(probabilities, grid, window).flatten(1) * score[:, None]
        best = votes.new_zeros(num_classes, votes.shape[1])
        for class_index in label.unique().tolist():
            best[class_index] = votes[label == class_index].amax(dim=0)
        return (best / best.sum(dim=0).clamp(min=1e-12)).unflatten(1, window.size).cpu().numpy()

    return evidence


def _resized(maps: Tensor, grid: Grid, window: Window) -> Tensor:
    """(C, h, w) to (C, r, c) float32 in a window of the grid."""
    rows, columns = grid.rows[window.top : window.bottom], grid.columns[window.left : window.right]
    (y, y_end), (x, x_end) = _span(rows), _span(columns)
    # under a caller's autocast the resizing would run in bfloat16, which moves borders
    with autocast_off(maps.device):
        wide = maps[:, y:y_end, x:x_end].float() @ columns[:, x:x_end].T.to(maps.device, torch.float32)
        return rows[:, y:y_end].to(maps.device, torch.float32) @ wide


def _span(weights: Tensor) -> tuple[int, int]:
    """The range of columns that holds the non-zero entries."""
    used = (weights != 0).any(dim=0).nonzero()
    return int(used[0]), int(used[-1]) + 1
