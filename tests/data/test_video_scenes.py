"""Generated videos: reproducible, valid, ids that stay, and motion as promised."""

import numpy as np
import pytest

from pantile.contracts.errors import UserError
from pantile.data import open_dataset
from pantile.data.coco_panoptic import check_ids
from pantile.data.scenes import THING_NAMES
from pantile.data.video_scenes import VideoScenes

FRAMES = 12
VIDEOS = VideoScenes(4, FRAMES, size=(96, 112), seed=1)
LOADED = [VIDEOS.load(index) for index in range(len(VIDEOS))]


def frames_of(video):
    return [LOADED[index][1] for index in VIDEOS.videos[video].frames]


def things_of(panoptic):
    return {s.id for s in panoptic.segments if s.class_index < len(THING_NAMES)}


def test_same_seed_same_frame_in_any_order():
    again = VideoScenes(4, FRAMES, size=(96, 112), seed=1)
    for index in (40, 3, 17):
        image, panoptic = again.load(index)
        assert np.array_equal(image, LOADED[index][0])
        assert np.array_equal(panoptic.ids, LOADED[index][1].ids)
    other = VideoScenes(4, FRAMES, size=(96, 112), seed=1, split="val")
    assert not np.array_equal(other.load(0)[0], LOADED[0][0])


def test_maps_are_valid_and_an_id_keeps_its_class():
    for video in range(4):
        classes: dict[int, int] = {}
        for panoptic in frames_of(video):
            check_ids(panoptic.ids, panoptic.segments, "map", "table")
            for segment in panoptic.segments:
                assert classes.setdefault(segment.id, segment.class_index) == segment.class_index


def test_stuff_pans_things_move_and_noise_is_new():
    for video in range(4):
        first, second = (LOADED[video * FRAMES + t] for t in (0, 1))
        assert not np.array_equal(first[0], second[0])
        moved = [
            np.argwhere(first[1].ids == s).mean(axis=0) - np.argwhere(second[1].ids == s).mean(axis=0)
            for s in things_of(first[1]) & things_of(second[1])
        ]
        assert 0.1 < max(np.hypot(*step) for step in moved) < 40
        stuff = [np.where(np.isin(m.ids, list(things_of(m))), 0, m.ids) for m in frames_of(video)]
        assert any(not np.array_equal(stuff[0], later) for later in stuff)


def test_things_hide_leave_and_come_back():
    """An id that is there, then not, then there again, in most videos; and hidden parts in all."""
    back = 0
    for video in range(4):
        seen = [things_of(panoptic) for panoptic in frames_of(video)]
        for thing in set.union(*seen):
            there = [thing in frame for frame in seen]
            first, last = there.index(True), FRAMES - there[::-1].index(True)
            back += not all(there[first:last])
    assert back >= 3


def test_named_on_the_command_line():
    data = open_dataset("video-scenes:3,frames=5,size=64", "val")
    assert (len(data), len(data.videos), data.size) == (15, 3, (64, 64))
    assert data.name_of(7) == "video_val_00001/00002.png"
    assert list(data.videos[1].frames) == [5, 6, 7, 8, 9]
    for wrong in ("video-scenes:images=3", "video-scenes:frames=2,frames=3", "video-scenes:x"):
        with pytest.raises(UserError, match="write video-scenes:N or"):
            open_dataset(wrong)
    with pytest.raises(UserError, match="at least 1"):
        open_dataset("video-scenes:3,frames=0")
