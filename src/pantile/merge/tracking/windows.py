"""Windows of a film to a film: what a model of clips says of each window gets the ids of the film.

Within a window a query is one thing in all frames. The first frames of a window were in the one before, too: a thing
goes on the track that covers the same pixels there. A query that meets no track there is tracked like a thing of single
frames when it is first seen, so that what comes back may find its old id; from then on it is known.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from pantile.contracts.predictions import Prediction
from pantile.merge.tracking.tracker import Tracker, best_pairs

GRID = 256  # cells along a frame's longer side at which masks are compared

#: query and class: where frames are classified one by one, a query of another class is another thing
Key = tuple[int, int]


class WindowJoiner:
    """
    Args:
        tracker: of the film; finds what no window before knew.
        overlap: frames that windows share.
        min_overlap: 0..1, the least intersection over union in these frames by which a thing and a track are one.
    """

    def __init__(self, tracker: Tracker, overlap: int, min_overlap: float = 0.1) -> None:
        self.tracker = tracker
        self.overlap = overlap
        self.min_overlap = min_overlap
        self._known: dict[Key, int] = {}  # of the queries of the window at hand: their tracks
        self._shared: list[np.ndarray] = []  # coarse maps of tracks, of the last frames
        self._class_of_track: dict[int, int] = {}  # of those in the maps

    def update(
        self,
        window: Sequence[Prediction],
        embeds: Sequence[np.ndarray | None],
        shared: int,
        same_queries: bool = False,
    ) -> list[Prediction]:
        """The frames behind the shared ones, with the ids of the film.

        Args:
            window: T frames; ``queries`` of each say which segments are one.
            embeds: T entries of (N, D) float, one row for each query.
            shared: how many of the first frames the window before has given, 0 for a film's first window.
            same_queries: a query is the same thing as in the window before (a model that carries its queries on).

        Raises:
            UserError: see ``Tracker.update``.
        """
        if not same_queries:
            self._known = self._join(window[:shared])
        tracked = []
        for prediction, embed in zip(window[shared:], embeds[shared:], strict=True):
            keys = things_by_query(prediction, self.tracker.taxonomy.thing_indices)
            known = {own: self._known[key] for own, key in keys.items() if key in self._known}
            found = self.tracker.update(prediction, embed, known, set(self._known.values()))
            for before, after in zip(prediction.panoptic.segments, found.panoptic.segments, strict=True):
                if before.id in keys:
                    self._known[keys[before.id]] = after.id
            tracked.append(found)
            self._remember(found)
        return tracked

    def state(self) -> dict[str, np.ndarray]:
        """All that later windows depend on, for a file."""
        known = [(*key, track) for key, track in self._known.items()]
        return self.tracker.state() | {
            "known": np.array(known, dtype=np.int64).reshape(-1, 3),
            "shared_maps": np.array(self._shared, dtype=np.int32),
            "shared_classes": np.array(list(self._class_of_track.items()), dtype=np.int64).reshape(-1, 2),
        }

    def load_state(self, state: Mapping[str, np.ndarray]) -> None:
        """The inverse, for a new joiner."""
        self.tracker.load_state(state)
        self._known = {(query, kind): track for query, kind, track in state["known"].tolist()}
        self._shared = list(state["shared_maps"])
        self._class_of_track = dict(state["shared_classes"].tolist())

    def _remember(self, tracked: Prediction) -> None:
        if not self.overlap:
            return
        classes = self.tracker.taxonomy.classes
        things = {s.id: s.class_index for s in tracked.panoptic.segments if classes[s.class_index].is_thing}
        coarse = coarse_ids(tracked.panoptic.ids)
        self._shared = [*self._shared, np.where(np.isin(coarse, list(things)), coarse, 0)][-self.overlap :]
        self._class_of_track |= things
        seen = set(np.unique(np.stack(self._shared)).tolist()) - {0}
        self._class_of_track = {track: kind for track, kind in self._class_of_track.items() if track in seen}

    def _join(self, again: Sequence[Prediction]) -> dict[Key, int]:
        """The tracks of a window's queries, by the frames that it shares with the one before."""
        tracks = sorted(self._class_of_track)
        maps = self._shared[len(self._shared) - len(again) :]
        by_frame = [things_by_query(frame, self.tracker.taxonomy.thing_indices) for frame in again]
        keys = sorted({key for keys in by_frame for key in keys.values()})
        if not keys or not tracks:
            return {}
        counts = np.zeros((len(keys) + 1, len(tracks) + 1), dtype=np.int64)  # row and column 0 are those of no thing
        for frame, own, track_map in zip(again, by_frame, maps, strict=True):
            rows = _looked_up(coarse_ids(frame.panoptic.ids), {s: keys.index(key) + 1 for s, key in own.items()})
            columns = _looked_up(track_map, {track: place + 1 for place, track in enumerate(tracks)})
            counts += np.bincount((rows * (len(tracks) + 1) + columns).reshape(-1), minlength=counts.size).reshape(
                counts.shape
            )
        shared = counts[1:, 1:]
        union = counts[1:].sum(axis=1)[:, None] + counts[:, 1:].sum(axis=0)[None] - shared
        overlap = shared / np.maximum(union, 1)
        kinds = np.array([kind for _, kind in keys])[:, None] == np.array([self._class_of_track[t] for t in tracks])
        pairs = best_pairs(np.where(kinds & (overlap >= self.min_overlap), overlap, 0.0))
        return {key: tracks[place] for key, place in zip(keys, pairs, strict=True) if place >= 0}


def things_by_query(prediction: Prediction, thing_indices: Sequence[int]) -> dict[int, Key]:
    """Segment id of each thing to its query and class; of segments that are not those of queries nothing."""
    if prediction.queries is None:
        return {}
    rows = zip(prediction.panoptic.segments, prediction.queries.tolist(), strict=True)
    return {s.id: (query, s.class_index) for s, query in rows if s.class_index in thing_indices}


def coarse_ids(ids: np.ndarray) -> np.ndarray:
    """(H, W) to the middle pixels of at most ``GRID`` cells along the longer side."""
    step = max(1, -(-max(ids.shape) // GRID))
    return ids[step // 2 :: step, step // 2 :: step]


def _looked_up(ids: np.ndarray, number_of: Mapping[int, int]) -> np.ndarray:
    """int64 numbers of ids, 0 for those without."""
    known, place = np.unique(ids, return_inverse=True)
    return np.array([number_of.get(own, 0) for own in known.tolist()], dtype=np.int64)[place].reshape(ids.shape)
