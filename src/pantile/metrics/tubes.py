"""Tubes: the segments of one id in a window of frames, matched as segments of one image are.

Kim et al., "Video Panoptic Segmentation" (CVPR 2020), section 3.2, with the evaluation code published with it (VPSNet):
windows slide by one frame; areas and overlaps are summed over the frames of a window.
"""

from collections import deque
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from pantile.contracts.errors import UserError
from pantile.metrics.exact_sums import iou_units, parts_of
from pantile.metrics.map_pair import SegmentOverlaps, areas_of
from pantile.metrics.pair_counts import CrowdRule, PairCounts, check_rule, match_segments


class TubeWindows:
    """The windows over one video, frame by frame. It holds the overlaps of a few frames, and no pixels.

    Args:
        lengths: of the windows, in frames.
        crowd: which crowd tubes of its class excuse a prediction, see ``CrowdRule``.

    Raises:
        UserError: another rule, or see ``check_lengths``.
    """

    def __init__(self, lengths: Sequence[int], crowd: CrowdRule) -> None:
        check_rule(crowd)
        check_lengths(lengths)
        self._lengths = tuple(lengths)
        self._crowd: CrowdRule = crowd
        self._frames: deque[SegmentOverlaps] = deque(maxlen=max(lengths))

    def add(self, frame: SegmentOverlaps) -> dict[int, PairCounts]:
        """The next frame of the video. Returns the tubes of each window that ends with it, by its length."""
        self._frames.append(frame)
        frames = list(self._frames)
        return {
            length: match_segments(tubes_of(frames[-length:]), crowd=self._crowd)
            for length in self._lengths
            if length <= len(frames)
        }


def tubes_of(frames: Sequence[SegmentOverlaps]) -> SegmentOverlaps:
    """Frames as one: a tube has the class and the crowd flag of the first frame in which its id occurs."""
    shared: dict[tuple[int, int], int] = {}
    for frame in frames:
        for gt_id, pred_id, area in frame.overlaps:
            shared[gt_id, pred_id] = shared.get((gt_id, pred_id), 0) + area
    overlaps = [(*ids, area) for ids, area in sorted(shared.items())]
    return SegmentOverlaps(
        overlaps,
        *areas_of(overlaps),
        gt_rows=_first_rows(frame.gt_rows for frame in frames),
        pred_rows=_first_rows(frame.pred_rows for frame in frames),
    )


def _first_rows(tables: Iterable[dict]) -> dict:
    rows: dict = {}
    for table in tables:
        rows |= {segment_id: row for segment_id, row in table.items() if segment_id not in rows}
    return rows


class TubeTally:
    """Sums of outcomes for each length of windows and each class, exact, so that no order of videos changes them.

    Args:
        lengths: of the windows.
        classes: how many there are.

    Attributes:
        sums: (L, K, 5) int64, true positives, false positives, false negatives, and the two ``parts_of`` the summed IoU
            of true positives in ``iou_units``.
    """

    def __init__(self, lengths: Sequence[int], classes: int) -> None:
        self._row_of = {length: row for row, length in enumerate(lengths)}
        self.sums = np.zeros((len(lengths), classes, 5), np.int64)

    def add(self, tubes: Mapping[int, PairCounts]) -> None:
        """What ``TubeWindows.add`` gives."""
        for length, outcome in tubes.items():
            row = self._row_of[length]
            for match in outcome.matches:
                self.sums[row, match.gt.class_index] += (1, 0, 0, *parts_of(iou_units(match.iou)))
            for column, segments in ((1, outcome.spurious), (2, outcome.missed)):
                for segment in segments:
                    self.sums[row, segment.class_index, column] += 1


def check_lengths(lengths: Sequence[int]) -> None:
    """
    Raises:
        UserError: none, one twice, or one that is no whole number from 1.
    """
    whole = all(isinstance(n, int) and not isinstance(n, bool) and n >= 1 for n in lengths)
    if not lengths or not whole or len(set(lengths)) < len(lengths):
        raise UserError(f"The lengths of windows are {list(lengths)}: give whole numbers from 1, each once.")
