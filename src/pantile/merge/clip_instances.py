"""Things of whole clips, which may overlap: the video instance branch of Mask2Former (arXiv:2112.10764).

Every pair of query and thing class is a candidate, and its score is the class probability alone: unlike with images
(``query_tasks``), how sure the masks are does not count. A mask is where the logit is positive.
"""

from collections.abc import Sequence

import numpy as np
import torch

from pantile.contracts.outputs import MaskOutput
from pantile.contracts.placement import Placement
from pantile.contracts.precision import at_least_float32, autocast_off
from pantile.contracts.taxonomy import Taxonomy
from pantile.contracts.threads import one_thread
from pantile.contracts.videos import TrackedInstance
from pantile.merge.agreement import check_agreement
from pantile.merge.instance_masks import best_candidates, distinct_queries, encode_masks
from pantile.merge.mask_strips import sigmoid_strips
from pantile.merge.resampling import original_grid

_STRIP_PIXELS = 2**16  # of a strip of whole columns, per query


@torch.no_grad()
def clip_instances(
    output: MaskOutput, taxonomy: Taxonomy, placements: Sequence[Placement], count: int
) -> list[tuple[TrackedInstance, ...]]:
    """The ``count`` best candidates of each clip, from the highest score to the lowest.

    Args:
        output: B frames of B / T clips. Where frames are classified one by one (VidEoMT), a clip has the mean of
            their logits.
        taxonomy: K classes.
        placements: B entries, where each frame lies in the network's input; those of a clip are equal.

    Returns:
        B / T entries. A mask without a pixel is None; a candidate may have none at all, as in the original.

    Raises:
        UserError: the numbers of images or of classes disagree.
    """
    check_agreement(output, len(output.class_logits), taxonomy, placements)
    frames = output.frames
    logits = at_least_float32(output.class_logits).unflatten(0, (-1, frames)).mean(dim=1)
    probability = logits.softmax(dim=-1)[..., :-1].cpu().numpy()
    with autocast_off(output.mask_logits.device), one_thread(output.mask_logits.device):
        return [
            _of_clip(output, first * frames, own, taxonomy, placements, count) for first, own in enumerate(probability)
        ]


def _of_clip(
    output: MaskOutput,
    first: int,
    probability: np.ndarray,
    taxonomy: Taxonomy,
    placements: Sequence[Placement],
    count: int,
) -> tuple[TrackedInstance, ...]:
    """Of the clip whose first frame is entry ``first``; ``probability`` is (N, K)."""
    candidates = best_candidates(probability, taxonomy.thing_indices, count)
    queries = distinct_queries(candidates)
    if not candidates:
        return ()
    by_frame = []
    for frame in range(first, first + output.frames):
        logits = output.mask_logits[frame, queries]
        grid = original_grid(logits.shape[-2:], placements[frame], aligned=False)
        strips = sigmoid_strips(logits, grid, columns=max(1, _STRIP_PIXELS // grid.size[0]))
        encoded = encode_masks(strips, len(queries), grid.size)
        by_frame.append([None if mask is None else dict(mask[0]) for mask in encoded])
    place = {query: position for position, query in enumerate(queries)}
    return tuple(
        TrackedInstance(c.class_index, c.score, tuple(masks[place[c.query]] for masks in by_frame)) for c in candidates
    )
