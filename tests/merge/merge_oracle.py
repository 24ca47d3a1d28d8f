"""The published merging rules in plain loops at full resolution: what the fast forms must reproduce pixel by pixel."""

import math

import torch
import torch.nn.functional as F

from pantile.contracts.outputs import MaskOutput
from pantile.contracts.placement import Placement
from pantile.contracts.taxonomy import Taxonomy
from pantile.merge import MaskMergeConfig


def oracle_merge(
    output: MaskOutput, image: int, taxonomy: Taxonomy, config: MaskMergeConfig, placement: Placement
) -> tuple[torch.Tensor, list[tuple[int, float]]]:
    """Ids at the original size, and (class index, score) of segments 1..S."""
    logits = output.mask_logits[image].double()
    padded_logits = _resize(logits, placement.padded, placement)
    if config.resize_order == "logits_first":
        height, width = placement.content
        decision_logits = _resize(padded_logits[:, :height, :width], placement.original, placement)
        score_logits = decision_logits
    else:
        decision_logits, score_logits = padded_logits, logits

    class_scores, labels = output.class_logits[image].double().softmax(-1)[:, :-1].max(-1)
    passes = []
    for score, label in zip(class_scores.tolist(), labels.tolist(), strict=True):
        thing = taxonomy.classes[label].is_thing
        threshold = config.thing_class_threshold if thing else config.stuff_class_threshold
        passes.append(score > threshold if config.strict else score >= threshold)

    paste = _paste_masks if config.kind == "mask_wise" else _assign_pixels
    ids, segments = paste(decision_logits, score_logits, class_scores, labels, passes, taxonomy, config)

    for number, (label, _) in enumerate(segments, start=1):
        limit = config.thing_area_limit if taxonomy.classes[label].is_thing else config.stuff_area_limit
        if int((ids == number).sum()) < limit:
            ids[ids == number] = 0
    if config.resize_order == "ids_last":
        ids = _nearest(ids[: placement.content[0], : placement.content[1]], placement)

    kept = [number for number in range(1, len(segments) + 1) if (ids == number).any()]
    renumbered = torch.zeros_like(ids)
    for new, old in enumerate(kept, start=1):
        renumbered[ids == old] = new
    return renumbered, [segments[old - 1] for old in kept]


def _paste_masks(decision_logits, score_logits, class_scores, labels, passes, taxonomy, config):
    probability = decision_logits.softmax(0)
    masks = probability > config.pixel_confidence
    score_probability = score_logits.softmax(0)
    mask_scores = []
    for query in range(len(passes)):
        inside = score_probability[query][score_probability[query] > config.pixel_confidence]
        mask_scores.append(inside.mean().item() if inside.numel() else 0.0)
    order_scores = [
        class_scores[q].item() ** config.class_exponent * mask_scores[q] ** config.mask_exponent
        for q in range(len(passes))
    ]
    ids = torch.zeros(decision_logits.shape[1:], dtype=torch.int64)
    segments, stuff = [], {}
    for query in sorted(range(len(passes)), key=lambda q: -order_scores[q]):
        free = masks[query] & (ids == 0)
        if not passes[query] or not int(free.sum()) > config.overlap * int(masks[query].sum()):
            continue
        label = int(labels[query])
        if label in stuff:
            ids[free] = stuff[label]
            continue
        segments.append((label, class_scores[query].item() * mask_scores[query]))
        ids[free] = len(segments)
        if not taxonomy.classes[label].is_thing:
            stuff[label] = len(segments)
    return ids, segments


def _assign_pixels(decision_logits, score_logits, class_scores, labels, passes, taxonomy, config):
    survivors = torch.tensor(passes)
    remaining = decision_logits.masked_fill(~survivors[:, None, None], -99999.0)
    confidence, owner = remaining.softmax(0).max(0)
    owned = (confidence > config.pixel_confidence) & survivors[decision_logits.argmax(0)]
    ids = torch.zeros(decision_logits.shape[1:], dtype=torch.int64)
    segments, stuff, scored = [], {}, torch.zeros_like(confidence)
    for query in range(len(passes)):
        mine = owned & (owner == query)
        if not passes[query]:
            continue
        label = int(labels[query])
        if label not in stuff:
            segments.append(label)
            if not taxonomy.classes[label].is_thing:
                stuff[label] = len(segments)
        ids[mine] = stuff.get(label, len(segments))
        scored[mine] = class_scores[query] * confidence[mine]
    scores = [scored[ids == n].mean().item() if (ids == n).any() else 0.0 for n in range(1, len(segments) + 1)]
    return ids, list(zip(segments, scores, strict=True))


def _resize(logits, size, placement):
    aligned = placement.padded[1] % 2 == 1
    return F.interpolate(logits[None], size=size, mode="bilinear", align_corners=aligned)[0]


def _nearest(ids, placement):
    rows = [_source(y, ids.shape[0], placement.original[0], placement) for y in range(placement.original[0])]
    columns = [_source(x, ids.shape[1], placement.original[1], placement) for x in range(placement.original[1])]
    return ids[rows][:, columns]


def _source(position, source, target, placement):
    if placement.padded[1] % 2 == 1:
        return math.floor(position * (source - 1) / max(target - 1, 1) + 0.5)
    return math.floor((position + 0.5) * source / target)


def scene(
    seed: int,
    queries: int,
    taxonomy: Taxonomy,
    size: tuple[int, int],
    images: int = 1,
    confidence: float = 6.0,
    dtype: torch.dtype = torch.float64,
) -> MaskOutput:
    """Confident random outputs: blobs that tile the image, some claimed by two queries, some queries of no class."""
    random = torch.Generator().manual_seed(seed)
    height, width = size
    coarse = torch.randn(images, queries, 3 + seed % 3, 4, generator=random, dtype=torch.float64)
    mask_logits = confidence * F.interpolate(coarse, size=(height, width), mode="bilinear", align_corners=False)
    mask_logits += 0.3 * torch.randn(mask_logits.shape, generator=random, dtype=torch.float64)
    rivals = torch.randint(0, queries, (queries // 3,), generator=random)
    mask_logits[:, : len(rivals)] = mask_logits[:, rivals] + 0.15 * torch.randn(
        images, len(rivals), height, width, generator=random, dtype=torch.float64
    )
    class_logits = torch.randn(images, queries, taxonomy.num_classes + 1, generator=random, dtype=torch.float64)
    label = torch.randint(0, taxonomy.num_classes + 1, (images, queries, 1), generator=random)
    strength = 2.0 + 4.0 * torch.rand(images, queries, 1, generator=random, dtype=torch.float64)
    class_logits.scatter_add_(2, label, strength)
    empty = torch.zeros(images, queries, 1)
    return MaskOutput(class_logits.to(dtype), mask_logits.to(dtype), empty, empty[..., None], empty[..., None])
