"""ClipConfig: which frames of a video make a training clip."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from pantile.contracts.errors import UserError

if TYPE_CHECKING:
    import numpy as np


@dataclass
class ClipConfig:
    """Clips of a video around a random frame of it. Defaults are those of Mask2Former for video.

    Attributes:
        frames: T >= 1.
        reach: how many frames before and behind the first drawn one the others may lie, at least 1.
        order: "time", or "shuffled": a drawn order, for models that are not to know it.
    """

    frames: int = 2
    reach: int = 20
    order: Literal["time", "shuffled"] = "time"

    def check(self) -> None:
        """Raises UserError for values that make no sense."""
        if self.frames < 1:
            raise UserError(f"augment.clip.frames is {self.frames}: give at least 1.")
        if self.reach < 1:
            raise UserError(f"augment.clip.reach is {self.reach}: give at least 1 frame.")

    def draw(self, length: int, rng: "np.random.Generator") -> list[int]:
        """Positions in a video of ``length`` frames, all different where there are so many in reach; in a video that is
        too short for that, each as often as the others or once more."""
        first = int(rng.integers(length))
        others = [k for k in range(max(0, first - self.reach), min(length, first + self.reach + 1)) if k != first]
        drawn = [first]
        while len(drawn) < self.frames:
            drawn += rng.permutation(others or [first])[: self.frames - len(drawn)].tolist()
            others = [*others, first] if first not in others else others
        if self.order == "time":
            return sorted(drawn)
        return rng.permutation(drawn).tolist()
