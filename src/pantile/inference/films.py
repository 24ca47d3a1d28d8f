"""A trained network on a film: frames go in one after the other, predictions with the ids of the film come out.

Nothing is held but a frame, or the window of a model that reads clips, and the tracks that could go on. What comes out
is final.
"""

from collections.abc import Mapping
from typing import Protocol

import numpy as np
import torch

from pantile.contracts.errors import UserError
from pantile.contracts.predictions import Prediction
from pantile.contracts.videos import TrackedInstance
from pantile.inference.images import predict_clip, predict_frame
from pantile.inference.network import Network
from pantile.inference.tiles import Tiling
from pantile.inference.views import Views
from pantile.merge.tracking.tracker import Tracker
from pantile.merge.tracking.windows import WindowJoiner


class FilmRun(Protocol):
    """One film.

    Attributes:
        repeated: after ``load_state``, how many frames before the first new one have to be added again; nothing comes
            out for them.
        instances: of a film that a model of clips has seen at once, its things as ``clip_instances`` gives them, after
            ``finish``; None of other films.
    """

    repeated: int
    instances: tuple[TrackedInstance, ...] | None

    def add(self, image: np.ndarray) -> list[Prediction]:
        """The next frame, (H, W, C) uint8; gives the predictions that are final now, of this frame or earlier ones."""
        ...

    def finish(self) -> list[Prediction]:
        """After the last frame: the predictions that are still to come."""
        ...

    def state(self) -> dict[str, np.ndarray] | None:
        """What the rest depends on, for a file; None where frames are waiting for their predictions."""
        ...

    def load_state(self, state: Mapping[str, np.ndarray]) -> None:
        """The inverse, before the first frame."""
        ...


def run_film(network: Network, tracker: Tracker, views: Views | None = None, tiling: Tiling | None = None) -> FilmRun:
    """
    Args:
        network: of eval mode; its ``clips`` decide whether it sees frames or windows.
        tracker: a new one.
        views: averaged over.
        tiling: how frames are cut.

    Raises:
        UserError: tiles of a model that reads clips.
    """
    run = FrameByFrame if network.clips is None else ClipByClip
    return run(network, tracker, views or Views(), tiling)


class FrameByFrame:
    """Each frame is an image; see ``FilmRun``."""

    repeated = 0
    instances = None

    def __init__(self, network: Network, tracker: Tracker, views: Views, tiling: Tiling | None) -> None:
        self.network, self.tracker, self.views, self.tiling = network, tracker, views, tiling

    def add(self, image: np.ndarray) -> list[Prediction]:
        return [self.tracker.update(*predict_frame(self.network, image, self.views, self.tiling))]

    def finish(self) -> list[Prediction]:
        return []

    def state(self) -> dict[str, np.ndarray]:
        return self.tracker.state()

    def load_state(self, state: Mapping[str, np.ndarray]) -> None:
        self.tracker.load_state(state)


class ClipByClip:
    """Windows of ``network.clips``; see ``FilmRun``."""

    def __init__(self, network: Network, tracker: Tracker, views: Views, tiling: Tiling | None) -> None:
        if tiling is not None:
            raise UserError("--tile cuts single images, and this model reads clips of whole frames: leave it out.")
        self.network, self.views, self.windows = network, views, network.clips
        self.joiner = WindowJoiner(tracker, self.windows.overlap, self.windows.min_overlap)
        self.repeated = 0
        self.instances: tuple[TrackedInstance, ...] | None = None
        self._windows = 0
        self._waiting: list[np.ndarray] = []  # the first ``repeated`` of them were in the window before
        self._carried: torch.Tensor | None = None

    def add(self, image: np.ndarray) -> list[Prediction]:
        self._waiting.append(image)
        return self._predict() if len(self._waiting) == self.windows.frames else []

    def finish(self) -> list[Prediction]:
        return self._predict() if len(self._waiting) > self.repeated else []

    def state(self) -> dict[str, np.ndarray] | None:
        if len(self._waiting) > self.repeated:
            return None
        carried = {} if self._carried is None else {"carried": self._carried.float().cpu().numpy()}
        return self.joiner.state() | {"repeated": np.array(self.repeated)} | carried

    def load_state(self, state: Mapping[str, np.ndarray]) -> None:
        self.joiner.load_state(state)
        self.repeated = int(state["repeated"])
        self._windows = 1
        if "carried" in state:
            self._carried = torch.from_numpy(state["carried"]).to(self.network.device)

    def _predict(self) -> list[Prediction]:
        clip = predict_clip(self.network, self._waiting, self.views, self._carried)
        carries = clip.carried is not None
        tracked = self.joiner.update(clip.predictions, clip.embeds, self.repeated, same_queries=carries)
        self.repeated = 0 if carries else min(self.windows.overlap, len(self._waiting))
        self._waiting = self._waiting[len(self._waiting) - self.repeated :]
        self._carried = clip.carried
        self._windows += 1
        self.instances = clip.instances if self._windows == 1 else None
        return tracked
