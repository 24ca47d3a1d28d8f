"""Labels that are a class per pixel: what each stored value means, and how an image of values becomes a map."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pantile.contracts.errors import UserError
from pantile.contracts.panoptic import VOID_ID, PanopticMap, Segment

NUM_VALUES = 2**16  # of a 16-bit label
UNKNOWN = -1
NAMED = 5  # values in a message


@dataclass(frozen=True)
class ClassValues:
    """What each stored value means.

    Attributes:
        ids: (NUM_VALUES,) int32: 1 + class index, ``VOID_ID`` for void, ``UNKNOWN`` for what the format lacks.
        hint: what unknown values may come from, for messages; empty or a sentence.
    """

    ids: np.ndarray
    hint: str = ""

    @classmethod
    def of(cls, classes: Mapping[int, int], void: Collection[int], hint: str = "") -> "ClassValues":
        """
        Args:
            classes: stored value to class index.
            void: stored values of unlabelled pixels.
            hint: see above.
        """
        ids = np.full(NUM_VALUES, UNKNOWN, dtype=np.int32)
        ids[list(void)] = VOID_ID
        ids[list(classes)] = np.array(list(classes.values())) + 1
        return cls(ids, hint)

    def to_map(self, values: np.ndarray, path: Path) -> PanopticMap:
        """One segment for each class that occurs; its id is 1 + class index.

        Args:
            values: (H, W) uint8 or uint16, as stored.
            path: the file they come from, for messages.

        Raises:
            UserError: values without meaning: which, how many pixels, and where the first lies.
        """
        ids = self.ids[values]
        if ids.size and ids.min() < 0:
            raise self._unknown(values, ids < 0, path)
        present = np.flatnonzero(np.bincount(ids.ravel()))
        return PanopticMap(ids, tuple(Segment(own, own - 1) for own in present.tolist() if own != VOID_ID))

    def _unknown(self, values: np.ndarray, unknown: np.ndarray, path: Path) -> UserError:
        which = np.unique(values[unknown]).tolist()
        row, column = np.argwhere(unknown)[0].tolist()
        named = ", ".join(map(str, which[:NAMED])) + (", ..." if len(which) > NAMED else "")
        return UserError(
            f"{path} has {int(unknown.sum()):,} pixels of {'value' if len(which) == 1 else f'{len(which)} values'} "
            f"{named}, the first in row {row}, column {column}, which the data set does not define: correct the label "
            f"or paint these pixels void.{f' {self.hint}' if self.hint else ''}"
        )
