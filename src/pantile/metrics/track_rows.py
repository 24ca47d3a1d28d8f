"""Average precision of tracks by the protocol of YouTube-VIS, from a few numbers for each track.

Yang et al., "Video Instance Segmentation" (ICCV 2019), section 3, and the evaluation code published with it (youtubevos
cocoapi): COCO's protocol with tracks for detections, videos for images, the IoU of ``track_ious``, the mean area over
the frames where a track has pixels, and size ranges of 128**2 and 256**2 pixels.

The IoUs of a video are known once it is over, so no mask is kept. The matching is faster-coco-eval's.
"""

import logging
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import NamedTuple

import numpy as np
from faster_coco_eval import COCO, COCOeval_faster

from pantile.contracts.errors import UserError
from pantile.contracts.taxonomy import Taxonomy
from pantile.contracts.videos import TrackedInstance
from pantile.metrics.average_precision_result import AveragePrecisionResult
from pantile.metrics.mask_tracks import MaskTrack, areas_of_track, check_track, track_ious
from pantile.metrics.without_nan import without_nan

_LOG = logging.getLogger(__name__)
_MAX_TRACKS = 100
_PREDICTION, _TRUTH, _CROWD = range(3)
_LARGEST = 1e5**2
_RANGES = {"small": [0, 128**2], "medium": [128**2, 256**2], "large": [256**2, _LARGEST]}


@dataclass  # torchmetrics refuses frozen ones
class TrackAveragePrecisionResult(AveragePrecisionResult):
    """The twelve numbers of YouTube-VIS: as COCO's, but small is up to 128**2 pixels and medium up to 256**2, as the
    mean over the frames where a track has pixels; at most 1, 10 or 100 tracks for each class and video."""

    def to_dict(self) -> dict:
        """``{"video_instance": {"ap", ..., "per_class"}}`` in plain containers; NaN becomes None."""
        return {"video_instance": without_nan(asdict(self))}


class TrackRows(NamedTuple):
    """What is kept of videos.

    Attributes:
        videos: (V,) int64, their numbers.
        tracks: (N, 3) int64, video, class index and kind; of each video by class, first its predictions by score.
        numbers: (N, 2) float64, mean area in pixels and score.
        ious: (M,) float64, for each video and class of ``tracks`` in their order its predictions x truths, row by row.
    """

    videos: np.ndarray
    tracks: np.ndarray
    numbers: np.ndarray
    ious: np.ndarray


NO_ROWS = TrackRows(np.empty(0, np.int64), np.empty((0, 3), np.int64), np.empty((0, 2)), np.empty(0))


def joined(rows: Sequence[TrackRows]) -> TrackRows:
    """Those of several videos."""
    return TrackRows(*(np.concatenate(parts) for parts in zip(NO_ROWS, *rows, strict=True)))


def rows_of_video(
    predictions: Sequence[TrackedInstance], truths: Sequence[MaskTrack], video: int, taxonomy: Taxonomy
) -> TrackRows:
    """One whole video.

    Raises:
        UserError: see ``check_track``.
    """
    _check(predictions, truths, taxonomy)
    tracks, numbers, ious = [], [], []
    for class_index in sorted({track.class_index for track in [*predictions, *truths]}):
        predicted = sorted((t for t in predictions if t.class_index == class_index), key=lambda t: -t.score)
        predicted, true = predicted[:_MAX_TRACKS], [t for t in truths if t.class_index == class_index]
        kinds = [_PREDICTION] * len(predicted) + [_CROWD if track.is_crowd else _TRUTH for track in true]
        tracks += [(video, class_index, kind) for kind in kinds]
        numbers += [(_mean_area(track), track.score) for track in [*predicted, *true]]
        ious.append(track_ious(predicted, true).reshape(-1))
    parts = np.array([video]), np.array(tracks, np.int64).reshape(-1, 3), np.array(numbers).reshape(-1, 2)
    return TrackRows(*parts, np.concatenate([NO_ROWS.ious, *ious]))


def average_precision_of(rows: TrackRows, taxonomy: Taxonomy) -> TrackAveragePrecisionResult:
    """Of all videos; NaN without true tracks. Predictions of equal score rank in the order of the videos' numbers.

    Raises:
        UserError: a video was given more than once.
    """
    videos, times = np.unique(rows.videos, return_counts=True)
    if (times > 1).any():
        raise UserError(
            f"Video {videos[times > 1][0]} was given more than once: give each video one number, and only once."
        )
    things = taxonomy.thing_indices
    names = [taxonomy.names[k] for k in things]
    if not (rows.tracks[:, 2] == _TRUTH).any():
        empty = np.full((10, 101, len(things), 4, 3), -1.0)
        return TrackAveragePrecisionResult.of(empty, empty[:, 0], names)
    truths, predictions, ious = _as_coco(rows, things)
    evaluator = _KnownIous(truths, predictions, ious)
    evaluator.evaluate()
    evaluator.accumulate()
    return TrackAveragePrecisionResult.of(evaluator.eval["precision"], evaluator.eval["recall"], names)


class _KnownIous(COCOeval_faster):
    """COCO's matching with IoUs that were counted elsewhere: (video, class) -> predictions x truths."""

    def __init__(self, truths: COCO, predictions: COCO, ious: dict[tuple[int, int], np.ndarray]) -> None:
        super().__init__(truths, predictions, iouType="bbox", ranges=_RANGES, print_function=_LOG.debug)
        self._known = ious

    def computeIoU(self, imgId: int, catId: int) -> np.ndarray:
        return self._known[imgId, catId]


def _as_coco(rows: TrackRows, things: Sequence[int]) -> tuple[COCO, COCO, dict[tuple[int, int], np.ndarray]]:
    ious: dict[tuple[int, int], np.ndarray] = {}
    annotations: dict[int, list[tuple[int, dict]]] = {}
    keys = rows.tracks[:, :2]
    starts = np.flatnonzero(np.concatenate([[True], (keys[1:] != keys[:-1]).any(axis=1)]))
    offset = 0
    for start, end in zip(starts.tolist(), [*starts[1:].tolist(), len(keys)], strict=True):
        video, class_index = keys[start].tolist()
        kinds = rows.tracks[start:end, 2].tolist()
        predictions = kinds.count(_PREDICTION)
        shape = predictions, len(kinds) - predictions
        size = shape[0] * shape[1]
        ious[video, class_index] = rows.ious[offset : offset + size].reshape(shape)
        offset += size
        for kind, (area, score) in zip(kinds, rows.numbers[start:end].tolist(), strict=True):
            annotation = {"image_id": video, "category_id": class_index, "area": area, "bbox": [0, 0, 0, 0]}
            extra = {"score": score} if kind == _PREDICTION else {"iscrowd": int(kind == _CROWD)}
            annotations.setdefault(video, []).append((kind, annotation | extra))
    in_order = [item for video in sorted(annotations) for item in annotations[video]]
    shared = {"images": [{"id": video} for video in sorted(annotations)], "categories": [{"id": k} for k in things]}
    truths, predictions = (
        [annotation for kind, annotation in in_order if (kind == _PREDICTION) == predicted]
        for predicted in (False, True)
    )
    numbered = ([row | {"id": n} for n, row in enumerate(rows, 1)] for rows in (truths, predictions))
    return *(COCO(shared | {"annotations": annotations}) for annotations in numbered), ious


def _mean_area(track: TrackedInstance) -> float:
    areas = areas_of_track(track)
    return float(areas[areas > 0].mean()) if areas.any() else 0.0


def _check(predictions: Sequence[TrackedInstance], truths: Sequence[MaskTrack], taxonomy: Taxonomy) -> None:
    everything = [*truths, *predictions]
    frames = len(everything[0].masks) if everything else 0
    sizes = (tuple(mask["size"]) for track in everything for mask in track.masks if mask is not None)
    size = next(sizes, None)
    for what, tracks in (("ground truth", truths), ("prediction", predictions)):
        for track in tracks:
            check_track(track, frames, size, taxonomy, what)
