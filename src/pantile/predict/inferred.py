"""Inferred: what a network says of an image before it is merged, so that merging can wait, or be repeated."""

from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from pantile.contracts.placement import Placement


@dataclass(frozen=True)
class Inferred:
    """
    Attributes:
        image: (H, W, C) uint8.
        output: of the network for this image alone: a ``ModelOutput`` of one image, or the arrays of an exported file.
        placement: where the image lies in the network's input.
    """

    image: np.ndarray
    output: Any
    placement: Placement

    @property
    def nbytes(self) -> int:
        """Of the image and all that the network gave."""
        output = self.output
        values = output.values() if isinstance(output, dict) else (getattr(output, f.name) for f in fields(output))
        return self.image.nbytes + sum(getattr(value, "nbytes", 0) for value in values)
