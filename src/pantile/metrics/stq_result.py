"""STQ from a table of track pairs.

Weber et al., "STEP: Segmenting and Tracking Every Pixel" (NeurIPS Datasets and Benchmarks 2021), section 4: with TPA
the pixels that a true track g and a predicted track p share, and IoU_id theirs as sets of pixels of the whole video,

    AQ = 1/|G| * sum over g of 1/|g| * sum over p of TPA(p, g) * IoU_id(p, g),    STQ = sqrt(AQ * SQ),

SQ being the mean IoU of classes over all frames. What the paper leaves open is as in the evaluation of deeplab2.
"""

import math
from dataclasses import asdict, dataclass
from typing import Literal, get_args

import numpy as np

from pantile.contracts.errors import UserError
from pantile.contracts.taxonomy import Taxonomy
from pantile.metrics.track_pairs import TrackPairs, sums_by
from pantile.metrics.without_nan import without_nan

#: What can be counted otherwise than in deeplab2. "aq-void": predicted pixels on void are no mistake of a track;
#: "sq-void": pixels that the prediction leaves void are misses, but no class of IoU 0 in the mean.
StqCorrection = Literal["aq-void", "sq-void"]
STQ_CORRECTIONS: tuple[StqCorrection, ...] = get_args(StqCorrection)


@dataclass
class StqValues:
    """Fractions of 1; NaN where there is nothing to average.

    Attributes:
        stq: segmentation and tracking quality, the geometric mean of the two.
        aq: association quality; NaN without true tracks (where deeplab2 says 0).
        sq: segmentation quality, mean IoU; NaN without labelled pixels.
        tracks: true tracks of things, crowds left out.
    """

    stq: float
    aq: float
    sq: float
    tracks: int


@dataclass  # torchmetrics refuses frozen ones
class StqResult:
    """STQ of a data set.

    Attributes:
        all: over all tracks and pixels.
        per_class: class name -> IoU, NaN where the class never occurs.
        per_video: video -> its own values; their means are not those of the data set.
    """

    all: StqValues
    per_class: dict[str, float]
    per_video: dict[int, StqValues]

    def to_dict(self) -> dict:
        """``{"segmentation_and_tracking": {"stq", "aq", "sq", "tracks", "per_class", "per_video"}}``; NaN is None."""
        content = asdict(self)
        return {"segmentation_and_tracking": without_nan(content.pop("all") | content)}


def check_corrections(corrections: frozenset[str], known: tuple[str, ...]) -> None:
    """
    Raises:
        UserError: a name that is not known.
    """
    strange = sorted(corrections - set(known))
    if strange:
        raise UserError(f"There is no correction {strange[0]!r}: choose of {', '.join(known)}.")


def stq_of(pairs: TrackPairs, taxonomy: Taxonomy, corrections: frozenset[str] = frozenset()) -> StqResult:
    """
    Args:
        pairs: of any number of videos; equal keys may occur several times.
        taxonomy: the classes.
        corrections: see ``StqCorrection``.
    """
    videos = np.unique(pairs.video).tolist()
    track_videos, association = _association_of_tracks(pairs, taxonomy, "aq-void" in corrections)
    confusions = np.stack(
        [_confusion(pairs.where(pairs.video == video), len(taxonomy)) for video in videos]
        or [np.zeros((3, len(taxonomy) + 1), np.int64)]
    )
    per_video = {}
    for video, confusion in zip(videos, confusions, strict=False):
        per_video[video] = _values(association[track_videos == video], confusion, "sq-void" in corrections)
    total = confusions.sum(axis=0)
    return StqResult(
        all=_values(association, total, "sq-void" in corrections),
        per_class=dict(zip(taxonomy.names, _ious(total)[:-1].tolist(), strict=True)),
        per_video=per_video,
    )


def _association_of_tracks(pairs: TrackPairs, taxonomy: Taxonomy, excuse_void: bool) -> tuple[np.ndarray, np.ndarray]:
    """Of each true track: its video, and the sum over predicted tracks of TPA * IoU_id, divided by its pixels.

    A predicted track is a class and an id: where an id changes its class, another track begins. It need not have the
    class of the true track. All its pixels count, on void and on stuff too, but those on crowds of things.
    """
    is_thing = np.array([*(c.is_thing for c in taxonomy.classes), False])  # the last for class -1
    true_thing = is_thing[pairs.gt_class]
    crowd = true_thing & (pairs.gt_crowd != 0)
    truth, predicted = true_thing & ~crowd, is_thing[pairs.pred_class] & ~crowd
    if excuse_void:
        predicted &= pairs.gt_class >= 0
    gt_key, pred_key = (pairs.video, pairs.gt_class, pairs.gt_id), (pairs.video, pairs.pred_class, pairs.pred_id)

    *gt_tracks, gt_areas = _sums(gt_key, pairs.pixels, truth)
    *pred_tracks, pred_areas = _sums(pred_key, pairs.pixels, predicted)
    both = truth & predicted
    *shared, tpa = _sums((*gt_key, *pred_key[1:]), pairs.pixels, both)
    gt_row = _rows_of(shared[:3], gt_tracks)
    pred_row = _rows_of([shared[0], *shared[3:]], pred_tracks)
    union = gt_areas[gt_row] + pred_areas[pred_row] - tpa
    sums = np.bincount(gt_row, weights=tpa * (tpa / union), minlength=gt_areas.size)
    return gt_tracks[0], sums / gt_areas


def _sums(keys: tuple[np.ndarray, ...], pixels: np.ndarray, rows: np.ndarray) -> list[np.ndarray]:
    return sums_by([key[rows] for key in keys], pixels[rows])


def _rows_of(keys: list[np.ndarray], table: list[np.ndarray]) -> np.ndarray:
    """The position of each key in a table of distinct keys that has them all."""
    position = {key: row for row, key in enumerate(zip(*(column.tolist() for column in table), strict=True))}
    found = [position[key] for key in zip(*(column.tolist() for column in keys), strict=True)]
    return np.array(found, np.int64)


def _confusion(pairs: TrackPairs, classes: int) -> np.ndarray:
    """(3, K + 1) int64 over labelled pixels: right ones, true ones and predicted ones; the last class is void."""
    pairs = pairs.where(pairs.gt_class >= 0)
    predicted = np.where(pairs.pred_class < 0, classes, pairs.pred_class)
    right = predicted == pairs.gt_class
    counted = ((pairs.gt_class[right], pairs.pixels[right]), (pairs.gt_class, pairs.pixels), (predicted, pairs.pixels))
    sums = np.zeros((3, classes + 1), np.int64)
    for row, (index, pixels) in zip(sums, counted, strict=True):
        np.add.at(row, index, pixels)
    return sums


def _ious(confusion: np.ndarray) -> np.ndarray:
    """(K + 1,) NaN where a class occurs on neither side."""
    right, true, predicted = confusion
    union = true + predicted - right
    return np.divide(right, union, out=np.full(right.size, math.nan), where=union > 0)


def _values(association: np.ndarray, confusion: np.ndarray, leave_void_out: bool) -> StqValues:
    ious = _ious(confusion)[: -1 if leave_void_out else None]
    ious = ious[~np.isnan(ious)]
    aq, sq = (float(values.mean()) if values.size else math.nan for values in (association, ious))
    return StqValues(stq=math.sqrt(aq * sq), aq=aq, sq=sq, tracks=association.size)
