"""Segmentation and Tracking Quality (STQ) as a metric that adds up over processes; see ``stq_result``."""

from collections.abc import Collection, Sequence

import numpy as np
import torch
from torchmetrics import Metric
from torchmetrics.utilities import dim_zero_cat

from pantile.contracts.panoptic import PanopticMap
from pantile.contracts.taxonomy import Taxonomy
from pantile.metrics.stq_result import STQ_CORRECTIONS, StqCorrection, StqResult, check_corrections, stq_of
from pantile.metrics.track_pairs import COLUMNS, TrackPairs, added_up, check_classes, pair_rows
from pantile.metrics.video_frames import check_video, compared_frames


class SegmentationTrackingQuality(Metric):
    """STQ, AQ and SQ over videos; adds up over updates and processes.

    >>> metric = SegmentationTrackingQuality(taxonomy)
    >>> metric.update(predictions, truths, video=0)   # PanopticMaps of one frame, or of several
    >>> metric.compute().all.stq

    The ids of segments are the tracks: the same id in two frames of a video is the same thing. Frames may come in any
    order, and those of one video in several processes. What is held grows with the number of tracks that meet, not
    with frames or pixels. The result does not depend on the order, to the last bit.

    As in the evaluation of deeplab2, which is not what one would guess:

    - the class is part of a predicted track's identity: an id whose class changes is two tracks;
    - a predicted track need not have the true class to be associated;
    - predicted things on void pixels count against their track; only those on crowds of things do not;
    - pixels that the prediction leaves void add one more "class", of IoU 0, to the mean of SQ.

    Args:
        taxonomy: the classes; ``Segment.class_index`` refers to it.
        corrections: what to count otherwise, see ``StqCorrection``; none by default.

    Raises:
        UserError: a correction that there is not.
    """

    full_state_update = False
    higher_is_better = True
    is_differentiable = False

    def __init__(self, taxonomy: Taxonomy, corrections: Collection[StqCorrection] = (), **kwargs) -> None:
        super().__init__(**kwargs)
        check_corrections(frozenset(corrections), STQ_CORRECTIONS)
        self.taxonomy = taxonomy
        self.corrections = frozenset(corrections)
        self.add_state("pairs", [], dist_reduce_fx="cat")
        self.reset()

    def reset(self) -> None:
        super().reset()
        # torchmetrics replaces a list without entries by a float tensor, which cannot be gathered with integers.
        self.pairs.append(torch.empty(0, len(COLUMNS), dtype=torch.int64, device=self.device))
        self._rows_when_added_up = 0

    def update(
        self, pred: PanopticMap | Sequence[PanopticMap], gt: PanopticMap | Sequence[PanopticMap], video: int
    ) -> None:
        """Adds frames of one video.

        Args:
            pred: predicted map(s); ids as numpy arrays or as tensors on any device.
            gt: the ground truth of the same frames, of the same sizes.
            video: a number >= 0 of its own in the whole data set, the same for all frames of a video.

        Raises:
            UserError: see ``count_pair``; an unknown class index, unequal numbers of frames, or another video number.
        """
        check_video(video)
        rows = []
        for frame in compared_frames(pred, gt):
            check_classes(frame, self.taxonomy)
            rows.append(pair_rows(frame, video))
        if rows:
            self.pairs.append(torch.from_numpy(added_up(np.concatenate(rows))).to(self.device))
        # Rows of one pair are made one whenever there are twice as many as the last time: amortised, a constant factor.
        if sum(map(len, self.pairs)) > max(2 * self._rows_when_added_up, 1024):
            self.pairs[:] = [torch.from_numpy(self._table()).to(self.device)]
            self._rows_when_added_up = len(self.pairs[0])

    def compute(self) -> StqResult:
        """The result so far; NaN if nothing was seen."""
        return stq_of(TrackPairs(*self._table().T), self.taxonomy, self.corrections)

    def _table(self) -> np.ndarray:
        return added_up(dim_zero_cat(self.pairs).cpu().numpy())
