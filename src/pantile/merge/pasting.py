"""Pasting of whole masks in the order of their scores, when it is known who claims which pixel."""

from dataclasses import dataclass

import numpy as np

from pantile.merge.mask_config import MaskMergeConfig
from pantile.merge.query_scores import QueryScores
from pantile.merge.segments import Canvas, PastedSegment

NOBODY = -1


@dataclass(frozen=True)
class Claims:
    """Who claims which pixel. Candidates are numbered 0..C-1.

    Attributes:
        sole: (H, W) int16, the only claimant of a pixel, or -1.
        contested_pixels: (M,) int64, flat index of each pixel with several claimants, once per claimant.
        contested_claimants: (M,) int64.
        areas: (C,) int64, claimed pixels.
        mean_probability: (C,) float64, of a candidate over the pixels that it claims; 0 where there is none.
    """

    sole: np.ndarray
    contested_pixels: np.ndarray
    contested_claimants: np.ndarray
    areas: np.ndarray
    mean_probability: np.ndarray


def paste_in_order(
    claims: Claims, candidates: np.ndarray, mask_scores: np.ndarray, scores: QueryScores, config: MaskMergeConfig
) -> Canvas:
    """
    Args:
        candidates: (C,) the query of each candidate.
        mask_scores: (C,) float64.
        scores: of the N queries.
    """
    order_score = scores.probability[candidates] ** config.class_exponent * mask_scores**config.mask_exponent
    order = np.argsort(-order_score, kind="stable")
    return _paste(claims, candidates, mask_scores, order, scores, config)


def _paste(
    claims: Claims,
    candidates: np.ndarray,
    mask_scores: np.ndarray,
    order: np.ndarray,
    scores: QueryScores,
    config: MaskMergeConfig,
) -> Canvas:
    """Accepts candidates in order; the canvas is only kept for contested pixels until the end."""
    by_claimant = np.argsort(claims.contested_claimants, kind="stable")
    bounds = np.searchsorted(claims.contested_claimants[by_claimant], np.arange(candidates.size + 1))
    pixels, position = np.unique(claims.contested_pixels[by_claimant], return_inverse=True)
    contested_ids = np.zeros(pixels.size, np.int32)

    segments: list[PastedSegment] = []
    id_of_stuff: dict[int, int] = {}
    id_of_candidate = np.zeros(candidates.size + 1, np.int32)  # the last entry is NOBODY's
    for candidate in order.tolist():
        mine = position[bounds[candidate] : bounds[candidate + 1]]
        mine_free = mine[contested_ids[mine] == 0]
        area = int(claims.areas[candidate])
        free = area - (mine.size - mine_free.size)
        if not free > config.overlap * area:
            continue
        query = int(candidates[candidate])
        class_index = int(scores.class_index[query])
        segment_id = id_of_stuff.get(class_index)
        if segment_id is None:
            segment_id = len(segments) + 1
            score = float(scores.probability[query] * mask_scores[candidate])
            segments.append(PastedSegment(class_index, score, query))
            if not scores.is_thing[query]:
                id_of_stuff[class_index] = segment_id
        id_of_candidate[candidate] = segment_id
        contested_ids[mine_free] = segment_id

    ids = id_of_candidate[claims.sole]
    ids.reshape(-1)[pixels] = contested_ids
    return Canvas(ids, segments)
