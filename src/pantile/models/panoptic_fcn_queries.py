"""Queries of Panoptic FCN at inference: kernels at the peaks of thing maps, kernels pooled over the regions of stuff.

No threshold is applied: how many there are depends on sizes only. How sure each is stands in its class logits, which
are the logarithms of probabilities.
"""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from pantile.contracts.precision import at_least_float32

SCORE_MARGIN = 1e-6  # scores keep this distance from 0 and 1
ABSENT = 1e-12  # probability of a class that a query has nothing to do with


class Peaks(NamedTuple):
    """n positions of one level, from the highest score to the lowest.

    Attributes:
        channel: (B, n) int64, of the thing maps.
        score: (B, n), 0..1; 0 where it is no peak.
        position: (B, n) int64, into the flattened level.
    """

    channel: Tensor
    score: Tensor
    position: Tensor


class Regions(NamedTuple):
    """G regions of one level, which share out its positions.

    Attributes:
        score: (B, G), mean over the region; 0 where it is empty.
        kernel: (B, G, C), sum over the region divided by the number of positions of the level.
    """

    score: Tensor
    kernel: Tensor


def find_peaks(logits: Tensor, smoothing: int, count: int) -> Peaks:
    """The best positions over all classes of a level.

    A score is the mean of a position's probability and of the average over its neighbourhood, zeros outside included;
    a peak has the greatest among its 3x3 neighbours.

    Args:
        logits: (B, T, h, w), T > 0.
        smoothing: side of the neighbourhood, odd.
        count: n; h * w where that is less.
    """
    channels, area = logits.shape[1], logits.shape[2] * logits.shape[3]
    probability = at_least_float32(logits).sigmoid()
    smooth = 0.5 * (probability + F.avg_pool2d(probability, smoothing, stride=1, padding=smoothing // 2))
    is_peak = F.max_pool2d(smooth, 3, stride=1, padding=1) == smooth
    rank = torch.where(is_peak, smooth, smooth - 1)  # what is no peak comes after all peaks, in an order of its own
    value, index = rank.flatten(1).topk(min(count, area))
    # looked up, because formats of exported networks cannot divide by a size that is not known yet
    channel = torch.arange(channels, device=index.device)[:, None].expand(-1, area).flatten()
    position = torch.arange(area, device=index.device).expand(channels, -1).flatten()
    return Peaks(channel[index], value.clamp(min=0), position[index])


def kernels_at(kernel_map: Tensor, position: Tensor) -> Tensor:
    """(B, C, h, w) at (B, n) -> (B, n, C)."""
    index = position[:, None].expand(-1, kernel_map.shape[1], -1)
    return kernel_map.flatten(2).gather(2, index).transpose(1, 2)


def pool_regions(logits: Tensor, kernel_map: Tensor, group_of_channel: Tensor, groups: int) -> Regions:
    """Each position belongs to the group of its best channel.

    Args:
        logits: (B, C', h, w)
        kernel_map: (B, C, h, w)
        group_of_channel: (C',) int64, 0..groups-1.
        groups: G.
    """
    score, channel = at_least_float32(logits).sigmoid().flatten(2).max(dim=1)  # (B, h w)
    region = _is_one_of(group_of_channel[channel], groups).to(score.dtype)  # (B, h w, G)
    size = region.sum(dim=1)  # (B, G)
    mean_score = (score[:, :, None] * region).sum(dim=1) / size.clamp(min=1)
    kernel = region.transpose(1, 2) @ at_least_float32(kernel_map).flatten(2).transpose(1, 2) / score.shape[1]
    return Regions(mean_score, kernel)


def logits_of_class(index: Tensor, score: Tensor, num_classes: int) -> Tensor:
    """Class logits of queries that are of a class with some probability, and else no object.

    Args:
        index: (B, n) int64 class.
        score: (B, n) probability.
        num_classes: K.

    Returns:
        (B, n, K + 1) log-probabilities, so a softmax gives the score back.
    """
    score = score.clamp(SCORE_MARGIN, 1 - SCORE_MARGIN)[..., None]
    absent = torch.full_like(score, ABSENT)
    classes = torch.where(_is_one_of(index, num_classes), score, absent)
    return torch.cat([classes, 1 - score], dim=2).log()


def logits_of_no_class(score: Tensor, num_classes: int) -> Tensor:
    """Class logits of the region of all things: the score is that of no object, what is left all classes share.

    Args:
        score: (B, n) probability.
        num_classes: K.

    Returns:
        (B, n, K + 1) log-probabilities.
    """
    score = score.clamp(SCORE_MARGIN, 1 - SCORE_MARGIN)[..., None]
    shared = ((1 - score) / num_classes).expand(-1, -1, num_classes)
    return torch.cat([shared, score], dim=2).log()


def _is_one_of(index: Tensor, count: int) -> Tensor:
    """(B, n) int64 -> (B, n, count) bool."""
    return index[..., None] == torch.arange(count, device=index.device)
