"""Tracking against ground truth: segments of generated videos whose ids were taken away frame by frame."""

from dataclasses import replace

import numpy as np
import pytest

from pantile.contracts.errors import UserError
from pantile.contracts.panoptic import PanopticMap, Segment
from pantile.contracts.predictions import Prediction
from pantile.contracts.taxonomy import plain_taxonomy
from pantile.data.video_scenes import VideoScenes
from pantile.merge.tracking import TRACKERS, OverlapTracking, QueryTracking

FRAMES = 16
VIDEOS = VideoScenes(4, FRAMES, size=(96, 96), seed=5)
MAPS = [VIDEOS.load(index)[1] for index in range(len(VIDEOS))]
THINGS = set(VIDEOS.taxonomy.thing_indices)


def without_ids(panoptic, rng):
    """Random ids of this frame alone."""
    new = dict(zip([s.id for s in panoptic.segments], rng.permutation(len(panoptic.segments)) + 1, strict=True))
    ids = np.zeros_like(panoptic.ids)
    for old, number in new.items():
        ids[panoptic.ids == old] = number
    return PanopticMap(ids, tuple(replace(s, id=int(new[s.id])) for s in panoptic.segments))


def track(config, video, noise=None):
    """(frame, true id, class, tracked id) of every segment; with ``noise``, queries that look like their things."""
    tracker, rng = config.make(VIDEOS.taxonomy), np.random.default_rng(video)
    looks = rng.normal(size=(64, 24))
    rows = []
    for frame, index in enumerate(VIDEOS.videos[video].frames):
        truth = MAPS[index]
        queries = embed = None
        if noise is not None:
            order = rng.permutation(len(truth.segments))
            embed = np.empty((len(order), 24))
            embed[order] = looks[[s.id for s in truth.segments]] + noise * rng.normal(size=(len(order), 24))
            queries = order
        found = tracker.update(Prediction(without_ids(truth, rng), queries=queries), embed)
        for true, own in zip(truth.segments, found.panoptic.segments, strict=True):
            assert (found.panoptic.ids == own.id).sum() == (truth.ids == true.id).sum()
            rows.append((frame, true.id, true.class_index, own.id))
    return rows


def switches(rows):
    """How often a thing has another id than when it was seen last: (without a gap, after a gap), and how many gaps."""
    last, direct, after_gap, gaps = {}, 0, 0, 0
    for frame, true, class_index, own in rows:
        if class_index not in THINGS:
            continue
        if true in last:
            gap = last[true][0] < frame - 1
            gaps += gap
            direct += not gap and last[true][1] != own
            after_gap += gap and last[true][1] != own
        last[true] = (frame, own)
    return direct, after_gap, gaps


def test_queries_give_back_every_id_through_crossings_and_absences():
    gaps = 0
    for video in range(4):
        rows = track(QueryTracking(), video, noise=0.2)
        pairs = {(true, own) for _, true, _, own in rows}
        assert len(pairs) == len({t for t, _ in pairs}) == len({o for _, o in pairs})
        gaps += switches(rows)[2]
    assert gaps >= 4  # what left or was hidden came back, or the test shows nothing


def test_overlap_gives_back_nearly_every_id():
    """From one frame to the next all but two in a hundred; of those that come back two in three."""
    tracked = [track(OverlapTracking(), video) for video in range(4)]
    direct, after_gap, gaps = np.sum([switches(rows) for rows in tracked], axis=0).tolist()
    seen = sum(class_index in THINGS for rows in tracked for _, _, class_index, _ in rows)
    assert direct <= 0.02 * seen and after_gap <= gaps / 3 and gaps >= 4


def test_forgetful_overlap_loses_what_comes_back():
    lost = [switches(track(OverlapTracking(memory=0), video)) for video in range(4)]
    assert sum(after for _, after, _ in lost) == sum(gaps for _, _, gaps in lost)


@pytest.mark.parametrize("config", [OverlapTracking(), QueryTracking()])
def test_stuff_has_one_id_for_each_class(config):
    rows = track(config, 0, noise=0.1)
    stuff = {(class_index, own) for _, _, class_index, own in rows if class_index not in THINGS}
    assert len(stuff) == len({c for c, _ in stuff}) == len({o for _, o in stuff}) >= 3


def moving_square(top, left, class_index=0, size=24):
    ids = np.zeros((64, 200), dtype=np.int32)
    ids[top : top + size, max(left, 0) : max(left + size, 0)] = 7
    return Prediction(PanopticMap(ids, (Segment(7, class_index),) if (ids == 7).any() else ()))


def ids_of(config, lefts):
    tracker = config.make(plain_taxonomy(["a", "b"], things=["a", "b"]))
    return [tuple(s.id for s in tracker.update(moving_square(9, left)).panoptic.segments) for left in lefts]


def test_a_thing_faster_than_its_width_is_met_where_it_is_going():
    accelerating = [0, 10, 30, 60, 95, 130, 165]
    assert ids_of(OverlapTracking(), accelerating) == [(1,)] * 7
    assert len(set(ids_of(OverlapTracking(newest=0.0), accelerating))) > 1


def test_memory_ends():
    away = [-100] * 4
    assert ids_of(OverlapTracking(memory=4), [20, *away, 20]) == [(1,), (), (), (), (), (1,)]
    assert ids_of(OverlapTracking(memory=3), [20, *away, 20])[-1] == (2,)


def test_another_class_is_another_track():
    tracker = OverlapTracking().make(plain_taxonomy(["a", "b"], things=["a", "b"]))
    ids = [tracker.update(moving_square(5, 5, kind)).panoptic.segments[0].id for kind in (0, 1, 0)]
    assert ids == [1, 2, 1]


def test_queries_need_queries_and_settings_are_checked():
    assert set(TRACKERS) == {"overlap", "queries"}
    with pytest.raises(UserError, match="track by overlap"):
        QueryTracking().make(VIDEOS.taxonomy).update(Prediction(MAPS[0]), None)
    for make in (
        lambda: OverlapTracking(min_overlap=1.0),
        lambda: OverlapTracking(grid=2),
        lambda: OverlapTracking(memory=-1),
        lambda: QueryTracking(min_similarity=2.0),
        lambda: QueryTracking(newest=0.0),
    ):
        with pytest.raises(UserError, match="tracking"):
            make()


def test_an_empty_film_stays_empty():
    tracker = OverlapTracking().make(VIDEOS.taxonomy)
    for _ in range(3):
        found = tracker.update(Prediction(PanopticMap(np.zeros((5, 5), np.int32), ())))
        assert found.panoptic.segments == () and not found.panoptic.ids.any()
