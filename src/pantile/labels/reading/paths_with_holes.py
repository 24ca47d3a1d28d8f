"""Outlines within outlines: what lies within an odd number of them."""

from collections.abc import Sequence

import numpy as np
from pycocotools import mask as coco_mask

from pantile.labels.photos.label_frames import Size
from pantile.labels.reading.outlines import CENTRES, pixels_on
from pantile.labels.reading.rasterise import mask_to_rle, polygons_to_mask


def paths_with_holes(paths: Sequence[Sequence[tuple[float, float]]], size: Size, where: str, outline: str) -> dict:
    """Run lengths of a mask whose paths within paths are holes; what outlines pass through centres is no hole.

    Args:
        paths: points in pixels, at least three each.
        size: (height, width) of the image.
        where: for messages.
        outline: one of ``outlines.OUTLINES``.

    Raises:
        UserError: a coordinate that is absurdly far away.
    """
    whole = np.zeros(size, dtype=np.uint8)
    for path in paths:
        whole ^= coco_mask.decode(polygons_to_mask([path], size, where, outline))
    if outline == CENTRES:
        for column, row in (pixel for path in paths for pixel in pixels_on(path)):
            if 0 <= column < size[1] and 0 <= row < size[0]:
                whole[row, column] = 1
    return mask_to_rle(whole)
