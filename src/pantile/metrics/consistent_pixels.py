"""Video consistency (VC): in how many of the pixels whose true class stays the same the predicted class does so too.

Miao et al., "VSPW: A Large-scale Dataset for Video Scene Parsing in the Wild" (CVPR 2021), section 5.1, with the
evaluation code published with it (VSPW_baseline, ``VC_perclip.py``): for a window of n frames with G the pixels of one
true class throughout and P those of one predicted class throughout, VC_n = |G and P| / |G|.
"""

from collections.abc import Sequence

import numpy as np

from pantile.contracts.errors import UserError
from pantile.metrics.tubes import check_lengths


class ConsistentPixels:
    """The windows over one video, frame by frame. For each pixel it holds how long its classes have stayed the same,
    so a film of any length takes four maps of memory.

    Args:
        lengths: of the windows, in frames.
        last_window: whether the window that ends with the last frame counts; the original leaves it out, so that a
            video of n frames has no window of n.

    Raises:
        UserError: see ``check_lengths``.
    """

    def __init__(self, lengths: Sequence[int], last_window: bool = False) -> None:
        check_lengths(lengths)
        self._lengths = np.array(lengths)
        self._longest = max(lengths)
        self._last_window = last_window
        self._gt: np.ndarray | None = None
        self._waiting = np.full(len(lengths), np.nan)

    def add(self, pred: np.ndarray | None, gt: np.ndarray) -> np.ndarray:
        """The next frame.

        Args:
            pred: (H, W) integers, the predicted class of each pixel; any value is a class, also that of void. None
                where the frame has no prediction: no predicted pixel stays the same over it.
            gt: (H, W) integers, the true one.

        Returns:
            (L,) float64: VC of the window of each length that is complete now; NaN where there is none, or where no
            true pixel stays the same in it.

        Raises:
            UserError: the sizes differ, from each other or from those of the frames before.
        """
        _check_size("prediction", pred, gt)
        _check_size("frame before", self._gt, gt)
        if self._gt is None:
            self._gt_frames = np.zeros(gt.shape, np.int32)
            self._pred_frames = np.zeros(gt.shape, np.int32)
            self._pred = None
        _lengthen(self._gt_frames, None if self._gt is None else self._gt == gt, self._longest)
        if pred is None:
            self._pred_frames[:] = 0
        else:
            _lengthen(self._pred_frames, None if self._pred is None else self._pred == pred, self._longest)
        self._gt, self._pred = gt, pred

        values = self._values()
        if self._last_window:
            return values
        complete, self._waiting = self._waiting, values
        return complete

    def _values(self) -> np.ndarray:
        """Of the windows that end with this frame."""
        stays = np.bincount(self._gt_frames.reshape(-1), minlength=self._longest + 1)
        both = np.bincount(np.minimum(self._gt_frames, self._pred_frames).reshape(-1), minlength=self._longest + 1)
        true, consistent = (counts[::-1].cumsum()[::-1][self._lengths] for counts in (stays, both))
        return np.divide(consistent, true, out=np.full(len(true), np.nan), where=true > 0)


def _lengthen(frames: np.ndarray, same: np.ndarray | None, longest: int) -> None:
    """How many frames each pixel has kept its class for, this one included; in place."""
    if same is None:
        frames[:] = 1
        return
    frames *= same
    frames += 1
    np.minimum(frames, longest, out=frames)


def _check_size(what: str, other: np.ndarray | None, gt: np.ndarray) -> None:
    if other is not None and other.shape != gt.shape:
        sizes = [" x ".join(map(str, a.shape)) for a in (gt, other)]
        raise UserError(
            f"The ground truth is {sizes[0]} pixels but the {what} is {sizes[1]}: give all maps of a video one size."
        )
