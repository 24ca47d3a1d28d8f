"""Training samples: reproducible, consistent, and never stuck."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from test_augment import assert_aligned
from torch.utils.data import DataLoader

from pantile.contracts.panoptic import PanopticMap, Segment
from pantile.contracts.taxonomy import plain_taxonomy
from pantile.data.augment_config import AugmentConfig, PairConfig
from pantile.data.label_rows import LabelRows
from pantile.data.sampler import Draw, Focus
from pantile.data.scenes import Scenes
from pantile.data.training_samples import TrainingSamples, collate

CONFIG = AugmentConfig(crop=(65, 97))


def same(a, b) -> bool:
    return all(torch.equal(x, y) if torch.is_tensor(x) else x == y for x, y in zip(a, b, strict=True))


def test_a_sample_is_a_function_of_seed_and_draw() -> None:
    scenes = Scenes(8, size=(64, 80))
    first, second = TrainingSamples(scenes, CONFIG, seed=3), TrainingSamples(scenes, CONFIG, seed=3)
    backwards = {draw: first[draw % 8, draw] for draw in reversed(range(10))}
    for draw in range(10):
        assert same(second[draw % 8, draw], backwards[draw])
    assert not same(first[0, 0], first[0, 8])
    assert not same(first[0, 0], TrainingSamples(scenes, CONFIG, seed=4)[0, 0])


def test_workers_change_nothing() -> None:
    samples = TrainingSamples(Scenes(6, size=(64, 64)), CONFIG, seed=1)
    pairs = [(draw % 6, draw) for draw in range(8)]
    alone = [samples[pair] for pair in pairs]
    loaded = DataLoader(samples, batch_size=None, sampler=pairs, num_workers=2)
    for expected, sample in zip(alone, loaded, strict=True):
        assert same(expected, sample)


def test_shapes_types_and_table() -> None:
    scenes = Scenes(12, size=(96, 96), crowd_probability=1.0)
    samples = TrainingSamples(scenes, CONFIG)
    stuff = torch.tensor(scenes.taxonomy.stuff_indices)
    for draw in range(12):
        sample = samples[draw, draw]
        assert sample.image.shape == (3, 65, 97)
        assert sample.image.dtype == torch.uint8
        assert sample.ids.dtype == torch.int16
        assert sample.classes.dtype == torch.int64
        assert sample.crowd.dtype == torch.bool
        # exactly the rows of the table occur, each with at least one pixel
        assert set(sample.ids.unique().tolist()) - {0} == set(range(1, len(sample.classes) + 1))
        is_stuff = torch.isin(sample.classes, stuff) & ~sample.crowd
        assert sample.classes[is_stuff].unique().numel() == int(is_stuff.sum())


@pytest.mark.parametrize("copy_paste", [0.0, 1.0])
def test_image_and_ids_stay_aligned(palette_data, copy_paste) -> None:
    config = AugmentConfig(crop=(97, 129), ssd_jitter=False, scale_range=(0.6, 2.0), copy_paste=copy_paste)
    samples = TrainingSamples(palette_data, config)
    for draw in range(20):
        sample = samples[draw % len(palette_data), draw]
        rows = LabelRows(sample.ids.numpy(), sample.classes.numpy(), sample.crowd.numpy())
        # pasted stuff joins stuff, so within such a row two images meet
        things = np.isin(rows.classes, palette_data.taxonomy.thing_indices)
        assert_aligned(sample.image, rows, palette_data.palette, rows=things if copy_paste else None)


def test_crowd_is_never_pasted(palette_data) -> None:
    """Class 0 is crowd wherever it occurs; an image without it must not get it from another."""
    without = [k for k, m in enumerate(palette_data.maps) if all(s.class_index != 0 for s in m.segments)]
    assert without
    assert len(without) < len(palette_data)
    samples = TrainingSamples(palette_data, AugmentConfig(crop=(97, 97), redraws=0))
    for draw in range(40):
        sample = samples[without[draw % len(without)], draw]
        assert not sample.crowd.any()
        assert 0 not in sample.classes.tolist()


def test_pasted_segments_come_from_an_image_at_the_smaller_scale() -> None:
    """One 32x32 thing in a 32x32 image at scale 1, pasted from scale 1/2: it covers a quarter."""

    class Full(OneImage):
        def load(self, index: int):
            return np.zeros((32, 32, 3), np.uint8), PanopticMap(np.full((32, 32), 5, np.int32), (Segment(5, 0),))

    config = AugmentConfig(crop=(32, 32), scale_range=(1.0, 1.0))
    for factor, areas in ((0.5, [32 * 32 - 16 * 16, 16 * 16]), (0.25, [32 * 32 - 8 * 8, 8 * 8])):
        sample = TrainingSamples(Full(labelled=True), replace(config, copy_paste_scale=factor))[0, 0]
        assert sample.classes.tolist() == [0, 0]
        assert [int((sample.ids == row).sum()) for row in (1, 2)] == areas


def test_copy_paste_probability() -> None:
    samples = TrainingSamples(Scenes(3, size=(32, 32)), AugmentConfig(crop=(33, 33), copy_paste=0.3, redraws=0))
    loads = []
    original = samples.dataset.load
    samples.dataset.load = lambda index: loads.append(index) or original(index)
    for draw in range(100):
        samples[0, draw]
    assert 115 <= len(loads) <= 145


def test_min_pixels_removes_to_void(palette_data) -> None:
    base = AugmentConfig(crop=(65, 65), copy_paste=0.0, redraws=0, ssd_jitter=False)
    removed = 0
    for draw in range(20):
        all_rows = TrainingSamples(palette_data, base)[draw % 6, draw]
        large = TrainingSamples(palette_data, replace(base, min_pixels=300))[draw % 6, draw]
        areas = torch.bincount(all_rows.ids.flatten().long(), minlength=len(all_rows.classes) + 1)[1:]
        assert torch.equal(large.classes, all_rows.classes[areas >= 300])
        kept_before = (areas >= 300)[all_rows.ids.long() - 1] & (all_rows.ids > 0)
        assert torch.equal(large.ids > 0, kept_before)
        removed += int((areas < 300).sum())
    assert removed > 0


class OneImage:
    """One 32x32 image whose lower right corner alone is labelled, or nothing."""

    taxonomy = plain_taxonomy(["cat", "sky"], things=["cat"])

    def __init__(self, labelled: bool) -> None:
        self.labelled = labelled
        self.loads = 0

    def __len__(self) -> int:
        return 1

    def name_of(self, index: int) -> str:
        return "one"

    def load(self, index: int):
        self.loads += 1
        ids = np.zeros((32, 32), np.int32)
        if self.labelled:
            ids[28:, 28:] = 9
        return np.zeros((32, 32, 3), np.uint8), PanopticMap(ids, (Segment(9, 0),) if self.labelled else ())


def test_redraw_is_bounded_and_then_the_sample_is_kept() -> None:
    data = OneImage(labelled=False)
    config = AugmentConfig(crop=(33, 33), redraws=4, copy_paste=0.0)
    sample = TrainingSamples(data, config)[0, 0]
    assert data.loads == 5
    assert sample.classes.shape == sample.crowd.shape == (0,)
    assert not sample.ids.any()
    images, targets = collate([sample, sample])
    assert images.shape == (2, 3, 33, 33)
    assert targets.classes.shape == (2, 0)


def test_redraw_finds_the_rare_label() -> None:
    config = AugmentConfig(crop=(33, 33), scale_range=(2.0, 2.0), copy_paste=0.0, redraws=40)
    samples = TrainingSamples(OneImage(labelled=True), config)
    found = [len(samples[0, draw].classes) for draw in range(10)]
    kept = [len(TrainingSamples(OneImage(True), replace(config, redraws=0))[0, draw].classes) for draw in range(10)]
    assert sum(kept) < 5 < sum(found)


class TwoThings:
    """A 64x64 image with one small thing on either side, a crowd, and stuff that is everywhere else."""

    taxonomy = plain_taxonomy(["cat", "sky", "dog"], things=["cat", "dog"])

    def __init__(self, *things: Segment) -> None:
        self.things = things

    def __len__(self) -> int:
        return 1

    def name_of(self, index: int) -> str:
        return "two"

    def load(self, index: int):
        ids = np.ones((64, 64), np.int32)
        for number, segment in enumerate(self.things):
            ids[30:34, 20 * number : 20 * number + 4] = segment.id
        return np.zeros((64, 64, 3), np.uint8), PanopticMap(ids, (Segment(1, 1), *self.things))


def test_a_crop_on_a_thing_shows_one_of_them() -> None:
    data = TwoThings(Segment(5, 0), Segment(6, 2), Segment(7, 0, is_crowd=True))
    config = AugmentConfig(
        crop=(16, 16), scale_range=(1.0, 1.0), scale_relative_to="native", copy_paste=0.0, ssd_jitter=False, flip=0.0
    )
    random = [set(TrainingSamples(data, config)[0, draw].classes.tolist()) for draw in range(60)]
    on_thing = TrainingSamples(data, replace(config, crop_on_thing=True))
    shown = [set(on_thing[0, draw].classes[~on_thing[0, draw].crowd].tolist()) for draw in range(60)]
    assert sum(classes == {1} for classes in random) > 20
    assert all(classes & {0, 2} for classes in shown)
    assert {0, 1} in shown and {1, 2} in shown


def test_a_crop_on_a_thing_where_there_is_none_is_anywhere() -> None:
    config = AugmentConfig(crop=(16, 16), copy_paste=0.0, ssd_jitter=False)
    for things in ((), (Segment(5, 0, is_crowd=True),)):
        plain, on_thing = (
            TrainingSamples(TwoThings(*things), replace(config, crop_on_thing=flag))[0, 3] for flag in (False, True)
        )
        assert torch.equal(plain.ids, on_thing.ids)


def test_pairs_choose_their_crops_themselves_also_of_what_is_pasted() -> None:
    data = TwoThings(Segment(5, 0), Segment(6, 2))
    config = AugmentConfig(crop=(16, 16), copy_paste=1.0, ssd_jitter=False, pairs=PairConfig(target_sizes=(8,)))
    draw = Draw(0, 3, Focus(0, 8))
    plain, on_thing = (TrainingSamples(data, replace(config, crop_on_thing=flag))[draw] for flag in (False, True))
    assert torch.equal(plain.ids, on_thing.ids)


def test_redraw_looks_at_labelled_pixels() -> None:
    data = OneImage(labelled=True)
    config = AugmentConfig(crop=(33, 33), scale_range=(1.0, 1.0), copy_paste=0.0, redraws=3, min_labelled_pixels=50)
    TrainingSamples(data, config)[0, 0]
    assert data.loads == 4


def test_collate_pads_the_table(palette_data) -> None:
    samples = TrainingSamples(palette_data, AugmentConfig(crop=(65, 65)))
    batch = [samples[k, k] for k in range(3)]
    images, targets = collate(batch)
    assert images.shape == (3, 3, 65, 65)
    assert targets.ids.shape == (3, 65, 65)
    assert targets.names == tuple(s.name for s in batch)
    for row, sample in enumerate(batch):
        count = len(sample.classes)
        assert torch.equal(targets.classes[row, :count], sample.classes)
        assert (targets.classes[row, count:] == -1).all()
