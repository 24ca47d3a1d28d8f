"""Panoptic FCN's targets and losses once more: loops over images, objects, levels, positions, kernels. Slow on purpose.

The facts that the loops state: an object trains on every level whose range contains the root of its box's area; its
centre is the mean position of the pixels that its mask touches at the prediction's resolution; what is not an object or
stuff is a negative; the weights of an object's kernels on a level are their scores, made to sum to one.
"""

import math

import torch


def sampled(grid, height, width):
    """Bilinear values of a nested list at pixel centres ((i + 0.5) / size), borders repeated."""
    h, w = len(grid), len(grid[0])

    def taps(position, size, source):
        x = max((position + 0.5) * source / size - 0.5, 0.0)
        low = min(int(x), source - 1)
        return (low, 1 - (x - low)), (min(low + 1, source - 1), x - low)

    return [
        [
            sum(a * b * grid[r][c] for r, a in taps(y, height, h) for c, b in taps(x, width, w) if a * b > 0)
            for x in range(width)
        ]
        for y in range(height)
    ]


def radius_of(width, height, min_overlap):
    roots = []
    for a, b, c in (
        (1, height + width, width * height * (1 - min_overlap) / (1 + min_overlap)),
        (4, 2 * (height + width), (1 - min_overlap) * width * height),
        (4 * min_overlap, -2 * min_overlap * (height + width), (min_overlap - 1) * width * height),
    ):
        roots.append((b + math.sqrt(b * b - 4 * a * c)) / 2)
    return max(int(min(roots)), 0)


class ImageTruth:
    """What one image asks for; everything is plain Python.

    ``objects``: {row: (thing channel, mask at stride 4, {level: (radius, cy, cx)})}; ``heat``: per level [T][h][w];
    ``stuff``: per level [C][h][w]; ``regions``: [C][h][w] at stride 4; ``void``: per level [h][w].
    """

    def __init__(self, ids, classes, crowd, is_thing, channels, size, levels, config):
        height, width = len(ids), len(ids[0])
        things = [k for k, thing in enumerate(is_thing) if thing]
        stuff = [k for k, thing in enumerate(is_thing) if not thing]
        together = channels == 1 + len(stuff)
        if together:
            self.channel_of = {k: 1 + i for i, k in enumerate(stuff)}
        elif channels == len(stuff):
            self.channel_of = {k: i for i, k in enumerate(stuff)}
        else:
            self.channel_of = {k: k for k in stuff}

        self.masks, self.objects, self.levels_of = {}, {}, {}
        cover = [[0.0] * size[1] for _ in range(size[0])]
        self.regions = [[[0.0] * size[1] for _ in range(size[0])] for _ in range(channels)]
        for row, label in enumerate(classes):
            own = [[1.0 if ids[y][x] == row + 1 else 0.0 for x in range(width)] for y in range(height)]
            mask = sampled(own, *size)
            if label < 0:
                continue
            channel = 0 if is_thing[label] and together else self.channel_of.get(label)
            if channel is not None and (not crowd[row] or (is_thing[label] and config.crowd_as_things)):
                for y in range(size[0]):
                    for x in range(size[1]):
                        self.regions[channel][y][x] += mask[y][x]
            if crowd[row]:
                continue
            for y in range(size[0]):
                for x in range(size[1]):
                    cover[y][x] += mask[y][x]
            touched = [(y, x) for y in range(size[0]) for x in range(size[1]) if mask[y][x] > 0]
            if not touched:
                continue
            self.masks[row] = mask
            if not is_thing[label]:
                continue
            pixels = [(y, x) for y in range(height) for x in range(width) if own[y][x]]
            box_h = max(y for y, _ in pixels) - min(y for y, _ in pixels) + 1
            box_w = max(x for _, x in pixels) - min(x for _, x in pixels) + 1
            mean_y = sum(y for y, _ in touched) / len(touched)
            mean_x = sum(x for _, x in touched) / len(touched)
            on = {}
            for level, (low, high) in enumerate(config.level_ranges):
                h, w = levels[level]
                if low <= math.sqrt(box_h * box_w) <= high:
                    center = min(int(mean_y * (h / size[0])), h - 1), min(int(mean_x * (w / size[1])), w - 1)
                    on[level] = (
                        radius_of(box_w * (w / width), box_h * (h / height), config.min_overlap),
                        *center,
                    )
            self.objects[row] = (things.index(label), mask, on)

        self.heat, self.stuff, self.void = [], [], []
        for level, (h, w) in enumerate(levels):
            heat = [[[0.0] * w for _ in range(h)] for _ in things]
            for channel, _, on in self.objects.values():
                if level in on:
                    radius, cy, cx = on[level]
                    sigma = (2 * radius + 1) / 3
                    for y in range(max(cy - radius, 0), min(cy + radius, h - 1) + 1):
                        for x in range(max(cx - radius, 0), min(cx + radius, w - 1) + 1):
                            value = math.exp(-((y - cy) ** 2 + (x - cx) ** 2) / (2 * sigma**2))
                            heat[channel][y][x] = max(heat[channel][y][x], value)
            self.heat.append(heat)
            maps = [sampled(region, h, w) for region in self.regions]
            self.stuff.append([[[v if v >= 0.5 else 0.0 for v in line] for line in m] for m in maps])
            self.void.append([[v < 0.5 for v in line] for line in sampled(cover, h, w)])


def truths(output, targets, is_thing, config):
    maps = output.positions
    return [
        ImageTruth(
            targets.ids[b].tolist(),
            targets.classes[b].tolist(),
            targets.crowd[b].tolist(),
            is_thing.tolist(),
            maps.stuff_logits[0].shape[1],
            tuple(output.pixel_embed.shape[-2:]),
            [tuple(m.shape[-2:]) for m in maps.thing_logits],
            config,
        )
        for b in range(len(targets))
    ]


def focal(x, t, alpha, gamma):
    p = x.sigmoid()
    entropy = -(t * p.log() + (1 - t) * (1 - p).log())
    wrong = 1 - (p * t + (1 - p) * (1 - t))
    return (alpha * t + (1 - alpha) * (1 - t)) * wrong**gamma * entropy


def dice(x, t):
    p = x.sigmoid().flatten()
    t = torch.tensor(t, dtype=p.dtype).flatten()
    return 1 - 2 * (p * t).sum() / ((p**2).sum() + (t**2).sum())


def kernels_of(maps, b, truth, row, level, config):
    """[(flat position on the level, weight)] of one object, best first."""
    channel, mask, _ = truth.objects[row]
    logits = maps.thing_logits[level][b, channel]
    h, w = logits.shape
    inside = sampled(mask, h, w)
    places = [y * w + x for y in range(h) for x in range(w) if inside[y][x] > config.inside_threshold]
    scores = logits.sigmoid().flatten()
    best = sorted(places, key=lambda p: -scores[p].item())[: config.kernels_per_object]
    total = sum(scores[p] for p in best)
    return [(p, scores[p] / total) for p in best]


def pooled(maps, b, truth, level, channel):
    """The kernel of one region of one level, or None."""
    values = maps.stuff_kernels[level][b]
    region = truth.stuff[level][channel]
    h, w = values.shape[-2:]
    inside = [(y, x) for y in range(h) for x in range(w) if region[y][x] > 0]
    if not inside:
        return None
    return sum(values[:, y, x] for y, x in inside) / (h * w) + maps.stuff_bias


def heat_with(output, truth, b, is_thing):
    """The heat maps of one image, mixed with the soft labels of the queries that sit there."""
    heat = [torch.tensor(h, dtype=torch.float64) for h in truth.heat]
    mix = output.label_mix
    if mix is None:
        return heat
    things = [k for k, thing in enumerate(is_thing.tolist()) if thing]
    softs = {}
    for n, position in enumerate(output.positions.chosen[b].tolist()):
        if position >= 0:
            softs.setdefault(position, []).append(mix.soft[b, n][things].double())
    start = 0
    for level in heat:
        h, w = level.shape[-2:]
        for position, found in softs.items():
            if start <= position < start + h * w:
                y, x = divmod(position - start, w)
                level[:, y, x] = (1 - mix.weight) * level[:, y, x] + mix.weight * sum(found) / len(found)
        start += h * w
    return heat


def criterion(output, targets, is_thing, config):
    """The four terms of an output whose mask logits nobody has changed."""
    maps = output.positions
    features = output.pixel_embed
    zero = sum(m.sum() for m in maps.thing_logits) * 0
    things, stuff, mask_things, mask_stuff = zero, zero, zero, zero
    pairs = stuff_pairs = 0
    for b, truth in enumerate(truths(output, targets, is_thing, config)):
        heat = heat_with(output, truth, b, is_thing)
        for level in range(len(maps.thing_logits)):
            h, w = maps.thing_logits[level].shape[-2:]
            asked = 1 - torch.tensor(truth.void[level], dtype=torch.float64) * config.ignore_void
            for c, logits in enumerate(maps.thing_logits[level][b]):
                term = focal(logits, heat[level][c], config.focal_alpha, config.focal_gamma)
                things = things + (term * asked).sum()
            for c, logits in enumerate(maps.stuff_logits[level][b]):
                target = torch.tensor(truth.stuff[level][c], dtype=torch.float64)
                term = focal(logits, target, config.focal_alpha, config.focal_gamma)
                stuff = stuff + (term * asked).sum() / (h * w)
            for row, (_, mask, on) in truth.objects.items():
                if level not in on:
                    continue
                pairs += 1
                for position, weight in kernels_of(maps, b, truth, row, level, config):
                    kernel = maps.thing_kernels[level][b].flatten(1)[:, position]
                    logits = torch.tensordot(kernel, features[b], dims=1)
                    mask_things = mask_things + weight * dice(logits, mask)
            for channel, region in enumerate(truth.regions):
                kernel = pooled(maps, b, truth, level, channel)
                if kernel is not None:
                    stuff_pairs += 1
                    mask_stuff = mask_stuff + dice(torch.tensordot(kernel, features[b], dims=1), region)
    return {
        "position_things": config.position_weight * things / max(pairs, 1),
        "position_stuff": config.position_weight * stuff / len(targets),
        "mask_things": config.segment_weight * mask_things / max(pairs, 1),
        "mask_stuff": config.segment_weight * mask_stuff / max(stuff_pairs, 1),
    }
