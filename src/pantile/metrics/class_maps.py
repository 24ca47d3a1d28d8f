"""The class of every pixel of a panoptic map."""

import numpy as np

from pantile.contracts.errors import UserError
from pantile.contracts.panoptic import VOID_ID, PanopticMap
from pantile.contracts.taxonomy import Taxonomy
from pantile.metrics.map_pair import id_map


def semantic_of(panoptic: PanopticMap, taxonomy: Taxonomy) -> np.ndarray:
    """The class of every pixel of a panoptic map; crowd has its class, scores do not matter.

    Neighbours along a row nearly always carry the same id, so ids are looked up once for each run.

    Args:
        panoptic: ids as a numpy array or a torch tensor on any device.

    Returns:
        (H, W) int32, class index, -1 on void.

    Raises:
        UserError: a segment's class index is outside the taxonomy, or pixels carry an id that the table lacks.
    """
    for segment in panoptic.segments:
        if not 0 <= segment.class_index < len(taxonomy):
            raise UserError(
                f"Segment {segment.id} has class index {segment.class_index}, but the taxonomy has "
                f"{len(taxonomy)} classes: use an index from 0 to {len(taxonomy) - 1}."
            )
    ids = id_map(panoptic, "ground truth")
    flat = ids.reshape(-1)
    starts = np.flatnonzero(np.concatenate([[True][: flat.size], flat[1:] != flat[:-1]]))
    rows = sorted([(VOID_ID, -1), *((s.id, s.class_index) for s in panoptic.segments)])
    known, classes = np.array(rows, np.int64).T
    runs = flat[starts].astype(np.int64)
    row = np.searchsorted(known, runs).clip(max=len(known) - 1)
    if (strange := known[row] != runs).any():
        raise UserError(
            f"There are pixels with id {runs[strange][0]}, but the table of segments lacks that id: "
            "add the row, or set the pixels to 0 (void)."
        )
    return np.repeat(classes[row].astype(np.int32), np.diff(starts, append=flat.size)).reshape(ids.shape)
