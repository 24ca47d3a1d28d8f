"""Generated scenes: reproducible, valid, and as varied as promised."""

from collections import Counter

import numpy as np
import pytest
from scipy import ndimage

from pantile.contracts.errors import UserError
from pantile.data.coco_panoptic import check_ids
from pantile.data.scene_canvas import MIN_VISIBLE_PIXELS
from pantile.data.scenes import STUFF_NAMES, THING_NAMES, Scenes

COUNT = 60
SCENES = Scenes(COUNT, size=(128, 160), seed=2)
LOADED = [SCENES.load(index) for index in range(COUNT)]


def test_same_seed_same_image() -> None:
    for index in (0, 7, 31):
        image, panoptic = Scenes(COUNT, size=(128, 160), seed=2).load(index)
        assert np.array_equal(image, LOADED[index][0])
        assert np.array_equal(panoptic.ids, LOADED[index][1].ids)
        assert panoptic.segments == LOADED[index][1].segments
        assert np.array_equal(SCENES.load_image(index), image)


@pytest.mark.parametrize("other", [{"seed": 3}, {"split": "val"}])
def test_other_seed_or_split_other_images(other: dict) -> None:
    scenes = Scenes(4, size=(128, 160), **({"seed": 2} | other))
    assert not any(np.array_equal(scenes.load(k)[0], LOADED[k][0]) for k in range(4))


def test_every_map_is_valid() -> None:
    for image, panoptic in LOADED:
        assert image.shape == (128, 160, 3)
        assert image.dtype == np.uint8
        check_ids(panoptic.ids, panoptic.segments, "map", "table")
        stuff = [s.class_index for s in panoptic.segments if s.class_index >= len(THING_NAMES)]
        assert len(set(stuff)) == len(stuff)
        assert 1 <= len(stuff) <= len(STUFF_NAMES)
        for segment in panoptic.segments:
            assert (panoptic.ids == segment.id).sum() >= MIN_VISIBLE_PIXELS


def test_variety() -> None:
    classes = [s.class_index for _, m in LOADED for s in m.segments]
    assert set(classes) == set(range(len(THING_NAMES) + len(STUFF_NAMES)))
    things = [
        (m.ids == s.id).sum()
        for _, m in LOADED
        for s in m.segments
        if not s.is_crowd and s.class_index < len(THING_NAMES)
    ]
    assert min(things) < 30
    assert max(things) > 0.08 * 128 * 160
    with_crowd = np.mean([any(s.is_crowd for s in m.segments) for _, m in LOADED])
    with_void = np.mean([(m.ids == 0).any() for _, m in LOADED])
    assert 0.1 < with_crowd < 0.45
    assert 0.3 < with_void < 0.85
    assert 4 < len(things) / COUNT < 16


def test_things_of_one_class_touch() -> None:
    touching = 0
    for _, panoptic in LOADED:
        class_of = {s.id: s.class_index for s in panoptic.segments if not s.is_crowd}
        for a, b in ((panoptic.ids[1:], panoptic.ids[:-1]), (panoptic.ids[:, 1:], panoptic.ids[:, :-1])):
            border = a != b
            pairs = set(zip(a[border].tolist(), b[border].tolist(), strict=True))
            touching += any(
                class_of.get(x, -1) == class_of.get(y, -2) and class_of[x] < len(THING_NAMES) for x, y in pairs
            )
    assert touching > COUNT / 3


def test_colors_follow_the_labels() -> None:
    """Borders of segments are places of strong contrast: label and picture are drawn together."""
    inside, border = [], []
    for image, panoptic in LOADED[:20]:
        grey = ndimage.gaussian_filter(image.astype(float).mean(2), 1)
        slope = np.hypot(ndimage.sobel(grey, 0), ndimage.sobel(grey, 1))
        thing = np.isin(panoptic.ids, [s.id for s in panoptic.segments if s.class_index < len(THING_NAMES)])
        edge = ndimage.binary_dilation(thing) ^ ndimage.binary_erosion(thing)
        border.append(slope[edge].mean())
        inside.append(slope[~edge].mean())
    assert np.mean(border) > 1.3 * np.mean(inside)


@pytest.mark.parametrize("size", [(16, 16), (33, 129), (200, 17)])
def test_odd_sizes(size: tuple[int, int]) -> None:
    scenes = Scenes(10, size=size, crowd_probability=1.0, void_probability=1.0)
    for index in range(10):
        image, panoptic = scenes.load(index)
        assert image.shape == (*size, 3)
        check_ids(panoptic.ids, panoptic.segments, "map", "table")


def test_limits() -> None:
    with pytest.raises(UserError, match="at least 16"):
        Scenes(1, size=(15, 64))
    with pytest.raises(IndexError):
        SCENES.load(COUNT)
    assert [len(Scenes(n)) for n in (0, 5)] == [0, 5]


def test_twins_are_many_of_one_class_and_leave_other_scenes_as_they_are():
    plain, twins = (Scenes(4, size=(193, 193), twins=count) for count in (0, 12))
    for index in range(4):
        counts = [Counter(s.class_index for s in data.load(index)[1].segments) for data in (plain, twins)]
        assert max((counts[1] - counts[0]).values()) >= 6  # some lie behind others
