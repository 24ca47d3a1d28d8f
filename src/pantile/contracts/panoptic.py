"""PanopticMap: an id per pixel plus a table of segments. What readers give, what merge makes, what metrics take."""

from dataclasses import dataclass

import numpy as np

VOID_ID = 0
MAX_ID = 2**24 - 1  # the largest id that a COCO-panoptic PNG can hold


@dataclass(frozen=True)
class Segment:
    """One row of the table.

    Attributes:
        id: the value of its pixels in ``PanopticMap.ids``, 1..2**24-1; never 0.
        class_index: index into the taxonomy (not the dataset's category id).
        is_crowd: a region of things that are not separated (ground truth only).
        score: confidence 0..1 of a predicted segment; 1 for ground truth.
    """

    id: int
    class_index: int
    is_crowd: bool = False
    score: float = 1.0


@dataclass(frozen=True)
class PanopticMap:
    """One image's panoptic map.

    Attributes:
        ids: (H, W) int32 or uint32 or int64 numpy array; 0 is void, other values are segment ids.
        segments: one row for every id of interest. Readers guarantee that ids and table agree;
            ``pantile.data`` checks it for files.
    """

    ids: np.ndarray
    segments: tuple[Segment, ...]

    @property
    def size(self) -> tuple[int, int]:
        """(height, width)"""
        return self.ids.shape[0], self.ids.shape[1]


def rgb_to_ids(rgb: np.ndarray) -> np.ndarray:
    """COCO-panoptic PNG colours to ids: R + 256 G + 65536 B.

    Args:
        rgb: (H, W, 3) or (H, W, 4) uint8; a fourth channel is ignored. Four C-contiguous channels are the
            fast path: the bytes are viewed as little-endian integers instead of being multiplied.

    Returns:
        (H, W) int32, 0..2**24-1.
    """
    if rgb.shape[-1] == 4 and rgb.flags.c_contiguous:
        return (rgb.view("<u4")[..., 0] & MAX_ID).astype(np.int32)
    wide = rgb[..., :3].astype(np.int32)
    return wide[..., 0] + (wide[..., 1] << 8) + (wide[..., 2] << 16)


def ids_to_rgb(ids: np.ndarray) -> np.ndarray:
    """The inverse: (H, W) integers 0..2**24-1 to (H, W, 3) uint8."""
    four_bytes = np.ascontiguousarray(ids, dtype="<u4").view(np.uint8).reshape(*ids.shape, 4)
    return np.ascontiguousarray(four_bytes[..., :3])
