"""What tiles say of the classes of their image as a whole: those that it shows, and those that could win a pixel."""

import numpy as np

from pantile.contracts.predictions import Prediction


class ClassesOfTiles:
    """
    Attributes:
        presence: (K,) float32, the largest logit that any tile gives a class; None where none says anything.
        selected: (k,) int64 ascending, the classes that some tile let compete; None for all.
    """

    def __init__(self) -> None:
        self.presence: np.ndarray | None = None
        self._competing: list[np.ndarray | None] = []

    def add(self, tile: Prediction) -> None:
        if tile.presence_logits is not None:
            earlier = tile.presence_logits if self.presence is None else self.presence
            self.presence = np.maximum(earlier, tile.presence_logits)
        self._competing.append(tile.selected_classes)

    @property
    def selected(self) -> np.ndarray | None:
        if any(classes is None for classes in self._competing):
            return None
        return np.unique(np.concatenate(self._competing))
