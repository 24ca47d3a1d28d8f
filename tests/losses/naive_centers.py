"""Panoptic-DeepLab's targets and losses once more, pixel by pixel in plain loops. Slow on purpose.

One image at a time: ``ids`` (H, W) with 0 for void and r + 1 for row r, ``classes`` and ``crowd`` per row.
"""

import math

import torch

NOTHING = -1


def targets_of(ids, classes, crowd, is_thing, sigma=8.0, small_area=4096, small_weight=3.0, crowd_in_semantic=True):
    """A dict of (H, W) nested lists ("offset" holds (dy, dx), "mean_offset" too) and "centers", {row: (y, x)}."""
    height, width = len(ids), len(ids[0])
    members = {}
    for y in range(height):
        for x in range(width):
            if ids[y][x] != 0:
                members.setdefault(ids[y][x] - 1, []).append((y, x))

    means = {}
    for row, pixels in members.items():
        if is_thing[classes[row]] and not crowd[row]:
            means[row] = (sum(y for y, _ in pixels) / len(pixels), sum(x for _, x in pixels) / len(pixels))
    centers = {row: (round(y), round(x)) for row, (y, x) in means.items()}  # Python rounds half to even

    def gaussian(y, x):
        heat = 0.0
        for cy, cx in centers.values():
            if max(abs(y - cy), abs(x - cx)) <= 3 * sigma + 1:
                heat = max(heat, math.exp(-((y - cy) ** 2 + (x - cx) ** 2) / (2 * sigma**2)))
        return heat

    names = ("semantic", "semantic_weight", "heatmap", "heatmap_weight", "offset", "mean_offset", "offset_weight")
    maps = {name: [[0] * width for _ in range(height)] for name in names}
    for y in range(height):
        for x in range(width):
            row = ids[y][x] - 1
            maps["heatmap"][y][x] = gaussian(y, x)
            maps["semantic"][y][x] = NOTHING
            maps["offset"][y][x] = maps["mean_offset"][y][x] = (0, 0)
            if row < 0:
                continue
            if crowd_in_semantic or not crowd[row]:
                maps["semantic"][y][x] = classes[row]
                small = row in centers and len(members[row]) < small_area
                maps["semantic_weight"][y][x] = small_weight if small else 1
            maps["heatmap_weight"][y][x] = 0 if crowd[row] else 1
            if row in centers:
                maps["offset"][y][x] = (centers[row][0] - y, centers[row][1] - x)
                maps["mean_offset"][y][x] = (means[row][0] - y, means[row][1] - x)
                maps["offset_weight"][y][x] = 1
    return maps | {"centers": centers, "visible": [row for row in members if not crowd[row]]}


def resized(plane, height, width):
    """Bilinear with aligned corners: {(y, x): value} of an (h, w) tensor."""
    h, w = plane.shape
    values = {}
    for y in range(height):
        for x in range(width):
            v = y * (h - 1) / (height - 1) if height > 1 else 0.0
            u = x * (w - 1) / (width - 1) if width > 1 else 0.0
            top, left = min(int(v), h - 1), min(int(u), w - 1)
            bottom, right = min(top + 1, h - 1), min(left + 1, w - 1)
            down, across = v - top, u - left
            values[y, x] = (
                plane[top, left] * (1 - down) * (1 - across)
                + plane[top, right] * (1 - down) * across
                + plane[bottom, left] * down * (1 - across)
                + plane[bottom, right] * down * across
            )
    return values


def image_terms(semantic_logits, heatmap, offset, maps):
    """Three lists of weighted losses, one per pixel in row-major order, of predictions (K, h, w), (1, h, w), (2, h, w).

    ``maps`` is what ``targets_of`` gives; "offset" in it may have been replaced by "mean_offset".
    """
    height, width = len(maps["semantic"]), len(maps["semantic"][0])
    logits = [resized(plane, height, width) for plane in semantic_logits]
    heat = resized(heatmap[0], height, width)
    growth = ((height - 1) / (offset.shape[1] - 1), (width - 1) / (offset.shape[2] - 1))
    dy = {p: v * growth[0] for p, v in resized(offset[0], height, width).items()}
    dx = {p: v * growth[1] for p, v in resized(offset[1], height, width).items()}

    semantic, center, shift = [], [], []
    nothing = semantic_logits.sum() * 0
    for y in range(height):
        for x in range(width):
            label = maps["semantic"][y][x]
            if label == NOTHING:
                semantic.append(nothing)
            else:
                at = [plane[y, x] for plane in logits]
                entropy = torch.log(sum(torch.exp(v) for v in at)) - at[label]
                semantic.append(entropy * maps["semantic_weight"][y][x])
            center.append((heat[y, x] - maps["heatmap"][y][x]) ** 2 * maps["heatmap_weight"][y][x])
            goal_y, goal_x = maps["offset"][y][x]
            apart = (abs(dy[y, x] - goal_y) + abs(dx[y, x] - goal_x)) / 2
            shift.append(apart * maps["offset_weight"][y][x])
    return semantic, center, shift


def largest(values, share):
    return sorted(values, key=lambda v: v.item(), reverse=True)[: max(1, round(share * len(values)))]


def mean_of_nonzero(values):
    return sum(values) / max(1, sum(1 for v in values if v.item() != 0))


def criterion(output, targets, is_thing, config):
    """{"semantic", "center", "offset"} of a batch."""
    images, all_maps = [], []
    for image in range(len(targets.ids)):
        maps = targets_of(
            targets.ids[image].tolist(),
            targets.classes[image].tolist(),
            targets.crowd[image].tolist(),
            is_thing.tolist(),
            config.sigma,
            config.small_area,
            config.small_weight,
            config.crowd_in_semantic,
        )
        if config.offset_to == "mean":
            maps["offset"] = maps["mean_offset"]
        all_maps.append(maps)
        images.append(
            image_terms(output.semantic_logits[image], output.center_heatmap[image], output.center_offset[image], maps)
        )
    groups = [semantic for semantic, _, _ in images]
    if config.top_k_over == "batch":
        groups = [[value for group in groups for value in group]]
    kept = [largest(group, config.top_k) for group in groups]
    if config.divide_by == "nonzero":
        semantic = sum(mean_of_nonzero(group) for group in kept) / len(kept)
        center = sum(mean_of_nonzero(values) for _, values, _ in images) / len(images)
        offset = sum(mean_of_nonzero(values) for _, _, values in images) / len(images)
    else:
        together = [value for group in kept for value in group]
        semantic = sum(together) / len(together)
        center = sum(sum(values) for _, values, _ in images) / max(1, weight_of(all_maps, "heatmap_weight"))
        offset = sum(sum(values) for _, _, values in images) / max(1, weight_of(all_maps, "offset_weight"))
    return {
        "semantic": config.semantic_weight * semantic,
        "center": config.center_weight * center,
        "offset": config.offset_weight * offset,
    }


def weight_of(all_maps, name):
    return sum(sum(sum(row) for row in maps[name]) for maps in all_maps)
