"""Ids that change their class within a video: told, because the measures of video read them in different ways."""

import warnings
from collections.abc import Sequence

from pantile.contracts.panoptic import PanopticMap
from pantile.contracts.taxonomy import Taxonomy

_Switch = tuple[int, int, int]  # id, class before, class after


class SwitchedIds:
    """Of one video.

    Attributes:
        first: the first switch of the prediction and of the ground truth, as (id, class before, class after); None
            where no id changes its class.
    """

    def __init__(self) -> None:
        self._class_of: tuple[dict[int, int], dict[int, int]] = {}, {}
        self.first: list[_Switch | None] = [None, None]

    def add(self, pred: PanopticMap | None, gt: PanopticMap) -> None:
        """The next frame."""
        for side, panoptic in enumerate((pred, gt)):
            for segment in panoptic.segments if panoptic else ():
                before = self._class_of[side].setdefault(segment.id, segment.class_index)
                if before != segment.class_index and self.first[side] is None:
                    self.first[side] = segment.id, before, segment.class_index

    def __getstate__(self) -> dict:
        return {"first": self.first}  # what travels from a worker


def tell_of_switched_ids(videos: Sequence[tuple[str, SwitchedIds]], taxonomy: Taxonomy) -> None:
    """
    Warns:
        UserWarning: once for each side, with the first example.
    """
    for side, what in enumerate(("predicted ids", "ids of the ground truth")):
        found = [(name, switched.first[side]) for name, switched in videos if switched.first[side] is not None]
        if not found:
            continue
        name, (segment_id, before, after) = found[0]
        warnings.warn(
            f"In {len(found)} of {len(videos)} videos {what} change their class (id {segment_id} of {name} is "
            f"{taxonomy.names[before]}, then {taxonomy.names[after]}): STQ counts another track from there, VPQ the "
            "class of the first frame in each window.",
            stacklevel=2,
        )
