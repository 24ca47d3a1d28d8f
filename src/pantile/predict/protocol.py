"""What takes an image and gives a result, whatever runs the network."""

from typing import Any, Protocol

from pantile.contracts.taxonomy import Taxonomy
from pantile.data.reading import Reading
from pantile.inference.tiles import Tiling, Track
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

    def settings(self) -> dict:
        """What of the network decides a prediction, in plain containers."""
