"""Merging of queries with independent masks in plain loops at full resolution: what the tiles must reproduce."""

import torch
import torch.nn.functional as F

from pantile.contracts.outputs import MaskOutput
from pantile.contracts.placement import Placement
from pantile.contracts.taxonomy import Taxonomy
from pantile.merge.query_config import QueryMergeConfig


def full_probabilities(output: MaskOutput, image: int, placement: Placement) -> torch.Tensor:
    """(N, H, W) float64 at the original size: padded input, crop, original, one after the other."""
    logits = output.mask_logits[image : image + 1].double()
    padded = F.interpolate(logits, placement.padded, mode="bilinear", align_corners=False)
    content = padded[:, :, : placement.content[0], : placement.content[1]]
    return F.interpolate(content, placement.original, mode="bilinear", align_corners=False)[0].sigmoid()


def oracle_panoptic(
    output: MaskOutput, image: int, taxonomy: Taxonomy, config: QueryMergeConfig, placement: Placement
) -> tuple[torch.Tensor, list[tuple[int, float]]]:
    """Ids, and (class index, score) of segments 1..S."""
    probability = full_probabilities(output, image, placement)
    classes = output.class_logits[image].double().softmax(-1)
    kept = []
    for query in range(output.num_queries):
        score, best = max((p, -k) for k, p in enumerate(classes[query].tolist()))
        if -best < taxonomy.num_classes and score > config.object_threshold:
            kept.append((query, score, -best))
    height, width = placement.original
    ids = torch.zeros(height, width, dtype=torch.int64)
    if not kept:
        return ids, []
    owner = torch.zeros(height, width, dtype=torch.int64)
    for y in range(height):
        for x in range(width):
            weighted = [score * probability[query, y, x].item() for query, score, _ in kept]
            owner[y, x] = max(range(len(kept)), key=lambda c: (weighted[c], -c))
    segments, stuff = [], {}
    for number, (query, score, label) in enumerate(kept):
        won, mask = owner == number, probability[query] >= 0.5
        region = won & mask if config.pixel_test else won
        areas = [int(a.sum()) for a in (won, mask, region)]
        if 0 in areas or areas[0] / areas[1] < config.overlap_threshold:
            continue
        if label in stuff:
            ids[region] = stuff[label]
            old = segments[stuff[label] - 1]
            segments[stuff[label] - 1] = (label, max(score, old[1]))
            continue
        segments.append((label, score))
        ids[region] = len(segments)
        if not taxonomy.classes[label].is_thing:
            stuff[label] = len(segments)
    return ids, segments


def oracle_semantic(output: MaskOutput, image: int, placement: Placement) -> torch.Tensor:
    """(H, W)"""
    probability = full_probabilities(output, image, placement)
    classes = output.class_logits[image].double().softmax(-1)[:, :-1]
    votes = torch.zeros(classes.shape[1], *probability.shape[1:], dtype=torch.float64)
    for query in range(output.num_queries):
        for label in range(classes.shape[1]):
            votes[label] += classes[query, label] * probability[query]
    return votes.argmax(0)


def oracle_instances(
    output: MaskOutput, image: int, taxonomy: Taxonomy, count: int, placement: Placement
) -> list[tuple[int, float, torch.Tensor]]:
    """(class index, score, mask (H, W) bool), best score first."""
    probability = full_probabilities(output, image, placement)
    classes = output.class_logits[image].double().softmax(-1)
    pairs = [(classes[q, k].item(), q, k) for q in range(output.num_queries) for k in taxonomy.thing_indices]
    found = []
    for score, query, label in sorted(pairs, key=lambda pair: -pair[0])[:count]:
        mask = probability[query] > 0.5
        if mask.any():
            found.append((label, score * probability[query][mask].mean().item(), mask))
    return sorted(found, key=lambda instance: -instance[1])
