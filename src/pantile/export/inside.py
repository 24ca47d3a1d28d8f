"""Merging as a part of the graph: ids of the input's pixels and a table of segments of fixed length.

Decisions are made on the network's padded input; for an image that is the input as it is, the result is the one of
``merge``. Row r of the table has the id r + 1; rows without a segment have class -1.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from pantile.contracts.errors import UserError
from pantile.contracts.outputs import MaskOutput, SemanticOutput
from pantile.contracts.taxonomy import Taxonomy
from pantile.export.graph import Outputs
from pantile.merge import MaskMergeConfig, MergeConfig, QueryMergeConfig, SemanticMergeConfig
from pantile.runtime.inside import CLASSES, IDS, SCORES


def merged_inside(config: MergeConfig, taxonomy: Taxonomy) -> Outputs:
    """A graph that gives ``panoptic_ids`` (B, H, W) int32, ``segment_classes`` (B, S) and ``segment_scores`` (B, S).

    Raises:
        UserError: this merge is a sequence of steps whose number depends on the image, which a graph cannot hold.
    """
    is_thing = torch.tensor(taxonomy.thing_flags)
    if isinstance(config, SemanticMergeConfig):
        return lambda output, size: _classes(output, size, config, is_thing)
    if isinstance(config, QueryMergeConfig):
        return lambda output, size: _independent(output, size, config, is_thing)
    if isinstance(config, MaskMergeConfig) and config.kind == "pixel_wise":
        return lambda output, size: _competing(output, size, config, is_thing)
    raise UserError(
        f"--merge inside: merge.kind={config.kind} takes one segment after the other, as many as an image has, which a "
        "graph cannot hold: leave it out, and numpy merges after the graph."
    )


def _classes(output: SemanticOutput, size: tuple[int, int], config: SemanticMergeConfig, is_thing: Tensor):
    logits = output.class_logits
    if config.resize == "probabilities":
        logits = logits.softmax(dim=1)
    fine = F.interpolate(logits, size=size, mode="bilinear", align_corners=config.align_corners)
    shares = fine.softmax(dim=1) if config.resize == "logits" else fine / fine.sum(dim=1, keepdim=True)
    if output.classes is not None:  # channels in any order to classes, so that the first of equals is the same
        shares = (
            torch.zeros_like(fine[:, :1])
            .expand(-1, len(is_thing), -1, -1)
            .scatter(1, output.classes[:, :, None, None].expand_as(shares), shares)
        )
    probability, label = shares.max(dim=1)
    area, score = _tally(label, probability, torch.ones_like(label, dtype=torch.bool), len(is_thing))
    limit = torch.where(is_thing, config.thing_area_limit, config.stuff_area_limit).clamp(min=1)
    kept = area >= limit
    classes = torch.where(kept, torch.arange(len(is_thing)), -1)
    return _table(torch.where(_pick(kept, label), label + 1, 0), classes, score)


def _independent(output: MaskOutput, size: tuple[int, int], config: QueryMergeConfig, is_thing: Tensor):
    probability = output.class_logits.softmax(dim=-1)
    score, label = probability.max(dim=-1)  # (B, N)
    passes = (label != len(is_thing)) & (score > config.object_threshold)
    masks = F.interpolate(output.mask_logits, size=size, mode="bilinear", align_corners=False).sigmoid()
    weight = torch.where(passes, score, -1.0)[..., None, None]  # below every query that takes part
    winner = (masks * weight).argmax(dim=1)  # (B, H, W)
    inside = masks.gather(1, winner[:, None])[:, 0] >= 0.5
    anybody = _pick(passes, winner)
    queries = passes.shape[1]
    won, _ = _tally(winner, inside.float(), anybody, queries)
    won_inside, _ = _tally(winner, inside.float(), anybody & inside, queries)
    mask_area = (masks >= 0.5).sum(dim=(2, 3))
    accepted = passes & (won > 0) & (mask_area > 0)
    accepted = accepted & (won.float() / mask_area.clamp(min=1).float() >= config.overlap_threshold)
    if config.pixel_test:
        accepted = accepted & (won_inside > 0)
    row, classes, scores = _numbered(accepted, label.clamp(max=len(is_thing) - 1), score, is_thing)
    painted = anybody & _pick(accepted, winner)
    if config.pixel_test:
        painted = painted & inside
    return _table(torch.where(painted, _pick(row, winner) + 1, 0), classes, scores)


def _competing(output: MaskOutput, size: tuple[int, int], config: MaskMergeConfig, is_thing: Tensor):
    score, label = output.class_logits.softmax(dim=-1)[..., :-1].max(dim=-1)
    threshold = torch.where(is_thing[label], config.thing_class_threshold, config.stuff_class_threshold)
    passes = score > threshold if config.strict else score >= threshold
    aligned = bool(size[1] % 2 == 1)
    logits = F.interpolate(output.mask_logits, size=size, mode="bilinear", align_corners=aligned)
    values = (logits - logits.amax(dim=1, keepdim=True)).exp()
    passing = values * passes[..., None, None]
    best, winner = passing.max(dim=1)
    total = passing.sum(dim=1)
    owned = (best >= values.amax(dim=1)) & (best > total * config.pixel_confidence) & _pick(passes, winner)
    area, share = _tally(winner, best / total.clamp(min=1e-30), owned, passes.shape[1])
    present = passes & (area > 0)
    row, classes, _ = _numbered(passes, label, score, is_thing)
    same = (row[:, :, None] == row[:, None, :]) & present[:, None, :]  # (B, row, query)
    pixels = (same * area[:, None]).sum(dim=2)
    scores = (same * (share * score * area)[:, None]).sum(dim=2) / pixels.clamp(min=1)
    limit = torch.where(is_thing[classes.clamp(min=0)], config.thing_area_limit, config.stuff_area_limit)
    kept = (classes >= 0) & (pixels >= limit)
    of_pixel = _pick(row, winner)
    ids = torch.where(owned & _pick(kept, of_pixel), of_pixel + 1, 0)
    return _table(ids, torch.where(kept, classes, -1), scores)


def _numbered(accepted: Tensor, label: Tensor, score: Tensor, is_thing: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Each accepted query's row (B, N): its own for a thing, that of the first query of its class for stuff; and the
    classes (B, N), -1 where a row has no segment, and the greatest score of each row."""
    count = accepted.shape[1]
    own = torch.arange(count)
    same = (label[:, :, None] == label[:, None, :]) & accepted[:, None, :] & ~is_thing[label][:, :, None]
    same = same | torch.eye(count, dtype=torch.bool)
    row = torch.where(same, own, count).amin(dim=2)  # (B, N)
    leads = accepted & (row == own)
    members = (row[:, None, :] == own[:, None]) & accepted[:, None, :]
    best = torch.where(members, score[:, None, :], 0.0).amax(dim=2)
    return row, torch.where(leads, label, -1), best


def _tally(label: Tensor, values: Tensor, counted: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Pixels (B, count) of each label among the ``counted`` ones of (B, H, W), and the mean of their values."""
    index = label.flatten(1)
    weight = counted.flatten(1).to(torch.float32)
    zeros = torch.zeros_like(weight[:, :1]).expand(-1, count)
    area = zeros.scatter_add(1, index, weight)
    total = zeros.scatter_add(1, index, weight * values.flatten(1))
    return area.to(torch.int64), total / area.clamp(min=1)


def _pick(table: Tensor, index: Tensor) -> Tensor:
    """(B, S) at (B, H, W) -> (B, H, W)."""
    return table.gather(1, index.flatten(1)).view_as(index)


def _table(ids: Tensor, classes: Tensor, scores: Tensor) -> dict[str, Tensor]:
    return {IDS: ids.to(torch.int32), CLASSES: classes, SCORES: scores}
