"""Video consistency (VC8, VC16) as a metric that adds up over processes; see ``consistent_pixels``."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from pantile.contracts.panoptic import PanopticMap
from pantile.contracts.taxonomy import Taxonomy
from pantile.metrics.class_maps import semantic_of
from pantile.metrics.consistency_result import VideoConsistencyResult, consistency_of
from pantile.metrics.consistent_pixels import ConsistentPixels
from pantile.metrics.map_pair import as_array
from pantile.metrics.video_frames import OrderedVideos, check_numbers, frames_of


class VideoConsistency(OrderedVideos):
    """VC over videos; adds up over videos and processes.

    >>> metric = VideoConsistency(taxonomy)
    >>> metric.update([class_map], [ground_truth], video=0)   # the next frame, or several
    >>> metric.compute().vc[8]

    As in the original, a prediction need not be right, only stay the same; void is a class like any other; the mean
    is over all windows of all videos, so that long videos weigh more; and the last window of each video is left out.
    The frames of a video come in their order, in one process; what is held does not grow with their number.

    Args:
        taxonomy: the classes of the ground truth.
        windows: lengths in frames.
        last_window: count the last window of each video, which the original leaves out.

    Raises:
        UserError: other lengths.
    """

    full_state_update = False
    higher_is_better = True
    is_differentiable = False

    sums: Tensor
    numbers: Tensor

    def __init__(
        self, taxonomy: Taxonomy, windows: Sequence[int] = (8, 16), last_window: bool = False, **kwargs
    ) -> None:
        super().__init__(**kwargs)
        self.taxonomy = taxonomy
        self.windows = tuple(windows)
        self.last_window = last_window
        self._pixels = ConsistentPixels(self.windows, last_window)
        self.add_state("sums", torch.zeros(len(self.windows), dtype=torch.float64), dist_reduce_fx="sum")
        self.add_state("numbers", torch.zeros(len(self.windows), dtype=torch.int64), dist_reduce_fx="sum")

    def update(
        self, predictions: Sequence[np.ndarray | None], targets: PanopticMap | Sequence[PanopticMap], video: int
    ) -> None:
        """Adds the next frames of a video.

        Args:
            predictions: (H, W) integers each, a class index or -1 for none, arrays or tensors on any device; None for a
                frame without prediction, over which nothing stays the same.
            targets: the ground truth of the same frames, of the same sizes.
            video: a number >= 0 of its own in the whole data set.

        Raises:
            UserError: unequal numbers of frames, sizes that differ, frames of a video after those of another, or see
                ``semantic_of``.
        """
        if self._begins(video):
            self._pixels = ConsistentPixels(self.windows, self.last_window)
        predictions, targets = list(predictions), frames_of(targets)
        check_numbers(len(predictions), len(targets))
        for prediction, target in zip(predictions, targets, strict=True):
            pred = None if prediction is None else as_array(prediction)
            values = torch.from_numpy(self._pixels.add(pred, semantic_of(target, self.taxonomy))).to(self.device)
            self.sums = self.sums + values.nan_to_num()
            self.numbers = self.numbers + (~values.isnan()).long()

    def compute(self) -> VideoConsistencyResult:
        """The result so far; NaN where no window was complete.

        Raises:
            UserError: several processes had frames of one video.
        """
        self._check_one_process()
        return consistency_of(self.windows, self.sums.tolist(), self.numbers.tolist())
