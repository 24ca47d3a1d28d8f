"""Overlapping instances as a panoptic map, so that metrics on maps can be asked about instance segmentation.

Table 4 of "Intra-Batch Supervision for Panoptic Segmentation on High-Resolution Images" (de Geus and Dubbelman, WACV
2023) gives pixel accuracy and precision of instances but not how overlaps are resolved; here a pixel belongs to the
instance of the highest score that covers it.
"""

from collections.abc import Sequence

import numpy as np
from pycocotools.mask import decode

from pantile.contracts.errors import UserError
from pantile.contracts.panoptic import VOID_ID, PanopticMap, Segment
from pantile.contracts.predictions import Instance

SCORE_THRESHOLD = 0.5


def map_of_instances(
    instances: Sequence[Instance], size: tuple[int, int], score_threshold: float = SCORE_THRESHOLD
) -> PanopticMap:
    """The instances, the highest score in front; of equal scores, the first.

    Args:
        instances: of one image, in any order.
        size: (H, W) of the image.
        score_threshold: 0..1, the least score of an instance that takes part. A detector hands out its hundred best
            guesses, most of them no objects, so a map of all would say little.

    Returns:
        (H, W) int32 ids 1..S, from the highest score to the lowest; 0 where no instance is. An instance without a
        pixel of its own is left out.

    Raises:
        UserError: the threshold is no fraction, or a mask has another size.
    """
    if not 0 <= score_threshold <= 1:
        raise UserError(f"score_threshold is {score_threshold}: give a fraction from 0 to 1.")
    ids = np.full(size, VOID_ID, np.int32, order="F")  # run lengths decode column by column
    segments: list[Segment] = []
    for instance in sorted(instances, key=lambda i: -i.score):
        if instance.score < score_threshold:
            break
        if tuple(instance.mask["size"]) != tuple(size):
            (height, width), (own_height, own_width) = size, instance.mask["size"]
            raise UserError(
                f"The image is {height} x {width} pixels but the mask of an instance is {own_height} x {own_width}: "
                "resize the instances to the size of the image."
            )
        own = (decode(instance.mask) > 0) & (ids == VOID_ID)
        if own.any():
            segments.append(Segment(len(segments) + 1, instance.class_index, score=instance.score))
            ids[own] = segments[-1].id
    return PanopticMap(np.ascontiguousarray(ids), tuple(segments))
