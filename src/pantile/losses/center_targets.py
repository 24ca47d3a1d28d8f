"""Training targets of Panoptic-DeepLab (arXiv 1911.10194, section 3): what each pixel of a panoptic map should say.

Made on the targets' device from sums per segment and look-ups in small tables, for the whole batch at once: there is
no loop over instances, and no mask of one instance at full resolution.
"""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from pantile.contracts.targets import PanopticTargets

_WINDOW_PIXELS = 2**22  # of all windows written at a time: 50 MB of positions and values


@dataclass(frozen=True)
class CenterTargets:
    """Maps of B images of (H, W), and what the R rows of the targets' table came to.

    Attributes:
        semantic: (B, H, W) int64 class index, -1 where there is nothing to learn.
        semantic_weight: (B, H, W) float32: 0 where ``semantic`` is -1, ``small_weight`` on small instances, else 1.
        heatmap: (B, 1, H, W) float32 in 0..1, the largest of the Gaussians around the centres; 1 at a centre.
        heatmap_weight: (B, 1, H, W) float32: 1 on things and stuff, 0 on void and crowd.
        offset: (B, 2, H, W) float32: (dy, dx) in pixels from a pixel of an instance to the centre of it, 0 elsewhere.
        offset_weight: (B, 1, H, W) float32: 1 on instances, else 0.
        present: (B, R) bool: rows without crowd that have a pixel.
        instances: (B, R) bool: those of them that are things; each has a centre.
    """

    semantic: Tensor
    semantic_weight: Tensor
    heatmap: Tensor
    heatmap_weight: Tensor
    offset: Tensor
    offset_weight: Tensor
    present: Tensor
    instances: Tensor


def center_targets(
    targets: PanopticTargets,
    is_thing: Tensor,
    sigma: float = 8.0,
    small_area: int = 4096,
    small_weight: float = 3.0,
    crowd_in_semantic: bool = True,
    offset_to: Literal["rounded", "mean"] = "rounded",
) -> CenterTargets:
    """Targets at the resolution of ``targets``. The defaults are deeplab2's.

    The centre of an instance is the mean position of its visible pixels, rounded half to even; it may lie outside of
    its mask. Small, centre and offset concern instances: rows of a thing class that are not crowd and have a pixel.

    Args:
        targets: of B images.
        is_thing: (K,) bool per class, on the device of ``targets``.
        sigma: standard deviation of the Gaussians in pixels; they end at a square of 3 * sigma + 1 around the centre.
        small_area: instances of fewer pixels than this weigh ``small_weight`` in the semantic loss.
        crowd_in_semantic: whether crowd keeps its class in ``semantic``.
        offset_to: the rounded centre (deeplab2: integer offsets) or the mean position itself (detectron2 and
            bowenc0221/panoptic-deeplab).
    """
    batch, height, width = targets.ids.shape
    device = targets.ids.device
    ids = targets.ids.long().flatten(1)
    y = torch.arange(height, device=device).repeat_interleave(width)
    x = torch.arange(width, device=device).repeat(height)

    area = _sum_per_row(torch.ones_like(y), ids, targets)
    pixels = area.clamp(min=1)
    mean_y, mean_x = _sum_per_row(y, ids, targets) / pixels, _sum_per_row(x, ids, targets) / pixels
    center_y, center_x = mean_y.round(), mean_x.round()

    labelled = targets.classes >= 0
    countable = labelled & ~targets.crowd
    present = countable & (area > 0)
    instances = present & is_thing[targets.classes.clamp(min=0)]

    learnt = labelled if crowd_in_semantic else countable
    semantic_weight = torch.where(instances & (area < small_area), small_weight, 1.0) * learnt
    offset_weight = _look_up(instances, ids)
    goal_y, goal_x = (center_y, center_x) if offset_to == "rounded" else (mean_y, mean_x)
    offset = torch.stack([_look_up(goal_y, ids), _look_up(goal_x, ids)], dim=1)
    offset = offset.sub_(torch.stack([y, x]).float()).mul_(offset_weight[:, None])

    return CenterTargets(
        semantic=targets.semantic(crowd_in_semantic),
        semantic_weight=_look_up(semantic_weight, ids).view(batch, height, width),
        heatmap=_heatmap(center_y.long(), center_x.long(), instances, (height, width), sigma),
        heatmap_weight=_look_up(countable, ids).view(batch, 1, height, width),
        offset=offset.view(batch, 2, height, width),
        offset_weight=offset_weight.view(batch, 1, height, width),
        present=present,
        instances=instances,
    )


def _sum_per_row(values: Tensor, ids: Tensor, targets: PanopticTargets) -> Tensor:
    """(B, R) float64: the sum of the integers ``values`` (H*W,) over the pixels of each row; exact in any order."""
    sums = torch.zeros(len(ids), targets.classes.shape[1] + 1, dtype=torch.float64, device=ids.device)
    return sums.scatter_add_(1, ids, values.double().expand_as(ids))[:, 1:]


def _look_up(of_row: Tensor, ids: Tensor) -> Tensor:
    """(B, H*W) float32: the entry of each pixel's row in (B, R), 0 on void."""
    table = of_row.float()
    return torch.cat([table.new_zeros(len(table), 1), table], dim=1).gather(1, ids)


def _heatmap(center_y: Tensor, center_x: Tensor, instances: Tensor, size: tuple[int, int], sigma: float) -> Tensor:
    """(B, 1, H, W): only the windows of the Gaussians are visited; overlapping ones meet in a scattered maximum.

    Args:
        center_y, center_x: (B, R) int64, inside the map.
        instances: (B, R) bool: the rows that have a centre. The others write zeros, so that no size depends on data.
    """
    batch, rows = instances.shape
    height, width = size
    radius = int(3 * sigma + 1)
    steps = torch.arange(-radius, radius + 1, device=instances.device)
    bell = torch.exp(-(steps.double() ** 2) / (2 * sigma**2)).float()
    heat = torch.zeros(batch, height * width, device=instances.device)
    at_a_time = max(1, _WINDOW_PIXELS // (batch * len(steps) ** 2))
    for first in range(0, rows, at_a_time):
        part = slice(first, first + at_a_time)
        y, x = center_y[:, part, None] + steps, center_x[:, part, None] + steps  # (B, r, S)
        down = bell * ((y >= 0) & (y < height)) * instances[:, part, None]
        across = bell * ((x >= 0) & (x < width))
        position = y.clamp(0, height - 1)[..., None] * width + x.clamp(0, width - 1)[..., None, :]  # (B, r, S, S)
        value = down[..., None] * across[..., None, :]
        heat.scatter_reduce_(1, position.flatten(1), value.flatten(1), "amax")
    return heat.view(batch, 1, height, width)
