"""What takes an image and gives a result, whatever runs the network."""

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np

from pantile.contracts.placement import Placement
from pantile.contracts.taxonomy import Taxonomy
from pantile.data.reading import Reading
from pantile.inference.tiles import Tiling, Track
from pantile.merge.registry import MergeConfig
from pantile.predict.inferred import Inferred
from pantile.predict.result import PanopticResult


class ImagePredictor(Protocol):
    """
    Attributes:
        taxonomy: of the results.
        per_class: whether a segment is all pixels of a class (``PanopticResult.per_class``).
        orientation: in which frame files are read, ``"upright"`` or ``"stored"``.
        reading: of files: what of them the network takes.
        tiling: how large images are cut into tiles; None takes each as a whole.
    """

    taxonomy: Taxonomy
    per_class: bool
    orientation: str
    reading: Reading
    tiling: Tiling | None

    def __call__(self, image: Any, track: Track | None = None) -> PanopticResult:
        """Of one image: a path, bytes, a PIL image, an array, or what ``open`` gave."""

    def open(self, image: Any) -> Any:
        """The pixels of an image, read ahead."""

    @property
    def merge_config(self) -> MergeConfig | None:
        """Every threshold by which ``merge`` decides; None where the network's graph merges itself."""

    def placement(self, image: np.ndarray) -> Placement:
        """Where (H, W, C) pixels lie in the network's input, taken as a whole."""

    def infer(self, images: Sequence[np.ndarray]) -> list[Inferred]:
        """What the network says of whole images with inputs of one size, before it is merged."""

    def merge(self, inferred: Inferred, config: MergeConfig | None = None) -> PanopticResult:
        """The result; with other thresholds where ``config`` says so. May be called by any thread."""

    def settings(self) -> dict:
        """What of the network decides a prediction, in plain containers."""
