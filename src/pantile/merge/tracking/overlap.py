"""Tracking by overlap: a thing goes on the track that covers the same pixels, moved as the track moves.

Works on any predictions. Masks are compared on a coarse grid, each track's last mask moved by its mean speed, so that a
fast thing still meets itself. A track that is hidden or outside is remembered for a while, and found again where it
would be by now or where it was seen last. Two lookalikes that meet keep their ids as long as they keep their ways; what
comes back elsewhere after it left begins a new track, since nothing but its place is known of it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from pantile.contracts.errors import UserError
from pantile.contracts.taxonomy import Taxonomy
from pantile.merge.tracking.tracker import TRACKERS, Frame, Track, Tracker, same_class


@TRACKERS.register("overlap")
@dataclass
class OverlapTracking:
    """
    Attributes:
        min_overlap: 0..1, the least intersection over union of a thing and its track's moved mask.
        newest: 0..1, share of the newest step in a track's mean speed; 0 takes every track to stand still.
        memory: frames for which a track that is not seen is remembered.
        grid: masks are compared at this many cells along the frame's longer side, at least 8.
    """

    min_overlap: float = 0.02
    newest: float = 0.5
    memory: int = 30
    grid: int = 256

    def __post_init__(self) -> None:
        if not 0 <= self.min_overlap < 1:
            raise UserError(f"The tracking's min_overlap is {self.min_overlap}: give a share from 0 to less than 1.")
        if not 0 <= self.newest <= 1:
            raise UserError(f"The tracking's newest is {self.newest}: give a share of 0..1.")
        if self.memory < 0:
            raise UserError(f"The tracking's memory is {self.memory}: give 0 frames or more.")
        if self.grid < 8:
            raise UserError(f"The tracking's grid is {self.grid}: give at least 8 cells.")

    def make(self, taxonomy: Taxonomy) -> "OverlapTracker":
        return OverlapTracker(taxonomy, self)


@dataclass(frozen=True)
class _Mask:
    """A mask on the coarse grid: the (n, 2) int64 (row, column) of its cells, and their mean."""

    cells: np.ndarray
    center: np.ndarray


@dataclass(frozen=True)
class _MaskTrack(Track):
    """``speed`` is (2,) cells per frame; None after one frame."""

    mask: _Mask
    speed: np.ndarray | None


class OverlapTracker(Tracker):
    """See the module and ``OverlapTracking``."""

    def __init__(self, taxonomy: Taxonomy, config: OverlapTracking | None = None) -> None:
        self.config = config or OverlapTracking()
        super().__init__(taxonomy, self.config.memory)
        self._last: tuple[Frame, list[_Mask], np.ndarray] | None = None

    def scores(self, frame: Frame) -> np.ndarray:
        masks, rows = self._masks(frame)
        areas = np.array([len(mask.cells) for mask in masks])
        scores = np.zeros((len(masks), len(self.tracks)))
        for number, track in enumerate(self.tracks):
            places = [track.mask.cells + self._step(track)]
            if track.age:
                places.append(track.mask.cells)
            for cells in places:
                there = _inside(cells, rows.shape)
                shared = np.bincount(rows[there[:, 0], there[:, 1]], minlength=len(masks) + 1)[1:]
                overlap = shared / np.maximum(areas + len(there) - shared, 1)
                scores[:, number] = np.maximum(scores[:, number], overlap)
        alike = same_class(frame.things, self.tracks) & (scores >= self.config.min_overlap)
        just_seen = np.array([track.age == 0 for track in self.tracks])  # no lost track takes what goes on one of these
        return np.where(alike & (scores > 0), scores + just_seen, 0.0)

    def begin(self, track_id: int, frame: Frame, position: int) -> Track:
        return _MaskTrack(track_id, frame.things[position].class_index, 0, self._masks(frame)[0][position], None)

    def go_on(self, track: Track, frame: Frame, position: int) -> Track:
        mask = self._masks(frame)[0][position]
        step = (mask.center - track.mask.center) / (track.age + 1)
        share = self.config.newest
        if track.speed is not None:
            step = share * step + (1 - share) * track.speed
        speed = step if share > 0 else np.zeros(2)
        return replace(track, age=0, mask=mask, speed=speed)

    def end_of_frame(self, frame: Frame) -> None:
        self._last = None

    def track_arrays(self) -> dict[str, np.ndarray]:
        nowhere = np.full(2, np.nan)  # of a track that has no speed yet
        return {
            "speed": np.stack([nowhere if track.speed is None else track.speed for track in self.tracks]),
            "center": np.stack([track.mask.center for track in self.tracks]),
            "cells": np.concatenate([track.mask.cells for track in self.tracks]),
            "behind": np.cumsum([len(track.mask.cells) for track in self.tracks]),
        }

    def track_of(self, known: Track, number: int, arrays: Mapping[str, np.ndarray]) -> Track:
        behind, speed = arrays["behind"], arrays["speed"][number]
        cells = arrays["cells"][behind[number - 1] if number else 0 : behind[number]]
        mask = _Mask(cells, arrays["center"][number])
        return _MaskTrack(known.id, known.class_index, known.age, mask, None if np.isnan(speed).any() else speed)

    def _step(self, track: _MaskTrack) -> np.ndarray:
        """(2,) int64: how far the track's mask has moved by now."""
        if track.speed is None:
            return np.zeros(2, dtype=np.int64)
        return np.rint(track.speed * (track.age + 1)).astype(np.int64)

    def _masks(self, frame: Frame) -> tuple[list[_Mask], np.ndarray]:
        """The things' masks, and the grid with the number of the thing plus one in each cell."""
        if self._last is None or self._last[0] is not frame:
            rows = _coarse_rows(frame, self.config.grid)
            order = np.argsort(rows, axis=None, kind="stable")
            bounds = np.searchsorted(rows.reshape(-1)[order], np.arange(1, len(frame.things) + 2))
            masks = []
            for first, behind in pairwise(bounds):
                cells = np.stack(np.unravel_index(order[first:behind], rows.shape), axis=1)
                masks.append(_Mask(cells, cells.mean(axis=0) if len(cells) else np.full(2, -1.0)))
            self._last = frame, masks, rows
        return self._last[1], self._last[2]


def _coarse_rows(frame: Frame, grid: int) -> np.ndarray:
    """(h, w) int16, which sorts fast: the position of the thing in each cell's middle pixel plus one, 0 for none."""
    ids = frame.panoptic.ids
    step = max(1, -(-max(ids.shape) // grid))
    coarse = ids[step // 2 :: step, step // 2 :: step]
    table = np.zeros(max((s.id for s in frame.panoptic.segments), default=0) + 2, dtype=np.int16)
    for position, segment in enumerate(frame.things):
        table[segment.id] = position + 1
    return table.take(coarse, mode="clip")  # the last entry, of all that is not listed, is 0


def _inside(cells: np.ndarray, size: tuple[int, ...]) -> np.ndarray:
    return cells[((cells >= 0) & (cells < np.array(size))).all(axis=1)]
