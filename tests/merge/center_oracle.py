"""Post-processing of Panoptic-DeepLab in plain loops over pixels and centres: what the fast form must equal."""

import math

import torch
import torch.nn.functional as F

from pantile.contracts.outputs import CenterOutput
from pantile.contracts.placement import Placement
from pantile.contracts.taxonomy import Taxonomy
from pantile.merge.center_config import CenterMergeConfig


def oracle_predict(
    output: CenterOutput, image: int, taxonomy: Taxonomy, config: CenterMergeConfig, placement: Placement
) -> tuple[torch.Tensor, list[tuple[int, float]], torch.Tensor]:
    """Ids at the original size, (class index, score) of segments 1..S, class index per pixel."""
    semantic, heat, offset = (
        _to_decision(maps[image].double(), config, placement)
        for maps in (output.semantic_logits, output.center_heatmap, output.center_offset)
    )
    offset = offset * _growth(output.center_offset.shape[-2:], config, placement)[:, None, None]
    probability, classes = semantic.softmax(0), semantic.argmax(0)
    height, width = classes.shape

    centers = oracle_centers(heat[0], config)
    is_thing = [c.is_thing for c in taxonomy.classes]
    things = [(y, x) for y in range(height) for x in range(width) if is_thing[classes[y, x]]]
    if not centers and config.uncentred_things == "one_segment":
        best = int(heat[0].argmax())
        centers = [(best // width, best % width, max(float(heat[0].max()), 0.0))]
    members = {number: [] for number in range(len(centers))}
    for y, x in things if centers else []:
        vote_y, vote_x = y + float(offset[0, y, x]), x + float(offset[1, y, x])
        distances = [(cy - vote_y) ** 2 + (cx - vote_x) ** 2 for cy, cx, _ in centers]
        members[distances.index(min(distances))].append((y, x))

    ids, segments = torch.zeros(height, width, dtype=torch.int64), []
    for number, pixels in members.items():
        if not pixels or len(pixels) < config.thing_area_limit:
            continue
        votes = [int(classes[p]) for p in pixels]
        label = max(range(taxonomy.num_classes), key=lambda k: (votes.count(k), -k))
        mean = sum(float(probability[label, y, x]) for y, x in pixels) / len(pixels)
        segments.append((label, mean * centers[number][2]))
        for pixel in pixels:
            ids[pixel] = len(segments)
    for label in range(taxonomy.num_classes):
        mask = classes == label
        if not is_thing[label] and mask.any() and int(mask.sum()) >= config.stuff_area_limit:
            segments.append((label, float(probability[label][mask].mean())))
            ids[mask] = len(segments)

    if config.resize_order == "ids_last":
        ids, classes = _nearest(ids, placement), _nearest(classes, placement)
    kept = [number for number in range(1, len(segments) + 1) if (ids == number).any()]
    renumbered = torch.zeros_like(ids)
    for new, old in enumerate(kept, start=1):
        renumbered[ids == old] = new
    return renumbered, [segments[old - 1] for old in kept], classes


def oracle_centers(heat: torch.Tensor, config: CenterMergeConfig) -> list[tuple[int, int, float]]:
    """(y, x, heat) in row-major order."""
    heat = heat.where(heat > config.center_threshold, 0.0)
    reach = config.nms_kernel // 2
    found = []
    for y in range(heat.shape[0]):
        for x in range(heat.shape[1]):
            window = heat[max(y - reach, 0) : y + reach + 1, max(x - reach, 0) : x + reach + 1]
            if heat[y, x] > 0 and heat[y, x] == window.max():
                found.append((y, x, float(heat[y, x])))
    if len(found) > config.max_centers:
        lowest = sorted((value for _, _, value in found), reverse=True)[config.max_centers - 1]
        found = [center for center in found if center[2] > lowest]
    return found


def _to_decision(maps, config, placement):
    padded = F.interpolate(maps[None], size=placement.padded, mode="bilinear", align_corners=True)
    if config.resize_order == "ids_last":
        return padded[0]
    content = padded[:, :, : placement.content[0], : placement.content[1]]
    aligned = placement.padded[1] % 2 == 1
    return F.interpolate(content, size=placement.original, mode="bilinear", align_corners=aligned)[0]


def _growth(size, config, placement):
    """(2,) how many pixels one pixel of the maps becomes; 1 along a side that has no steps."""
    growth = []
    for axis in (0, 1):
        factor = max(placement.padded[axis] - 1, 1) / max(size[axis] - 1, 1)
        if config.resize_order == "logits_first":
            content, original = placement.content[axis], placement.original[axis]
            aligned = placement.padded[1] % 2 == 1
            factor *= max(original - 1, 1) / max(content - 1, 1) if aligned else original / content
        growth.append(factor)
    return torch.tensor(growth, dtype=torch.float64)


def _nearest(values, placement):
    content = values[: placement.content[0], : placement.content[1]]
    rows, columns = (
        [_source(i, n, new, placement) for i in range(new)]
        for n, new in zip(content.shape, placement.original, strict=True)
    )
    return content[rows][:, columns]


def _source(position, source, target, placement):
    if placement.padded[1] % 2 == 1:
        return math.floor(position * (source - 1) / max(target - 1, 1) + 0.5)
    return math.floor((position + 0.5) * source / target)


def street(
    seed: int,
    taxonomy: Taxonomy,
    size: tuple[int, int],
    centers: int = 5,
    images: int = 1,
    noise: float = 1.0,
    dtype: torch.dtype = torch.float64,
) -> CenterOutput:
    """Random outputs: classes in irregular regions, peaks of the heat map, offsets that lead roughly to one of them."""
    random = torch.Generator().manual_seed(seed)
    height, width = size
    coarse = torch.randn(images, taxonomy.num_classes, 3, 4, generator=random, dtype=torch.float64)
    semantic = 4.0 * F.interpolate(coarse, size=size, mode="bilinear", align_corners=True)
    semantic += 0.5 * torch.randn(semantic.shape, generator=random, dtype=torch.float64)

    grid = torch.stack(torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")).double()
    heat = 0.05 * torch.rand(images, 1, height, width, generator=random, dtype=torch.float64)
    offset = noise * torch.randn(images, 2, height, width, generator=random, dtype=torch.float64)
    if centers:
        extent = torch.tensor([height, width], dtype=torch.float64)
        position = torch.rand(images, centers, 2, generator=random, dtype=torch.float64) * extent
        strength = 0.2 + 0.8 * torch.rand(images, centers, generator=random, dtype=torch.float64)
        away = position[..., None, None] - grid  # (B, C, 2, h, w)
        square = away.square().sum(dim=2)
        heat += (strength[..., None, None] * torch.exp(-square / 4.0)).amax(dim=1, keepdim=True)
        nearest = square.argmin(dim=1)[:, None, None].expand(-1, 1, 2, -1, -1)
        offset += away.gather(1, nearest)[:, 0]
    return CenterOutput(semantic.to(dtype), heat.to(dtype), offset.to(dtype))
