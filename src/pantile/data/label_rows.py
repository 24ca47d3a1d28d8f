"""LabelRows: a panoptic map with its ids renumbered 1..R, the form in which a label travels through augmentation."""

from dataclasses import dataclass

import numpy as np

from pantile.contracts.panoptic import VOID_ID, PanopticMap
from pantile.contracts.taxonomy import Taxonomy
from pantile.data.id_runs import IdRuns, runs


@dataclass(frozen=True)
class LabelRows:
    """One integer map plus one row per target; no dense masks.

    Attributes:
        ids: (H, W) int16; 0 is void, r + 1 is row r.
        classes: (R,) int64 class index.
        crowd: (R,) bool.
        padding: (H, W) bool, true where there is no image; None where that is nowhere.
    """

    ids: np.ndarray
    classes: np.ndarray
    crowd: np.ndarray
    padding: np.ndarray | None = None

    def areas(self) -> np.ndarray:
        """(R,) int64: pixels of each row."""
        import torch  # numpy would make 64-bit numbers of the ids first; here, because who counts labels needs no torch

        flat = torch.from_numpy(np.ascontiguousarray(self.ids)).flatten()
        return torch.bincount(flat, minlength=len(self.classes) + 1)[1:].numpy()

    def keep(self, kept: np.ndarray) -> "LabelRows":
        """The rows where ``kept`` (R,) bool is true, renumbered in order; pixels of the others become void."""
        if kept.all():
            return self
        new_ids = np.zeros(len(kept) + 1, dtype=np.int16)
        new_ids[1:][kept] = np.arange(1, kept.sum() + 1)
        return LabelRows(new_ids.take(self.ids), self.classes[kept], self.crowd[kept], self.padding)


def label_rows(panoptic: PanopticMap, taxonomy: Taxonomy) -> LabelRows:
    """One row per non-crowd thing segment, one per stuff class (its segments merge), one per crowd region.

    Rows keep the order of the table. Pixels whose id is not in the table become void.
    """
    classes: list[int] = []
    crowd: list[bool] = []
    row_of_stuff: dict[int, int] = {}
    id_of_segment: dict[int, int] = {}
    for segment in panoptic.segments:
        is_stuff = not segment.is_crowd and not taxonomy.classes[segment.class_index].is_thing
        if is_stuff and segment.class_index in row_of_stuff:
            id_of_segment[segment.id] = row_of_stuff[segment.class_index] + 1
            continue
        if is_stuff:
            row_of_stuff[segment.class_index] = len(classes)
        classes.append(segment.class_index)
        crowd.append(segment.is_crowd)
        id_of_segment[segment.id] = len(classes)
    ids = renumber(panoptic.ids, id_of_segment)
    return LabelRows(ids, np.array(classes, dtype=np.int64), np.array(crowd, dtype=bool))


def renumber(ids: np.ndarray, new_id: dict[int, int]) -> np.ndarray:
    """Maps ids to small ones; what ``new_id`` does not mention becomes 0.

    Works on runs of equal neighbours: a map has a hundred times fewer runs than pixels.

    Args:
        ids: (H, W) integer.
        new_id: old id -> 1..32767.

    Returns:
        (H, W) int16.
    """
    values, lengths = runs(ids)
    old = np.array(sorted(new_id), dtype=np.int64)
    if not len(old):
        return np.zeros(ids.shape, dtype=np.int16)
    new = np.array([new_id[i] for i in old.tolist()], dtype=np.int16)
    position = np.searchsorted(old, values).clip(max=len(old) - 1)
    new_values = np.where(old[position] == values, new[position], VOID_ID).astype(np.int16)
    return np.repeat(new_values, lengths).reshape(ids.shape)


def count_pixels(ids: np.ndarray) -> dict[int, int]:
    """Pixels of each id that occurs, void included; ids ascend."""
    return IdRuns.of(ids).areas()
