"""Video Panoptic Quality (VPQ) as a metric that adds up over processes; see ``tubes``."""

from collections.abc import Sequence

import torch
from torch import Tensor

from pantile.contracts.panoptic import PanopticMap
from pantile.contracts.taxonomy import Taxonomy
from pantile.metrics.pair_counts import CrowdRule
from pantile.metrics.track_pairs import check_classes
from pantile.metrics.tubes import TubeTally, TubeWindows
from pantile.metrics.video_frames import OrderedVideos, compared_frames
from pantile.metrics.vpq_result import VideoPanopticQualityResult, vpq_of


class VideoPanopticQuality(OrderedVideos):
    """VPQ over videos; adds up over videos and processes.

    >>> metric = VideoPanopticQuality(taxonomy, windows=(1, 2, 3, 4))
    >>> metric.update(predictions, truths, video=0)   # PanopticMaps of the next frame, or of several
    >>> metric.compute().all.pq

    The ids of segments are the tracks. Areas are those of pixels (the original takes the ``area`` of the ground truth's
    JSON). The frames of a video come in their order, in one process; what is held does not grow with their number.

    Args:
        taxonomy: the classes; ``Segment.class_index`` refers to it.
        windows: lengths in labelled frames: 1, 2, 3, 4 for Cityscapes-VPS (printed there as k = 0, 5, 10, 15, since
            every fifth frame is labelled), 1, 2, 4, 6, 8 for VIPSeg.
        crowd: which crowd tubes of its class excuse a prediction, where a window has several: the last row, as in the
            original ("reference"), or "all".

    Raises:
        UserError: another rule about crowd, or other lengths.
    """

    full_state_update = False
    higher_is_better = True
    is_differentiable = False

    sums: Tensor

    def __init__(
        self, taxonomy: Taxonomy, windows: Sequence[int] = (1, 2, 3, 4), crowd: CrowdRule = "reference", **kwargs
    ) -> None:
        super().__init__(**kwargs)
        self.taxonomy = taxonomy
        self.windows = tuple(windows)
        self.crowd: CrowdRule = crowd
        self._tubes = TubeWindows(self.windows, crowd)
        nothing = TubeTally(self.windows, len(taxonomy)).sums
        self.add_state("sums", torch.from_numpy(nothing), dist_reduce_fx="sum")

    def update(
        self, pred: PanopticMap | Sequence[PanopticMap], gt: PanopticMap | Sequence[PanopticMap], video: int
    ) -> None:
        """Adds the next frame of a video, or several.

        Args:
            pred: predicted map(s); ids as numpy arrays or as tensors on any device.
            gt: the ground truth of the same frames, of the same sizes.
            video: a number >= 0 of its own in the whole data set.

        Raises:
            UserError: see ``count_pair``; an unknown class index, unequal numbers of frames, or frames of a video after
                those of another.
        """
        if self._begins(video):
            self._tubes = TubeWindows(self.windows, self.crowd)
        tally = TubeTally(self.windows, len(self.taxonomy))
        for frame in compared_frames(pred, gt):
            check_classes(frame, self.taxonomy)
            tally.add(self._tubes.add(frame))
        self.sums = self.sums + torch.from_numpy(tally.sums).to(self.device)

    def compute(self) -> VideoPanopticQualityResult:
        """The result so far.

        Raises:
            UserError: several processes had frames of one video.
        """
        self._check_one_process()
        return vpq_of(self.taxonomy, self.windows, self.sums.cpu().numpy())
