"""Data sets as Python sequences: ``dataset[i]``, ``dataset[:10]``, ``for image, panoptic in dataset``."""

from collections.abc import Iterator
from operator import index as whole_number
from typing import TYPE_CHECKING, NamedTuple, overload

import numpy as np

from pantile.contracts.panoptic import PanopticMap

if TYPE_CHECKING:
    from pantile.data.subset import Subset


class Sample(NamedTuple):
    """What ``load`` gives.

    Attributes:
        image: (H, W, C) uint8.
        panoptic: ids of the same size, and their segments.
    """

    image: np.ndarray
    panoptic: PanopticMap


class Samples:
    """Base of data sets: from ``len`` and ``load(index)``, whatever else Python's sequences have."""

    def __len__(self) -> int:
        raise NotImplementedError

    def load(self, index: int) -> tuple[np.ndarray, PanopticMap]:
        raise NotImplementedError

    @overload
    def __getitem__(self, index: int) -> Sample: ...

    @overload
    def __getitem__(self, index: slice) -> "Subset": ...

    def __getitem__(self, index: int | slice) -> "Sample | Subset":
        """One sample, counted from the end where negative; of a slice a ``Subset``, of which nothing is read yet.

        Raises:
            IndexError: there is no such sample.
            TypeError: neither a whole number nor a slice.
            UserError: its files are damaged.
        """
        if isinstance(index, slice):
            from pantile.data.subset import Subset  # which is itself a data set

            return Subset(self, range(len(self))[index])
        try:
            position = range(len(self))[whole_number(index)]
        except IndexError:
            raise IndexError(f"sample {index} of a data set of {len(self)}") from None
        return Sample(*self.load(position))

    def __iter__(self) -> Iterator[Sample]:
        """Samples in order, each read when it is asked for."""
        return (self[index] for index in range(len(self)))
