"""Training clips: one table, one augmentation, frames from one neighbourhood."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from pantile.contracts.errors import UserError
from pantile.contracts.panoptic import PanopticMap, Segment
from pantile.contracts.videos import Video
from pantile.data import AugmentConfig, Scenes, Subset, training_loader
from pantile.data.augment import augment, augment_alike
from pantile.data.clip_config import ClipConfig
from pantile.data.clip_samples import ClipSamples, joint_map
from pantile.data.label_rows import label_rows
from pantile.data.video_scenes import VideoScenes
from pantile.data.videos import videos_of

VIDEOS = VideoScenes(3, 6, size=(64, 80), seed=4)
CONFIG = AugmentConfig(
    crop=(48, 48), copy_paste=0, policy_magnitude=0.5, scale_range=(0.8, 1.4), clip=ClipConfig(frames=3, reach=2)
)


def test_drawn_frames_are_near_different_and_in_order():
    rng = np.random.default_rng(0)
    seen = set()
    for _ in range(200):
        drawn = ClipConfig(frames=3, reach=2).draw(9, rng)
        assert drawn == sorted(set(drawn)) and drawn[-1] - drawn[0] <= 4
        seen |= set(drawn)
    assert seen == set(range(9))
    orders = {tuple(ClipConfig(frames=3, reach=2, order="shuffled").draw(3, rng)) for _ in range(80)}
    assert len(orders) == 6


@pytest.mark.parametrize(("length", "expected"), [(1, [0, 0, 0, 0, 0]), (2, None)])
def test_short_videos_repeat_frames_evenly(length, expected):
    drawn = ClipConfig(frames=5, reach=9).draw(length, np.random.default_rng(1))
    assert len(drawn) == 5 and drawn == sorted(drawn)
    assert expected is None or drawn == expected
    counts = np.bincount(drawn, minlength=length)
    assert counts.max() - counts.min() <= 1


def test_frames_that_are_alike_stay_alike_and_one_frame_is_an_image():
    image, panoptic = VIDEOS.load(0)
    rows = label_rows(panoptic, VIDEOS.taxonomy)
    for seed in range(8):
        config = replace(CONFIG, clip=None)
        images, labels = augment_alike([image] * 3, [rows] * 3, config, np.random.default_rng(seed))
        rng = np.random.default_rng(seed)
        alone, own = augment(image, rows, config, rng)
        for frame, frame_rows in zip(images, labels, strict=True):
            assert torch.equal(frame, alone) and np.array_equal(frame_rows.ids, own.ids)


def test_a_clip_shares_its_table_and_is_the_same_again():
    samples = ClipSamples(VIDEOS, CONFIG, seed=3)
    for draw in range(6):
        clip = samples[draw % 3, draw]
        assert len(clip) == 3
        for frame in clip:
            assert torch.equal(frame.classes, clip[0].classes)
            assert frame.name.startswith(clip[0].name.split("/")[0])
        pixels = torch.stack([torch.bincount(f.ids.flatten().long(), minlength=len(f.classes) + 1) for f in clip])
        assert (pixels.sum(dim=0)[1:] > 0).all()  # every row is seen in some frame
        again = ClipSamples(VIDEOS, CONFIG, seed=3)[draw % 3, draw]
        assert all(
            torch.equal(a.image, b.image) and torch.equal(a.ids, b.ids) for a, b in zip(clip, again, strict=True)
        )


def test_batches_are_clips_of_neighbours():
    images, targets = next(iter(training_loader(VIDEOS, CONFIG, 2)))
    assert images.shape == (6, 3, 48, 48) and targets.frames == 3 and targets.ids.shape == (6, 48, 48)
    assert {name.split("/")[0] for name in targets.names[:3]} != {name.split("/")[0] for name in targets.names[3:]}
    assert torch.equal(targets.classes[0], targets.classes[2])
    padded = replace(CONFIG, pad="batch", pad_position="bottom_right", ssd_jitter=False)
    images, targets = next(iter(training_loader(VIDEOS, padded, 2)))
    assert images.shape[-1] % 32 == 0 and targets.frames == 3


def test_parts_of_a_data_set_keep_what_is_left_of_its_videos():
    part = Subset(VIDEOS, [0, 2, 13, 1])
    assert [(v.name, list(v.frames)) for v in videos_of(part)] == [
        ("video_train_00000", [0, 3, 1]),
        ("video_train_00002", [2]),
    ]
    with pytest.raises(UserError, match="set of single images"):
        videos_of(Subset(Scenes(3, (32, 32)), [0]))


def test_what_cannot_be_a_clip_is_told():
    here, there = (PanopticMap(np.ones((4, 4), int), (Segment(1, k),)) for k in (0, 1))
    with pytest.raises(UserError, match=r"Segment 1 has another class in b than in a"):
        joint_map([here, there], ["a", "b"])
    with pytest.raises(UserError, match=r"b is 5x4 pixels and a of the same video 4x4"):
        joint_map([here, PanopticMap(np.ones((4, 5), int), here.segments)], ["a", "b"])
    with pytest.raises(UserError, match="neither copy_paste"):
        replace(CONFIG, copy_paste=1.0).check()
    with pytest.raises(UserError, match="set of single images"):
        ClipSamples(Scenes(3, (32, 32)), CONFIG)


def test_all_void_clips_are_drawn_anew():
    class Mostly(VideoScenes):
        def load(self, index):
            image, panoptic = super().load(index)
            return image, panoptic if index >= 6 else PanopticMap(np.zeros_like(panoptic.ids), ())

    data = Mostly(2, 6, size=(64, 64), seed=4)
    assert isinstance(data.videos[0], Video)
    clip = ClipSamples(data, CONFIG, seed=0)[0, 0]
    assert clip[0].name.startswith("video_train_00001")
