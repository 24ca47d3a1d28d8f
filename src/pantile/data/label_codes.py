"""Label PNGs that keep class and instance number in one integer, a code, and how codes become a PanopticMap."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from pantile.contracts.errors import UserError
from pantile.contracts.panoptic import VOID_ID, PanopticMap, Segment
from pantile.data.id_runs import runs

NUM_CODES = 2**17  # all of a 16-bit PNG, and room for two 8-bit channels beside an 8-bit class (ADE20K)
UNKNOWN = -1


@dataclass(frozen=True)
class CodeTable:
    """What each code means. Starts with every code unknown; ``void`` and ``segment`` fill it.

    Attributes:
        segment_ids: (NUM_CODES,) int32: id of the segment, 0 for void, -1 for a code that the format does not know.
        classes: (NUM_CODES,) int16: class index of the segment.
        crowd: (NUM_CODES,) bool.
        describe: names a code in messages, such as "value 45000".
    """

    segment_ids: np.ndarray = field(default_factory=lambda: np.full(NUM_CODES, UNKNOWN, dtype=np.int32))
    classes: np.ndarray = field(default_factory=lambda: np.zeros(NUM_CODES, dtype=np.int16))
    crowd: np.ndarray = field(default_factory=lambda: np.zeros(NUM_CODES, dtype=bool))
    describe: Callable[[int], str] = "value {}".format

    def void(self, codes: int | slice) -> None:
        """These codes are void."""
        self.segment_ids[codes] = VOID_ID

    def segment(self, codes: int | slice, segment_ids: int | np.ndarray, class_index: int, crowd: bool = False) -> None:
        """These codes are segments of one class; codes with the same id are one segment."""
        self.segment_ids[codes] = segment_ids
        self.classes[codes] = class_index
        self.crowd[codes] = crowd

    def things(self, codes: range, class_index: int, first_id: int) -> None:
        """Each of these codes is an instance of its own; ids ascend from ``first_id``."""
        self.segment(slice(codes.start, codes.stop), first_id + np.arange(len(codes)), class_index)

    def to_map(self, codes: np.ndarray, path: Path) -> PanopticMap:
        """Codes of one image to ids and a table sorted by id; no loop over pixels.

        Args:
            codes: (H, W) integer, 0..NUM_CODES - 1.
            path: the file they come from, for messages.

        Raises:
            UserError: a code that the format does not know.
        """
        values, lengths = runs(codes)
        run_ids = self.segment_ids[values]
        if (run_ids == UNKNOWN).any():
            code = int(values[run_ids == UNKNOWN].min())
            first = lengths[: np.argmax(values == code)].sum()
            row, column = divmod(int(first), codes.shape[1])
            raise UserError(
                f"{path} has {lengths[values == code].sum()} pixels of {self.describe(code)}, which the data set does "
                f"not define, the first at row {row}, column {column} (from 0): correct the label or paint these "
                "pixels void."
            )
        present, position = np.unique(run_ids, return_index=True)
        segments = [
            Segment(segment_id, int(self.classes[code]), bool(self.crowd[code]))
            for segment_id, code in zip(present.tolist(), values[position].tolist(), strict=True)
            if segment_id != VOID_ID
        ]
        return PanopticMap(np.repeat(run_ids, lengths).reshape(codes.shape), tuple(segments))
