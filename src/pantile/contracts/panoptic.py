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
        rgb: (H, W, 3) or (H, W, 4) uint8; a fourth channel is ignored. Where it is C-contiguous, each pixel is viewed
            as a little-endian integer of four bytes, of three channels together with the first byte of its neighbour.

    Returns:
        (H, W) int32, 0..2**24-1.
    """
    if rgb.dtype != np.uint8:  # its bytes are read as they lie
        raise ValueError(f"colours of {rgb.dtype}, not uint8")
    rgb = np.ascontiguousarray(rgb)
    height, width, channels = rgb.shape
    ids = np.empty(height * width, "<u4")
    if ids.size:
        ids[:-1] = np.ndarray((ids.size - 1,), "<u4", rgb, 0, (channels,))
        ids[-1] = int.from_bytes(rgb[-1, -1, :3].tobytes(), "little")
        np.bitwise_and(ids, MAX_ID, out=ids)
    return ids.view("<i4").reshape(height, width).astype(np.int32, copy=False)


def ids_to_rgb(ids: np.ndarray) -> np.ndarray:
    """The inverse: (H, W) integers 0..2**24-1 to (H, W, 3) uint8."""
    four_bytes = np.ascontiguousarray(ids, dtype="<u4").view(np.uint8).reshape(*ids.shape, 4)
    rgb = np.empty((*ids.shape, 3), np.uint8)
    for channel in range(3):  # three times as fast as a copy of triples
        rgb[..., channel] = four_bytes[..., channel]
    return rgb
