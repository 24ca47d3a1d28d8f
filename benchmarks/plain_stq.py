"""STQ as its paper and deeplab2 state it, label by label: what the tests hold ``SegmentationTrackingQuality`` against,
and what ``video_metrics.py`` times it against."""

import math
from collections.abc import Iterable, Sequence

import numpy as np

VOID = 255


def plain_stq(
    videos: Iterable[Iterable[tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]]],
    classes: int,
    things: Sequence[int],
) -> dict[str, float]:
    """STQ, AQ and SQ (NaN where undefined).

    Args:
        videos: of each video the frames: true class, true instance, predicted class, predicted instance, (H, W) each;
            class 255 is void, and instance 0 of a true thing is crowd.
        classes: how many there are, void not counted.
        things: the classes with tracks.
    """
    confusion = np.zeros((classes + 1, classes + 1), np.int64)
    associations = []
    for frames in videos:
        gt_areas: dict[int, int] = {}
        pred_areas: dict[int, int] = {}
        shared: dict[tuple[int, int], int] = {}
        for gt_class, gt_instance, pred_class, pred_instance in frames:
            rows, columns = (
                np.where(gt_class == VOID, classes, gt_class),
                np.where(pred_class == VOID, classes, pred_class),
            )
            codes = rows.astype(np.int64).reshape(-1) * (classes + 1) + columns.reshape(-1)
            confusion += np.bincount(codes, minlength=(classes + 1) ** 2).reshape(classes + 1, classes + 1)
            gt_thing, pred_thing = np.isin(gt_class, things), np.isin(pred_class, things)
            crowd = gt_thing & (gt_instance == 0)
            gt_thing, pred_thing = gt_thing & ~crowd, pred_thing & ~crowd
            gt_track = (gt_class.astype(np.int64) << 16) + gt_instance
            pred_track = (pred_class.astype(np.int64) << 16) + pred_instance
            _count(gt_areas, gt_track[gt_thing])
            _count(pred_areas, pred_track[pred_thing])
            both = gt_thing & pred_thing
            pairs = (gt_track[both] << 32) + pred_track[both]
            for pair, pixels in zip(*np.unique(pairs, return_counts=True), strict=True):
                key = int(pair) >> 32, int(pair) & 0xFFFFFFFF
                shared[key] = shared.get(key, 0) + int(pixels)
        for gt_track, gt_area in gt_areas.items():
            total = 0.0
            for pred_track, pred_area in pred_areas.items():
                tpa = shared.get((gt_track, pred_track), 0)
                total += tpa * (tpa / (gt_area + pred_area - tpa))
            associations.append(total / gt_area)

    confusion[-1] = 0  # true void
    right = confusion.diagonal()
    union = confusion.sum(axis=0) + confusion.sum(axis=1) - right
    ious = right[union > 0] / union[union > 0]
    aq, sq = (float(np.mean(values)) if len(values) else math.nan for values in (associations, ious))
    return {"STQ": math.sqrt(aq * sq), "AQ": aq, "SQ": sq}


def _count(areas: dict[int, int], tracks: np.ndarray) -> None:
    for track, pixels in zip(*np.unique(tracks, return_counts=True), strict=True):
        areas[int(track)] = areas.get(int(track), 0) + int(pixels)
