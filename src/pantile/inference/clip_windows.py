"""How a film is cut into clips for a model that reads clips, so that a film of any length needs the memory of one."""

from dataclasses import dataclass

from pantile.contracts.errors import UserError


@dataclass
class ClipWindows:
    """Windows in time. Each begins with the last ``overlap`` frames of the one before, in which things that both see
    at the same place are one; what was said of these frames stays.

    A model that carries its queries on from frame to frame (VidEoMT) needs no overlap and is given none.

    Attributes:
        frames: T of a window, at least 1; the last of a film may be shorter.
        overlap: 0 leaves it to the tracking alone what goes on in the next window.
        min_overlap: 0..1, the least intersection over union in the shared frames by which a thing goes on.

    Raises:
        UserError: numbers that make no sense.
    """

    frames: int = 8
    overlap: int = 2
    min_overlap: float = 0.1

    def __post_init__(self) -> None:
        if self.frames < 1:
            raise UserError(f"clips.frames is {self.frames}: give at least 1 frame.")
        if not 0 <= self.overlap < self.frames:
            raise UserError(
                f"clips.overlap is {self.overlap}: give 0 frames or more, and fewer than clips.frames, {self.frames}."
            )
        if not 0 <= self.min_overlap <= 1:
            raise UserError(f"clips.min_overlap is {self.min_overlap}: give a share from 0 to 1.")
