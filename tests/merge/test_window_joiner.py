"""Windows of clips against ground truth: queries that are numbered anew in each window, ids that are one in a film."""

import numpy as np
import pytest

from pantile.contracts.panoptic import PanopticMap, Segment
from pantile.contracts.predictions import Prediction
from pantile.contracts.taxonomy import plain_taxonomy
from pantile.data.video_scenes import VideoScenes
from pantile.merge.tracking import OverlapTracking, QueryTracking
from pantile.merge.tracking.windows import WindowJoiner

FRAMES = 12
VIDEOS = VideoScenes(2, FRAMES, size=(96, 96), seed=5)
MAPS = [VIDEOS.load(index)[1] for index in range(len(VIDEOS))]
LOOKS = np.random.default_rng(0).normal(size=(99, 24))
THINGS = plain_taxonomy(["a", "b"], things=["a", "b"])


def seen_as(truth, number_of, rng):
    """A frame whose ids mean nothing to others; ``number_of`` a true id is its query."""
    order = rng.permutation(len(truth.segments))
    ids, segments = np.zeros_like(truth.ids), []
    for own, position in enumerate(order, start=1):
        true = truth.segments[position]
        ids[truth.ids == true.id] = own
        segments.append(Segment(own, true.class_index))
    queries = np.array([number_of[truth.segments[position].id] for position in order], dtype=np.int64)
    return Prediction(PanopticMap(ids, tuple(segments)), queries=queries)


def windows_of(maps, frames, overlap, rng):
    """(predictions, embeds, how many were in the window before) of each window."""
    start = 0
    while start == 0 or start + overlap < len(maps):
        window = maps[start : start + frames]
        every = sorted({s.id for truth in window for s in truth.segments})
        number_of = dict(zip(every, rng.permutation(64)[: len(every)].tolist(), strict=True))
        embed = np.zeros((64, 24))
        embed[list(number_of.values())] = LOOKS[every]
        yield [seen_as(truth, number_of, rng) for truth in window], [embed] * len(window), overlap if start else 0
        start += frames - overlap


def pairs(tracking, video, frames, overlap):
    """Every (true id, id of the film) of things, frame by frame."""
    maps = MAPS[video * FRAMES : (video + 1) * FRAMES]
    joiner = WindowJoiner(tracking.make(VIDEOS.taxonomy), overlap)
    rng, found = np.random.default_rng(video), []
    for predictions, embeds, shared in windows_of(maps, frames, overlap, rng):
        found += joiner.update(predictions, embeds, shared)
    assert len(found) == FRAMES
    rows = []
    for truth, tracked in zip(maps, found, strict=True):
        for true in truth.segments:
            if true.class_index in VIDEOS.taxonomy.thing_indices:
                (own,) = np.unique(tracked.panoptic.ids[truth.ids == true.id])
                rows.append((true.id, int(own)))
    return rows


@pytest.mark.parametrize(("frames", "overlap"), [(4, 1), (5, 2), (12, 3), (30, 2)])
def test_ids_are_one_over_windows(frames, overlap):
    for video in range(2):
        found = set(pairs(QueryTracking(), video, frames, overlap))
        assert len(found) == len({true for true, _ in found}) == len({own for _, own in found}) > 1


def test_within_a_window_a_query_is_one_thing_whatever_the_tracker_would_say():
    """What overlap alone loses when it is hidden for long keeps its id where one window holds it."""
    forgetful = OverlapTracking(memory=0)
    for video in range(2):
        found = set(pairs(forgetful, video, 12, 2))
        assert len(found) == len({true for true, _ in found})


def test_without_shared_frames_the_tracking_joins():
    found = set(pairs(QueryTracking(), 0, 4, 0))
    assert len(found) == len({true for true, _ in found})


def square(left, query, kind=0):
    ids = np.zeros((40, 120), dtype=np.int32)
    ids[10:30, left : left + 20] = 5
    return Prediction(PanopticMap(ids, (Segment(5, kind),)), queries=np.array([query]))


def ids_of(tracked):
    return [tuple(s.id for s in each.panoptic.segments) for each in tracked]


def test_a_query_meets_its_track_by_place_and_class_only():
    joiner = WindowJoiner(OverlapTracking().make(THINGS), 1)
    assert ids_of(joiner.update([square(0, 3), square(80, 3)], [None] * 2, 0)) == [(1,), (1,)]
    assert ids_of(joiner.update([square(80, 9), square(0, 9)], [None] * 2, 1)) == [(1,)]
    assert ids_of(joiner.update([square(0, 9, kind=1), square(0, 9, kind=1)], [None] * 2, 1)) == [(2,)]


def test_queries_that_are_carried_on_need_no_place():
    joiner = WindowJoiner(OverlapTracking(memory=0).make(THINGS), 0)
    nothing = Prediction(PanopticMap(np.zeros((40, 120), np.int32), ()), queries=np.zeros(0, np.int64))
    assert ids_of(joiner.update([square(0, 3), nothing], [None] * 2, 0, same_queries=True)) == [(1,), ()]
    assert ids_of(joiner.update([square(90, 3), square(90, 4)], [None] * 2, 0, same_queries=True)) == [(1,), (2,)]


def test_state_goes_on_as_if_nothing_had_happened():
    maps = MAPS[:FRAMES]
    windows = list(windows_of(maps, 4, 1, np.random.default_rng(3)))
    whole = WindowJoiner(OverlapTracking().make(VIDEOS.taxonomy), 1)
    expected = [ids_of(whole.update(*window)) for window in windows]
    first = WindowJoiner(OverlapTracking().make(VIDEOS.taxonomy), 1)
    assert [ids_of(first.update(*window)) for window in windows[:2]] == expected[:2]
    second = WindowJoiner(OverlapTracking().make(VIDEOS.taxonomy), 1)
    second.load_state(first.state())
    assert [ids_of(second.update(*window)) for window in windows[2:]] == expected[2:]
