"""Scenes of many classes: the same by seed, told apart, long-tailed, and opened by a text."""

from itertools import pairwise

import numpy as np
import pytest

from pantile.contracts.errors import UserError
from pantile.data import PanopticDataset, Scenes, VocabularyScenes, open_dataset
from pantile.data.scene_canvas import MIN_VISIBLE_PIXELS
from pantile.data.vocabulary import made_up_classes


@pytest.fixture(scope="module")
def scenes() -> VocabularyScenes:
    return VocabularyScenes(60, classes=200, size=(97, 129))


@pytest.fixture(scope="module")
def shown() -> list[set[int]]:
    """The classes of each of some images."""
    scenes = VocabularyScenes(60, classes=200, size=(65, 65))
    return [{segment.class_index for segment in panoptic.segments} for _, panoptic in scenes]


def test_same_seed_same_image_other_seed_or_split_another(scenes: VocabularyScenes) -> None:
    image, panoptic = scenes.load(7)
    again, same = VocabularyScenes(60, classes=200, size=(97, 129)).load(7)
    assert np.array_equal(image, again)
    assert np.array_equal(panoptic.ids, same.ids) and panoptic.segments == same.segments
    for other in ({"seed": 1}, {"split": "val"}):
        assert not np.array_equal(image, VocabularyScenes(60, 200, (97, 129), **other).load(7)[0])


def test_maps_are_valid(scenes: VocabularyScenes) -> None:
    assert isinstance(scenes, PanopticDataset)
    for index in range(5):
        image, panoptic = scenes.load(index)
        assert image.shape == (97, 129, 3) and image.dtype == np.uint8
        assert set(np.unique(panoptic.ids)) - {0} == {segment.id for segment in panoptic.segments}
        assert all((panoptic.ids == own.id).sum() >= MIN_VISIBLE_PIXELS for own in panoptic.segments)
        assert all(0 <= own.class_index < 200 and not own.is_crowd for own in panoptic.segments)


@pytest.mark.parametrize("count", [2, 7, 200, 1284])
def test_classes_have_their_own_look(count: int) -> None:
    classes = made_up_classes(count)
    assert len({own.name for own in classes}) == count
    assert len(VocabularyScenes(1, count).taxonomy) == count
    assert not classes[0].is_thing and classes[1].is_thing
    assert [own.name for own in made_up_classes(2)] == [own.name for own in classes[:2]]
    rng = np.random.default_rng(0)
    colors = {own.name: own.color(rng) for own in classes if own.name.split()[0] in ("red", "cyan")}
    assert all((color[0] > color[2]) == name.startswith("red") for name, color in colors.items())


def test_numbers_of_classes_that_there_are_not() -> None:
    for count in (0, 1, 5000):
        with pytest.raises(UserError, match=f"have 2 to 1344 classes, not {count}"):
            VocabularyScenes(1, count)


def test_frequent_classes_come_first_and_the_tail_is_long(shown: list[set[int]]) -> None:
    images_with = np.zeros(200)
    for classes in shown:
        images_with[list(classes)] += 1
    by_decade = [images_with[low:high].mean() for low, high in pairwise((0, 5, 20, 60, 200))]
    assert all(more > 1.5 * fewer for more, fewer in pairwise(by_decade))
    assert (images_with == 0).sum() > 20  # of a tail whose classes need many images to be seen
    assert 5 < images_with.sum() / len(shown) < 14


def test_what_occurs_together(scenes: VocabularyScenes, shown: list[set[int]]) -> None:
    """Things of one theme meet more often than chance has it."""
    things = np.array(scenes.taxonomy.thing_indices)
    theme_of = dict(zip(things.tolist(), (np.arange(len(things)) % 10).tolist(), strict=True))
    shares = []
    for classes in shown:
        themes = [theme_of[k] for k in classes if k in theme_of]
        shares.append(np.bincount(themes).max() / len(themes))
    assert np.mean(shares) > 0.4


def test_a_text_opens_them() -> None:
    dataset = open_dataset("scenes:classes=20", "val")
    assert isinstance(dataset, VocabularyScenes)
    assert (len(dataset), len(dataset.taxonomy), dataset.split, dataset.size) == (1000, 20, "val", (257, 257))
    dataset = open_dataset("scenes:30,size=65,classes=1284")
    assert (len(dataset), len(dataset.taxonomy), dataset.size) == (30, 1284, (65, 65))
    plain = open_dataset("scenes:images=4,size=65")
    assert isinstance(plain, Scenes) and (len(plain), plain.size) == (4, (65, 65))
    assert len(open_dataset("scenes")) == 1000 == len(open_dataset("scenes:"))


@pytest.mark.parametrize("text", ["scenes:x", "scenes:classes", "scenes:classes=-3", "scenes:3,4", "scenes:class=3"])
def test_other_texts_are_refused(text: str) -> None:
    with pytest.raises(UserError, match=r"does not name a data set: write scenes:N or scenes:images=N,classes=K"):
        open_dataset(text)
    with pytest.raises(UserError, match="size of generated scenes is"):
        open_dataset("scenes:size=9")
