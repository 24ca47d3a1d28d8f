"""The rows of a COCO-panoptic JSON that tell of a map's segments."""

import numpy as np

from pantile.contracts.panoptic import PanopticMap
from pantile.contracts.taxonomy import Taxonomy
from pantile.data.label_rows import count_pixels, renumber


def segments_info(panoptic: PanopticMap, taxonomy: Taxonomy) -> list[dict]:
    """The JSON rows of a map, areas and boxes (left, top, width, height) counted from its pixels."""
    areas = count_pixels(panoptic.ids)
    order = {segment.id: row + 1 for row, segment in enumerate(panoptic.segments)}
    vertical, horizontal = _extents(renumber(panoptic.ids, order), len(order))
    rows = []
    for row, segment in enumerate(panoptic.segments, start=1):
        if segment.id not in areas:
            raise ValueError(f"segment {segment.id} has no pixel")
        (top, bottom), (left, right) = vertical[row].tolist(), horizontal[row].tolist()
        bbox = [left, top, right - left, bottom - top]
        rows.append(
            {
                "id": segment.id,
                "category_id": taxonomy.classes[segment.class_index].id,
                "iscrowd": int(segment.is_crowd),
                "area": areas[segment.id],
                "bbox": bbox,
            }
        )
    return rows


def _extents(rows: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """(count + 1, 2) int64 for each axis: the first line of (H, W) in which a number occurs, and the first behind."""
    height, width = rows.shape
    by_row, by_column = np.zeros((count + 1, height), bool), np.zeros((count + 1, width), bool)
    by_row[rows, np.arange(height)[:, None]] = True
    by_column[rows, np.arange(width)] = True
    return tuple(
        np.stack([seen.argmax(axis=1), seen.shape[1] - seen[:, ::-1].argmax(axis=1)], axis=1)
        for seen in (by_row, by_column)
    )
