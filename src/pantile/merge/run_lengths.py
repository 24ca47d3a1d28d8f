"""The things of a panoptic map as COCO run-length encodings, from one pass over the map."""

import numpy as np
from pycocotools.mask import frPyObjects

from pantile.contracts.panoptic import PanopticMap
from pantile.contracts.predictions import Instance
from pantile.contracts.taxonomy import Taxonomy


def thing_instances(panoptic: PanopticMap, taxonomy: Taxonomy) -> tuple[Instance, ...]:
    """One instance per thing segment, in the order of the table.

    COCO counts runs down the columns. All masks of a map share their borders, so the map's runs are found once and
    sorted by segment, instead of encoding a full-size mask for each.
    """
    height, width = panoptic.size
    columns = panoptic.ids.T.reshape(-1)
    start = np.concatenate([[0], np.flatnonzero(columns[1:] != columns[:-1]) + 1])
    length = np.diff(start, append=columns.size)
    run_id = columns[start]
    by_id = np.argsort(run_id, kind="stable")
    run_id, start, length = run_id[by_id], start[by_id], length[by_id]
    end = start + length
    is_next = np.concatenate([[False], run_id[1:] == run_id[:-1]])
    gap = start - np.where(is_next, np.roll(end, 1), 0)  # to the end of the segment's previous run
    counts = np.stack([gap, length], axis=1)

    things = [s for s in panoptic.segments if taxonomy.classes[s.class_index].is_thing]
    first, behind = (np.searchsorted(run_id, [s.id for s in things], side=side) for side in ("left", "right"))
    instances = []
    for segment, runs in zip(things, map(slice, first, behind), strict=True):
        own = counts[runs].reshape(-1).tolist()
        rest = columns.size - int(end[runs.stop - 1])
        mask = {"size": [height, width], "counts": [*own, rest] if rest else own}
        instances.append(Instance(segment.class_index, segment.score, frPyObjects(mask, height, width)))
    return tuple(instances)
