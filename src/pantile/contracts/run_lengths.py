"""The segments of a panoptic map as COCO run-length encodings, all from one pass over the map."""

from collections.abc import Sequence

import numpy as np
from pycocotools.mask import frPyObjects

from pantile.contracts.errors import UserError
from pantile.contracts.panoptic import PanopticMap
from pantile.contracts.predictions import Instance
from pantile.contracts.taxonomy import Taxonomy


def encode_segments(ids: np.ndarray, segment_ids: Sequence[int]) -> list[dict]:
    """The mask of each segment as ``{"size": [H, W], "counts": bytes}``.

    COCO counts runs down the columns. Segments share their borders, so the runs of the map are found once and sorted
    by segment, instead of encoding a full-size mask for each.

    Args:
        ids: (H, W) integers, at least one pixel.
        segment_ids: which segments, in the order of the result.

    Raises:
        UserError: a segment has no pixel.
    """
    height, width = ids.shape
    columns = ids.T.reshape(-1)
    starts = np.flatnonzero(np.concatenate([[True], columns[1:] != columns[:-1]]))
    ends = np.append(starts[1:], columns.size)
    runs_of = columns[starts]
    by_segment = np.argsort(runs_of, kind="stable")
    runs_of, borders = runs_of[by_segment], np.stack([starts, ends], axis=1)[by_segment]
    first, behind = (np.searchsorted(runs_of, segment_ids, side=side).tolist() for side in ("left", "right"))

    masks = []
    for segment_id, own in zip(segment_ids, map(slice, first, behind), strict=True):
        if own.start == own.stop:
            raise UserError(f"The table lists the segment id {segment_id}, but no pixel has it: remove that row.")
        counts = np.diff(borders[own].reshape(-1), prepend=0, append=columns.size)  # off, on, off, ...
        counts = counts if counts[-1] else counts[:-1]
        masks.append(frPyObjects({"size": [height, width], "counts": counts}, height, width))
    return masks


def decompressed(counts: bytes) -> np.ndarray | None:
    """The runs of COCO's compressed run lengths, (N,) int64: off, on, off, ...; None where the bytes are none.

    pycocotools itself takes whatever bytes there are. A run is written as its difference to the one before the last,
    from the fourth on, in groups of five bits, the lowest first, with a bit for "more follows" and two's complement.
    """
    digits = np.frombuffer(counts, np.uint8).astype(np.int64) - 48
    if not digits.size or digits.min() < 0 or digits.max() > 63 or digits[-1] & 32:
        return None
    ends = np.flatnonzero(digits & 32 == 0)
    firsts = np.concatenate([[0], ends[:-1] + 1])
    lengths = ends - firsts + 1
    if lengths.max() > 8:
        return None
    place = np.arange(digits.size) - np.repeat(firsts, lengths)
    values = np.add.reduceat((digits & 31) << (5 * place), firsts)
    values -= np.where(digits[ends] & 16, 1 << (5 * lengths), 0)
    values[1::2] = values[1::2].cumsum()
    values[2::2] = values[2::2].cumsum()
    return values


def instances_of(panoptic: PanopticMap, taxonomy: Taxonomy) -> tuple[Instance, ...]:
    """The thing segments with their scores, in the order of the table: for models that predict no other instances.

    Raises:
        UserError: a segment of the table has no pixel.
    """
    things = [s for s in panoptic.segments if taxonomy.classes[s.class_index].is_thing]
    masks = encode_segments(panoptic.ids, [s.id for s in things])
    return tuple(Instance(s.class_index, s.score, mask) for s, mask in zip(things, masks, strict=True))
