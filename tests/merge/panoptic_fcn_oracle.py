"""Merging of kernels at positions in plain loops over candidates and pixels: what the fast form must reproduce."""

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F

from pantile.contracts.outputs import MaskOutput
from pantile.contracts.placement import Placement
from pantile.contracts.taxonomy import Taxonomy
from pantile.merge.panoptic_fcn_config import PanopticFCNMergeConfig


class Thing(NamedTuple):
    label: int
    score: float
    mask: torch.Tensor  # (H, W) bool


class Answer(NamedTuple):
    ids: torch.Tensor  # (H, W)
    segments: list[tuple[int, float]]  # (class index, score) of 1..S
    instances: list[Thing]
    semantic: torch.Tensor  # (H, W)


def oracle(
    output: MaskOutput, image: int, taxonomy: Taxonomy, config: PanopticFCNMergeConfig, placement: Placement
) -> Answer:
    logits, kernels = output.mask_logits[image].double(), output.query_embed[image].double()
    things, regions = read_queries(output.class_logits[image].double(), taxonomy, config)
    height, width = placement.original
    instances = [
        Thing(label, score, at_original(probability, placement) > config.mask_threshold)
        for label, score, probability in rescored_things(things, logits, kernels, config)
    ]
    instances = [thing for thing in instances if thing.mask.any()]

    ids = torch.zeros(height, width, dtype=torch.int64)
    segments: list[tuple[int, float]] = []
    for thing in instances:
        if thing.score < config.object_threshold:
            continue
        pixels, old = thing.mask.nonzero().tolist(), ids.tolist()
        if sum(old[y][x] > 0 for y, x in pixels) / len(pixels) > config.overlap_threshold:
            continue
        segments.append((thing.label, thing.score))
        for y, x in pixels:
            if old[y][x] == 0:
                ids[y, x] = len(segments)

    # stuff: None stands for the region of no class
    maps, scores = {}, {}
    for label in [None, *range(taxonomy.num_classes)]:
        members = [(query, score) for query, score, other in regions if other == label]
        if members:
            mean = sum(logits[query] for query, _ in members) / len(members)
            maps[label] = at_original(mean.sigmoid(), placement).tolist()
            scores[label] = sum(score for _, score in members) / len(members)
    number = {}
    for label in maps:
        if label is not None:
            segments.append((label, scores[label]))
            number[label] = len(segments)
    for y in range(height):
        for x in range(width):
            best, winner = (maps[None][y][x] if None in maps else 0.0), None
            for label in number:
                if maps[label][y][x] > best:
                    best, winner = maps[label][y][x], label
            if winner is not None and ids[y, x] == 0:
                ids[y, x] = number[winner]

    semantic = torch.full((height, width), -1)
    for one, (label, _) in enumerate(segments, start=1):
        semantic[ids == one] = label
        limit = config.thing_area_limit if taxonomy.classes[label].is_thing else config.stuff_area_limit
        if int((ids == one).sum()) < limit:
            ids[ids == one] = 0
    kept = [one for one in range(1, len(segments) + 1) if (ids == one).any()]
    renumbered = torch.zeros_like(ids)
    for new, old in enumerate(kept, start=1):
        renumbered[ids == old] = new
    return Answer(renumbered, [segments[old - 1] for old in kept], instances, semantic)


def read_queries(class_logits: torch.Tensor, taxonomy: Taxonomy, config: PanopticFCNMergeConfig):
    """Things (query, score, label), best first; regions (query, score, label or None)."""
    things, regions = [], []
    for query, row in enumerate(class_logits.softmax(-1).tolist()):
        real, absent = row[:-1], row[-1]
        if len(real) > 1 and min(real) == max(real):
            if absent > config.region_threshold:
                regions.append((query, absent, None))
            continue
        score = max(real)
        label = real.index(score)
        if taxonomy.classes[label].is_thing:
            if score > config.peak_threshold:
                things.append((query, score, label))
        elif score > config.region_threshold:
            regions.append((query, score, label))
    return sorted(things, key=lambda thing: -thing[1]), regions


def fused(things, kernels: torch.Tensor, config: PanopticFCNMergeConfig) -> list[tuple[int, float, list[int]]]:
    """(label, score, queries of the group), one for each kept candidate."""
    groups: dict[int, list[int]] = {}
    for later, (query, _, label) in enumerate(things):
        first = later
        for earlier in reversed(range(later)):
            other, _, other_label = things[earlier]
            if label == other_label and cosine(kernels[query], kernels[other]) >= config.similarity_threshold:
                first = earlier
        if first == later:
            groups[later] = [query]
        elif first in groups:  # else the first that it resembles was itself dropped
            groups[first].append(query)
    return [(things[first][2], things[first][1], queries) for first, queries in groups.items()]


def cosine(one: torch.Tensor, other: torch.Tensor) -> float:
    product = sum(a * b for a, b in zip(one.tolist(), other.tolist(), strict=True))
    lengths = [math.sqrt(sum(a * a for a in kernel.tolist())) for kernel in (one, other)]
    return product / max(lengths[0] * lengths[1], 1e-30)


def rescored_things(things, logits: torch.Tensor, kernels: torch.Tensor, config: PanopticFCNMergeConfig):
    """(label, score, probability (h, w)), best first."""
    found = []
    for label, peak, queries in fused(things, kernels, config):
        probability = (sum(logits[query] for query in queries) / len(queries)).sigmoid()
        inside = probability[probability > config.mask_threshold]
        score = peak * (inside.sum().item() / len(inside) if len(inside) else 0.0)
        if score >= config.instance_threshold:
            found.append((label, score, probability))
    return sorted(found, key=lambda thing: -thing[1])[: config.instances]


def at_original(probability: torch.Tensor, placement: Placement) -> torch.Tensor:
    """(h, w) probabilities -> padded input -> crop to the content -> (H, W) of the image, one after the other."""
    padded = F.interpolate(probability[None, None], placement.padded, mode="bilinear", align_corners=False)
    content = padded[:, :, : placement.content[0], : placement.content[1]]
    return F.interpolate(content, placement.original, mode="bilinear", align_corners=False)[0, 0]
