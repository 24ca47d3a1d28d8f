"""The frames of videos as metrics take them: compared one by one, and, where windows slide, in their order."""

from collections.abc import Iterator, Sequence

import torch
from torchmetrics import Metric
from torchmetrics.utilities import dim_zero_cat

from pantile.contracts.errors import UserError
from pantile.contracts.panoptic import PanopticMap
from pantile.metrics.map_pair import MapPair, compare


def frames_of(maps: PanopticMap | Sequence[PanopticMap]) -> list[PanopticMap]:
    return [maps] if isinstance(maps, PanopticMap) else list(maps)


def compared_frames(
    pred: PanopticMap | Sequence[PanopticMap], gt: PanopticMap | Sequence[PanopticMap]
) -> Iterator[MapPair]:
    """One frame, or several of one video, one after the other.

    Raises:
        UserError: unequal numbers of frames, or see ``count_pair``.
    """
    preds, gts = frames_of(pred), frames_of(gt)
    check_numbers(len(preds), len(gts))
    for one_pred, one_gt in zip(preds, gts, strict=True):
        yield compare(one_pred, one_gt)


def check_numbers(predictions: int, frames: int) -> None:
    """
    Raises:
        UserError: they differ.
    """
    if predictions != frames:
        raise UserError(f"There are {predictions} predictions for {frames} frames: give one for each frame.")


def check_video(video: int) -> None:
    """
    Raises:
        UserError: no whole number from 0 that fits into 64 bits.
    """
    if isinstance(video, bool) or not isinstance(video, int) or not 0 <= video < 2**63:
        raise UserError(f"The video is {video!r}: number the videos from 0, each by its own number.")


class OrderedVideos(Metric):
    """A metric whose windows slide over the frames of a video: these come in order, one video after the other, each
    video in one process. A video may be spread over several updates."""

    def __init__(self, **kwargs) -> None:
        super().__init__(**kwargs)
        self.add_state("videos", [], dist_reduce_fx="cat")
        OrderedVideos.reset(self)

    def reset(self) -> None:
        super().reset()
        # torchmetrics replaces a list without entries by a float tensor, which cannot be gathered with integers.
        self.videos.append(torch.empty(0, dtype=torch.int64, device=self.device))
        self._video: int | None = None
        self._seen: set[int] = set()

    def _begins(self, video: int) -> bool:
        """Whether a frame is the first of its video.

        Raises:
            UserError: frames of another video came in between, or see ``check_video``.
        """
        check_video(video)
        if video == self._video:
            return False
        if video in self._seen:
            raise UserError(
                f"Frames of video {video} come after those of video {self._video}: give each video in one go, its "
                "frames in their order."
            )
        self._video = video
        self._seen.add(video)
        self.videos.append(torch.tensor([video], device=self.device))
        return True

    def _check_one_process(self) -> None:
        """
        Raises:
            UserError: several processes had frames of one video.
        """
        numbers, times = dim_zero_cat(self.videos).unique(return_counts=True)
        if (times > 1).any():
            raise UserError(
                f"Frames of video {int(numbers[times > 1][0])} were counted in several processes: give each video to "
                "one process, since windows slide over its frames."
            )
