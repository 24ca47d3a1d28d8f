"""The kMaX losses once more, pixel by pixel in plain loops, straight from the formulas. Slow on purpose.

One image at a time; ``grid[y][x]`` is the row of a pixel or None on void, ``labels`` maps the rows that exist to
their classes.
"""

from itertools import permutations

import torch
from torch.nn import functional as F


def targets_of(ids, classes, crowd, size):
    """Every s-th pixel of a map whose size is s * (n - 1) + 1; crowd is void."""
    step_y, step_x = (ids.shape[0] - 1) // max(size[0] - 1, 1), (ids.shape[1] - 1) // max(size[1] - 1, 1)
    grid = []
    for y in range(size[0]):
        row = []
        for x in range(size[1]):
            value = int(ids[y * step_y, x * step_x])
            row.append(None if value == 0 or bool(crowd[value - 1]) else value - 1)
        grid.append(row)
    labels = {g: int(classes[g]) for row in grid for g in row if g is not None}
    return grid, labels


def pixels_of(grid):
    return [(y, x) for y in range(len(grid)) for x in range(len(grid[0]))]


def softmax(values):
    exponentials = [torch.exp(v) for v in values]
    return [e / sum(exponentials) for e in exponentials]


def query_softmax(masks, y, x):
    return softmax([masks[n, y, x] for n in range(masks.shape[0])])


def similarity(masks, class_logits, grid, labels):
    """dice[n][g], probability[n][g], void_share[n]"""
    queries = masks.shape[0]
    probability = {(y, x): query_softmax(masks, y, x) for y, x in pixels_of(grid)}
    dice, class_probability, void_share = [], [], []
    for n in range(queries):
        on_label = sum(probability[y, x][n] for y, x in pixels_of(grid) if grid[y][x] is not None)
        on_void = sum(probability[y, x][n] for y, x in pixels_of(grid) if grid[y][x] is None)
        void_share.append(float(on_void / (on_void + on_label + 1e-5)))
        dice.append({})
        class_probability.append({})
        for g, label in labels.items():
            inside = sum(probability[y, x][n] for y, x in pixels_of(grid) if grid[y][x] == g)
            area = sum(1 for y, x in pixels_of(grid) if grid[y][x] == g)
            dice[n][g] = float(inside / ((on_label + area) / 2 + 1e-5))
            class_probability[n][g] = float(softmax(list(class_logits[n]))[label])
    return dice, class_probability, void_share


def best_assignment(dice, class_probability, labels, queries):
    """Tries every injection; {row: query}."""
    rows = list(labels)
    best, best_value = {}, -1.0
    if len(rows) <= queries:
        pairings = (dict(zip(rows, chosen, strict=True)) for chosen in permutations(range(queries), len(rows)))
    else:
        pairings = (dict(zip(chosen, range(queries), strict=True)) for chosen in permutations(rows, queries))
    for pairing in pairings:
        value = sum(dice[n][g] * class_probability[n][g] for g, n in pairing.items())
        if value > best_value:
            best, best_value = pairing, value
    return best


def drop(grid, pairing):
    return [[g if g in pairing else None for g in row] for row in grid]


def nonzero_mean(values):
    nonzero = sum(1 for v in values if float(v.detach()) != 0)
    return sum(values) / max(1, nonzero)


def class_term(class_logits, labels, pairing, dice, void_share, soft=None, mix=0.0):
    queries, columns = class_logits.shape
    losses = []
    for n in range(queries):
        row = next((g for g, q in pairing.items() if q == n), None)
        target = [0.0] * columns
        if row is None:
            target[-1] = 1.0
            share, weight = 0.25, max(void_share[n], 1e-5)
        else:
            target[labels[row]] = 1.0 - mix
            for k in range(columns - 1):
                target[k] += mix * float(soft[n, k]) if soft is not None else 0.0
            share, weight = 0.75, max(dice[n][row], 1e-5)
        probability = softmax(list(class_logits[n]))
        losses.append(share * weight * sum(-t * torch.log(p) for t, p in zip(target, probability, strict=True)))
    return nonzero_mean(losses)


def mask_term(masks, grid, pairing, class_probability):
    grid = drop(grid, pairing)
    total = masks.sum() * 0
    for g, n in pairing.items():
        inside, predicted, area = 0.0, 0.0, 0
        for y, x in pixels_of(grid):
            if grid[y][x] is None:
                continue
            p = query_softmax(masks, y, x)[n]
            predicted = predicted + p
            if grid[y][x] == g:
                inside, area = inside + p, area + 1
        dice_loss = 1 - (2 * inside + 1) / (predicted + area + 1)
        total = total + max(class_probability[n][g], 1e-5) * dice_loss
    return 0.75 / masks.shape[0] * total


def mask_id_term(masks, grid, pairing, activation):
    grid = drop(grid, pairing)
    losses, labelled = [masks.sum() * 0], 0
    for y, x in pixels_of(grid):
        if grid[y][x] is None:
            continue
        labelled += 1
        target = pairing[grid[y][x]]
        if activation == "softmax":
            losses.append(-torch.log(query_softmax(masks, y, x)[target]))
            continue
        for n in range(masks.shape[0]):
            p = torch.sigmoid(masks[n, y, x])
            losses.append(-torch.log(p) if n == target else -torch.log(1 - p))
    return nonzero_mean(losses) if activation == "softmax" else sum(losses) / max(1, labelled)


def instance_term(features, segments, temperature):
    """``features`` (K, D) and ``segments`` a list of K rows or None; the K x K matrix in full."""
    used = [i for i, g in enumerate(segments) if g is not None]
    losses = [features.sum() * 0]
    for i in used:
        similar = [torch.exp(sum(features[i] * features[j]) / temperature) for j in used]
        alike = [s for s, j in zip(similar, used, strict=True) if segments[j] == segments[i]]
        losses.append(sum(-torch.log(s / sum(similar)) for s in alike) / len(alike))
    return sum(losses) / max(1, len(used))


def semantic_term(logits, grid, labels, kind="softmax"):
    losses = [logits.sum() * 0]
    for y, x in pixels_of(grid):
        if grid[y][x] is None:
            continue
        label = labels[grid[y][x]]
        column = [logits[c, y, x] for c in range(logits.shape[0])]
        if kind == "softmax":
            losses.append(-torch.log(softmax(column)[label]))
        else:
            chances = [torch.sigmoid(v) for v in column]
            losses.append(sum(-torch.log(p if c == label else 1 - p) for c, p in enumerate(chances)))
    return sum(losses) / max(1, len(losses) - 1)


def resize(maps, size):
    return F.interpolate(maps, size=size, mode="bilinear", align_corners=True)


def criterion(output, targets, config):
    """All terms of a batch, every pixel drawn. Returns the losses, and {row: query} of the final output per image."""
    outputs = [*output.layers, output]
    size = tuple(output.mask_logits.shape[-2:])
    batch = output.class_logits.shape[0]
    sums = dict.fromkeys(("class", "mask", "mask_id", "instance"), 0.0)
    semantic, pairings = 0.0, []
    for image in range(batch):
        truth = (targets.ids[image], targets.classes[image], targets.crowd[image])
        grid, labels = targets_of(*truth, size)
        resized = [F.interpolate(o.mask_logits, size=size, mode="bilinear", align_corners=True)[image] for o in outputs]
        features = [
            F.interpolate(o.pixel_embed, size=size, mode="bilinear", align_corners=True)[image] for o in outputs
        ]
        judged = [
            similarity(m.detach(), o.class_logits[image].detach(), grid, labels)
            for m, o in zip(resized, outputs, strict=True)
        ]
        for i, o in enumerate(outputs):
            dice, probability, void = judged[-1 if config.share_final_matching else i]
            pairing = best_assignment(dice, probability, labels, o.num_queries)
            soft, mix = (o.label_mix.soft[image], o.label_mix.weight) if o.label_mix else (None, 0.0)
            sums["class"] += class_term(o.class_logits[image], labels, pairing, dice, void, soft, mix)
            sums["mask"] += mask_term(resized[i], grid, pairing, probability)
            sums["mask_id"] += mask_id_term(resized[i], grid, pairing, config.mask_activation)
            kept = [g for row in drop(grid, pairing) for g in row]
            sums["instance"] += instance_term(features[i].flatten(1).T, kept, config.similarity_temperature)
        pairings.append(pairing)
        if output.semantic_logits is not None:
            truth_there = targets_of(*truth, tuple(output.semantic_logits.shape[-2:]))
            semantic += semantic_term(output.semantic_logits[image], *truth_there)
    losses = {name: getattr(config, f"{name}_weight") * value / batch for name, value in sums.items()}
    if output.semantic_logits is not None:
        losses["semantic"] = config.semantic_weight * semantic / batch
    return losses, pairings
