"""Tracker: what every way of tracking shares, and the registry in which each enters itself under its name.

A tracker sees the frames of a video in order. It knows of the past only the tracks that it could still go on with, and
never goes back: a film of any length takes the memory of a few frames, and a frame that is written is final.

Stuff needs no matching: a class has one id in the whole film. A thing goes on a track of its own class, or begins one.
Ids count from 1 in the order of appearance and are never given twice.
"""

from collections.abc import Mapping, Set
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Protocol

import numpy as np
from scipy.optimize import linear_sum_assignment

from pantile.contracts.errors import UserError
from pantile.contracts.panoptic import MAX_ID, PanopticMap, Segment
from pantile.contracts.predictions import Prediction
from pantile.contracts.registry import Registry
from pantile.contracts.taxonomy import Taxonomy


class TrackConfig(Protocol):
    """A dataclass of thresholds with defaults."""

    def make(self, taxonomy: Taxonomy) -> "Tracker": ...


#: the configs by what ``--track`` calls them
TRACKERS: Registry[type[TrackConfig]] = Registry("way of tracking", "pantile.merge.tracking")


@dataclass(frozen=True)
class Frame:
    """The things of a frame, S of them, as a tracker compares them.

    Attributes:
        panoptic: the whole frame with its own ids.
        things: S segments of it.
        embed: (S, D) float32, what the model knows each by; None where it says nothing.
    """

    panoptic: PanopticMap
    things: tuple[Segment, ...]
    embed: np.ndarray | None


NOTHING: Mapping[int, int] = MappingProxyType({})


class Tracker:
    """Base class. A way of tracking says how alike things are to tracks, and what it keeps of a track.

    Args:
        taxonomy: K classes.
        memory: frames for which a track that is not seen is remembered, at least 0.
    """

    def __init__(self, taxonomy: Taxonomy, memory: int) -> None:
        self.taxonomy = taxonomy
        self.memory = memory
        self.next_id = 1
        self.id_of_stuff: dict[int, int] = {}
        self.tracks: list = []  # of what ``begin`` gives

    def scores(self, frame: Frame) -> np.ndarray:
        """(S, tracks) float: how well each thing goes on each track of its class; 0 or less where it does not."""
        raise NotImplementedError

    def begin(self, track_id: int, frame: Frame, position: int) -> "Track":
        """A track of the thing at a position of ``frame.things``."""
        raise NotImplementedError

    def go_on(self, track: "Track", frame: Frame, position: int) -> "Track":
        """The track after that thing was found to be its own."""
        raise NotImplementedError

    def end_of_frame(self, frame: Frame) -> None:
        """After all tracks of a frame are known."""

    def track_arrays(self) -> dict[str, np.ndarray]:
        """What tracks have beside id, class and age, in the order of ``tracks``."""
        raise NotImplementedError

    def track_of(self, known: "Track", number: int, arrays: Mapping[str, np.ndarray]) -> "Track":
        """The inverse, for one of them."""
        raise NotImplementedError

    def state(self) -> dict[str, np.ndarray]:
        """All that later frames depend on, for a file; ``load_state`` of a new tracker goes on from there."""
        numbers = [(t.id, t.class_index, t.age) for t in self.tracks]
        return {
            "next_id": np.array(self.next_id),
            "stuff": np.array(list(self.id_of_stuff.items()), dtype=np.int64).reshape(-1, 2),
            "tracks": np.array(numbers, dtype=np.int64).reshape(-1, 3),
        } | (self.track_arrays() if self.tracks else {})

    def load_state(self, state: Mapping[str, np.ndarray]) -> None:
        self.next_id = int(state["next_id"])
        self.id_of_stuff = dict(state["stuff"].tolist())
        known = [Track(*row) for row in state["tracks"].tolist()]
        self.tracks = [self.track_of(track, number, state) for number, track in enumerate(known)]

    def update(
        self,
        prediction: Prediction,
        embed: np.ndarray | None = None,
        known: Mapping[int, int] = NOTHING,
        taken: Set[int] = frozenset(),
    ) -> Prediction:
        """The next frame with the ids of the film.

        Args:
            prediction: of the frame alone; its ids mean nothing to other frames.
            embed: (N, D) float, one row for each query of the model.
            known: id of a thing in the prediction -> its track, where that needs no finding.
            taken: tracks that are those of things which are known, also where the frame does not show them.

        Returns:
            The same, with other ids in map and table; ids of things are those of their tracks.

        Raises:
            UserError: the way of tracking needs what the prediction lacks, or ids are used up.
        """
        panoptic = prediction.panoptic
        is_thing = [self.taxonomy.classes[s.class_index].is_thing for s in panoptic.segments]
        things = tuple(s for s, yes in zip(panoptic.segments, is_thing, strict=True) if yes)
        rows = None
        if embed is not None and prediction.queries is not None:
            rows = np.asarray(embed, dtype=np.float32)[prediction.queries[np.array(is_thing, dtype=bool)]]
        frame = Frame(panoptic, things, rows)
        track_ids = self._advance(frame, known, taken)
        new_id = {
            s.id: self._stuff_id(s.class_index) for s, yes in zip(panoptic.segments, is_thing, strict=True) if not yes
        }
        new_id |= {s.id: track_id for s, track_id in zip(things, track_ids, strict=True)}
        return replace(prediction, panoptic=with_ids(panoptic, new_id))

    def _advance(self, frame: Frame, known: Mapping[int, int], taken: Set[int]) -> list[int]:
        """The id of each thing; tracks are brought up to this frame."""
        number_of = {track.id: number for number, track in enumerate(self.tracks)}
        told = [known.get(thing.id) for thing in frame.things]
        scores = self.scores(frame) if self.tracks and frame.things else np.zeros((len(frame.things), len(self.tracks)))
        scores[[position for position, track_id in enumerate(told) if track_id is not None]] = 0
        scores[:, [number_of[track_id] for track_id in taken if track_id in number_of]] = 0
        of_thing = best_pairs(scores)
        new = []
        for position, track_id in enumerate(told):
            if track_id is not None:
                of_thing[position] = number_of.get(track_id, -1)
            number = of_thing[position]
            if number < 0:
                new.append(self.begin(track_id or self._new_id(), frame, position))
            else:
                new.append(self.go_on(self.tracks[number], frame, position))
        seen = set(of_thing)
        lost = [replace(t, age=t.age + 1) for n, t in enumerate(self.tracks) if n not in seen and t.age < self.memory]
        self.tracks = new + lost
        self.end_of_frame(frame)
        return [track.id for track in new]

    def _stuff_id(self, class_index: int) -> int:
        if class_index not in self.id_of_stuff:
            self.id_of_stuff[class_index] = self._new_id()
        return self.id_of_stuff[class_index]

    def _new_id(self) -> int:
        if self.next_id > MAX_ID:
            raise UserError(f"The film has more than {MAX_ID} tracks, and no file holds larger ids: cut it in pieces.")
        self.next_id += 1
        return self.next_id - 1


@dataclass(frozen=True)
class Track:
    """A thing over frames.

    Attributes:
        id: in the film.
        class_index: of a thing class.
        age: frames since it was last seen; 0 is in the last frame.
    """

    id: int
    class_index: int
    age: int


def best_pairs(scores: np.ndarray) -> list[int]:
    """For each row the column of the assignment with the greatest sum, -1 for none; pairs of 0 or less are none.

    Args:
        scores: (S, T) float.
    """
    pairs = [-1] * len(scores)
    rows, columns = linear_sum_assignment(np.maximum(scores, 0), maximize=True)
    for row, column in zip(rows.tolist(), columns.tolist(), strict=True):
        if scores[row, column] > 0:
            pairs[row] = column
    return pairs


def same_class(things: tuple[Segment, ...], tracks: list) -> np.ndarray:
    """(S, T) bool."""
    return np.array([s.class_index for s in things])[:, None] == np.array([t.class_index for t in tracks])[None]


def with_ids(panoptic: PanopticMap, new_id: dict[int, int]) -> PanopticMap:
    """A map with other ids; 0 and ids without a row stay or become void."""
    table = np.zeros(max(new_id, default=0) + 2, dtype=np.int32)
    for old, new in new_id.items():
        table[old] = new
    ids = table.take(panoptic.ids, mode="clip")  # the last entry, of all that is not listed, is 0
    return PanopticMap(ids, tuple(replace(s, id=new_id[s.id]) for s in panoptic.segments))
