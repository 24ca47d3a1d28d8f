"""Training targets of Panoptic FCN (Li et al. 2021, arXiv 2012.00720, section 3): what each position of a feature
pyramid should say.

    thing heat map   exp(-((y - cy)^2 + (x - cx)^2) / (2 s^2)) within r of the centre, s = (2r + 1) / 3; the largest
                     of a class's objects. Boxes moved by r overlap by 0.7 (CornerNet, arXiv 1808.01244)
    stuff map        share of the class at the position, 0 where it is less than a half

An object belongs to every level whose range contains the root of its box's area; ranges overlap, so it may train on
several. Its centre is the mean position of the pixels of the prediction's resolution that it touches, brought to the
level and truncated.

Made on the targets' device for the whole batch at once, for any number of objects; no size depends on the data.

Void, padding and crowd are no object and no stuff. As in the original they are negatives of every map; ``void`` says
where they are, for a criterion that would rather not ask. Deviations from the original: boxes are those of the visible
pixels; an object of which nothing is left at the prediction's resolution is no object (there its centre is not a
number).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from pantile.contracts.targets import PanopticTargets
from pantile.losses.point_sampling import sample_all_rows

_TOUCHED = 1e-6  # of a pixel; less is rounding


@dataclass(frozen=True)
class PositionTargets:
    """Of B images with R rows, at h x w (the prediction) and at the P positions of L levels, one level after the other.

    Attributes:
        sizes: (h_l, w_l) of each level.
        labels: (B, R) int64 class of each row that has a mask at h x w and is not crowd, else -1.
        visible: (B, R) bool: rows without crowd that have a pixel in the targets.
        masks: (B, R, h, w) float32 0..1: share of each pixel that is the row's.
        pairs: (B, R, L) bool: the things among ``labels``, on the levels where they train.
        centers: (B, R, L, 2) int64 (y, x), inside the level; means nothing where there is no pair.
        radii: (B, R, L) int64 of the Gaussians, in positions of the level.
        regions: (B, C, h, w) float32 0..1: share of each pixel that is the channel's.
        stuff: (B, C, P) float32: 0 or 0.5..1.
        channels: (B, R) int64: the stuff channel of each row of ``labels``, -1 for things and rows without a mask.
        void: (B, P) bool: positions of which less than a half is a segment.
    """

    sizes: tuple[tuple[int, int], ...]
    labels: Tensor
    visible: Tensor
    masks: Tensor
    pairs: Tensor
    centers: Tensor
    radii: Tensor
    regions: Tensor
    stuff: Tensor
    channels: Tensor
    void: Tensor


def stuff_channels(is_thing: Tensor, channels: int) -> tuple[Tensor, bool]:
    """Which channel of the stuff maps is whose.

    Networks are built in three ways. With S stuff classes of K: 1 + S channels, all things together and then the stuff
    classes (COCO, Mapillary Vistas); S channels; or K channels in the order of the taxonomy, of which those of things
    stay empty (Cityscapes). With one thing class, 1 + S = K channels are the first kind.

    Args:
        is_thing: (K,) bool.
        channels: C of the maps.

    Returns:
        (K,) int64 channel of each stuff class, -1 for things; and whether channel 0 is all things together.

    Raises:
        ValueError: no kind has this number of channels.
    """
    classes = len(is_thing)
    order = (~is_thing).cumsum(0) - 1
    stuff = int(order[-1]) + 1
    if channels not in (stuff, 1 + stuff, classes):
        raise ValueError(
            f"{channels} stuff channels are neither the {stuff} stuff classes, nor one more for all things, nor all "
            f"{classes} classes"
        )
    together = channels == 1 + stuff
    if channels == classes and not together:
        order = torch.arange(classes, device=order.device)
    return torch.where(is_thing, -1, order + int(together)), together


def position_targets(
    targets: PanopticTargets,
    is_thing: Tensor,
    channels: int,
    size: tuple[int, int],
    level_sizes: Sequence[tuple[int, int]],
    level_ranges: Sequence[tuple[float, float]],
    min_overlap: float = 0.7,
    crowd_as_things: bool = True,
) -> PositionTargets:
    """Everything but the heat maps of things, which ``thing_heat`` draws.

    Args:
        targets: of B images.
        is_thing: (K,) bool per class; on the CPU the device is not waited for.
        channels: C of the stuff maps, see ``stuff_channels``.
        size: (h, w) of the mask predictions.
        level_sizes: (h_l, w_l), finest first.
        level_ranges: for each level the smallest and the largest root of a box's area, in pixels of the targets.
        min_overlap: of boxes whose corners are moved by the radius; 0..1.
        crowd_as_things: crowd of a thing class belongs to the region of all things, as in the original; nowhere else.
    """
    device = targets.ids.device
    rows = targets.classes.shape[1]
    height, width = targets.ids.shape[-2:]
    channel_of_class, together = stuff_channels(is_thing, channels)
    channel_of_class, is_thing = channel_of_class.to(device), is_thing.to(device)

    labelled = targets.classes >= 0
    things = labelled & is_thing[targets.classes.clamp(min=0)]
    masks = _masks(targets.ids, rows, size)
    touched = masks > _TOUCHED
    present = touched.flatten(2).any(dim=2) & labelled & ~targets.crowd
    labels = torch.where(present, targets.classes, -1)
    channel = torch.where(present, channel_of_class[targets.classes.clamp(min=0)], -1)

    collected = channel
    if together:
        collected = torch.where(things & (present | targets.crowd & crowd_as_things), 0, channel)
    regions = _collect(masks, collected, channels)
    masks = masks * present[..., None, None]

    box_height, box_width = _box_sizes(targets.ids, rows)
    root = (box_height * box_width).double().sqrt()
    low, high = (torch.tensor(bounds, dtype=torch.float64) for bounds in zip(*level_ranges, strict=True))
    low, high = low.to(device, non_blocking=True), high.to(device, non_blocking=True)
    pairs = (root[..., None] >= low) & (root[..., None] <= high) & (things & present)[..., None]

    mean_y, mean_x = _mean_positions(touched)
    centers, radii = [], []
    for h, w in level_sizes:
        y = (mean_y * (h / size[0])).long()  # a mean position is less than size[0], so this is less than h
        x = (mean_x * (w / size[1])).long()
        centers.append(torch.stack([y, x], dim=-1))
        radii.append(_radius(box_width * (w / width), box_height * (h / height), min_overlap))

    shares = at_levels(torch.cat([regions, masks.sum(dim=1, keepdim=True)], dim=1), level_sizes)
    return PositionTargets(
        sizes=tuple(tuple(s) for s in level_sizes),
        labels=labels,
        visible=(box_height > 0) & labelled & ~targets.crowd,
        masks=masks,
        pairs=pairs,
        centers=torch.stack(centers, dim=2),
        radii=torch.stack(radii, dim=2),
        regions=regions,
        stuff=torch.where(shares[:, :-1] >= 0.5, shares[:, :-1].clamp(max=1), 0.0),
        channels=channel,
        void=shares[:, -1] < 0.5,
    )


def thing_heat(truth: PositionTargets, is_thing: Tensor) -> Tensor:
    """(B, T, P) float32 0..1, T things in the order of the taxonomy; 1 at a centre.

    Args:
        is_thing: (K,) bool; on the CPU the device is not waited for.
    """
    device = truth.labels.device
    batch = len(truth.labels)
    count = int(is_thing.sum())
    channel = (is_thing.cumsum(0) - 1).to(device)[truth.labels.clamp(min=0)]
    maps = []
    for level, (h, w) in enumerate(truth.sizes):
        pair, radius = truth.pairs[:, :, level], truth.radii[:, :, level, None]
        spread = -0.5 * (3 / (2 * radius.double() + 1)) ** 2
        bells = []
        for axis, length in enumerate((h, w)):
            away = torch.arange(length, device=device) - truth.centers[:, :, level, axis, None]  # (B, R, length)
            bells.append(torch.where(away.abs() <= radius, (away**2 * spread).exp(), 0.0).float())
        heat = (bells[0][..., :, None] * bells[1][..., None, :] * pair[..., None, None]).flatten(2)
        # rows without a pair write zeros into whatever channel
        index = torch.where(pair, channel, count)[..., None].expand_as(heat)
        empty = heat.new_zeros(batch, count + 1, h * w)
        maps.append(empty.scatter_reduce(1, index, heat, "amax")[:, :count])
    return torch.cat(maps, dim=2)


def at_levels(maps: Tensor, level_sizes: Sequence[tuple[int, int]]) -> Tensor:
    """(B, C, h, w) to (B, C, P): bilinear, pixel centres at (i + 0.5) / size, the levels one after the other."""
    if not maps.shape[1]:  # which F.interpolate refuses
        return maps.new_zeros(len(maps), 0, sum(h * w for h, w in level_sizes))
    resized = [F.interpolate(maps, size, mode="bilinear", align_corners=False) for size in level_sizes]
    return torch.cat([m.flatten(2) for m in resized], dim=2)


def _masks(ids: Tensor, rows: int, size: tuple[int, int]) -> Tensor:
    """(B, R, *size) float32, of all rows, crowd among them."""
    h, w = size
    y = (torch.arange(h, device=ids.device, dtype=torch.float64) + 0.5) / h
    x = (torch.arange(w, device=ids.device, dtype=torch.float64) + 0.5) / w
    points = torch.stack([x.repeat(h), y.repeat_interleave(w)], dim=-1)
    shares = sample_all_rows(ids.long() - 1, rows, points.expand(len(ids), -1, -1))
    return shares.float().view(len(ids), rows, h, w)


def _collect(masks: Tensor, channel: Tensor, channels: int) -> Tensor:
    """(B, R, h, w) to (B, C, h, w): the sum of the rows of each channel; -1 is none."""
    batch, _, h, w = masks.shape
    index = torch.where(channel < 0, channels, channel)[..., None, None].expand_as(masks)
    return masks.new_zeros(batch, channels + 1, h, w).scatter_add(1, index, masks)[:, :channels]


def _box_sizes(ids: Tensor, rows: int) -> tuple[Tensor, Tensor]:
    """(B, R) int64 each: height and width of the box around the pixels of each row, 0 without any."""
    batch, height, width = ids.shape
    y = torch.arange(height, device=ids.device)[:, None].expand(height, width).flatten()
    x = torch.arange(width, device=ids.device).repeat(height)
    flat = ids.long().flatten(1)
    sizes = []
    for position, length in ((y, height), (x, width)):
        hit = torch.zeros(batch, (rows + 1) * length, dtype=torch.bool, device=ids.device)
        hit = hit.scatter_(1, flat * length + position, True).view(batch, rows + 1, length)[:, 1:]
        steps = torch.arange(length, device=ids.device)
        last = torch.where(hit, steps, -1).amax(dim=2)
        first = torch.where(hit, steps, length).amin(dim=2)
        sizes.append((last - first + 1).clamp(min=0))
    return sizes[0], sizes[1]


def _mean_positions(touched: Tensor) -> tuple[Tensor, Tensor]:
    """(B, R, h, w) bool to (B, R) float64 each; 0 for an empty mask."""
    ones, means = touched.float(), []
    for axis, other in ((2, 3), (3, 2)):
        steps = torch.arange(touched.shape[axis], device=touched.device)
        count = ones.sum(dim=other).long()  # of each line; exact, and faster than a sum of bools
        means.append((count * steps).sum(dim=2).double() / count.sum(dim=2).clamp(min=1))
    return means[0], means[1]


def _radius(width: Tensor, height: Tensor, min_overlap: float) -> Tensor:
    """int64: how far the corners of a box may move, truncated.

    The smallest of the three larger roots that CornerNet's code takes, each divided by 2 as there and not by 2a.
    """
    total, area = (height + width).double(), (height * width).double()
    roots = []
    for a, b, c in (
        (1.0, total, area * (1 - min_overlap) / (1 + min_overlap)),
        (4.0, 2 * total, (1 - min_overlap) * area),
        (4 * min_overlap, -2 * min_overlap * total, (min_overlap - 1) * area),
    ):
        roots.append((b + (b**2 - 4 * a * c).clamp(min=0).sqrt()) / 2)
    return torch.stack(roots).amin(dim=0).clamp(min=0).long()
