"""Average precision of mask tracks (YouTube-VIS, OVIS) as a metric that adds up over processes; see ``track_rows``."""

from collections.abc import Sequence

import torch
from torchmetrics import Metric
from torchmetrics.utilities import dim_zero_cat

from pantile.contracts.taxonomy import Taxonomy
from pantile.contracts.videos import TrackedInstance
from pantile.metrics.mask_tracks import MaskTrack
from pantile.metrics.track_rows import (
    NO_ROWS,
    TrackAveragePrecisionResult,
    TrackRows,
    average_precision_of,
    rows_of_video,
)
from pantile.metrics.video_frames import check_video


class TrackAveragePrecision(Metric):
    """AP and AR of mask tracks over videos; adds up over videos and processes.

    >>> metric = TrackAveragePrecision(taxonomy)
    >>> metric.update(prediction.instances, tracks_of(truths, taxonomy), video=0)   # of a whole video
    >>> metric.compute().ap

    A crowd track excuses the predictions that match it; their IoU is the ordinary one, unlike COCO's. Of each video
    only areas, scores and IoUs are kept.

    Args:
        taxonomy: the classes; without things every number is NaN.
    """

    full_state_update = False
    higher_is_better = True
    is_differentiable = False

    def __init__(self, taxonomy: Taxonomy, **kwargs) -> None:
        super().__init__(**kwargs)
        self.taxonomy = taxonomy
        for name in TrackRows._fields:
            self.add_state(name, [], dist_reduce_fx="cat")
        self.reset()

    def reset(self) -> None:
        super().reset()
        self._append(NO_ROWS)  # torchmetrics replaces empty lists by float tensors, which do not join with integers

    def update(self, predictions: Sequence[TrackedInstance], truths: Sequence[MaskTrack], video: int) -> None:
        """Adds a whole video.

        Args:
            predictions: as in ``VideoPrediction.instances``, which may overlap; there may be none. ``tracks_of`` reads
                them off panoptic maps.
            truths: the true ones.
            video: a number >= 0 of its own in the whole data set. Predictions of equal score are ranked in the order of
                these numbers, so that the number of processes does not matter.

        Raises:
            UserError: numbers or sizes of masks that differ, a class that is not a thing class of the taxonomy, a score
                that is not finite.
        """
        check_video(video)
        self._append(rows_of_video(predictions, truths, video, self.taxonomy))

    def compute(self) -> TrackAveragePrecisionResult:
        """The result so far.

        Raises:
            UserError: two videos have one number.
        """
        rows = TrackRows(*(dim_zero_cat(getattr(self, name)).cpu().numpy() for name in TrackRows._fields))
        return average_precision_of(rows, self.taxonomy)

    def _append(self, rows: TrackRows) -> None:
        for name, values in rows._asdict().items():
            getattr(self, name).append(torch.from_numpy(values).to(self.device))
