"""Which images are found to show the same content, and which, as promised, are not."""

import io

import numpy as np
import pytest
from PIL import Image

from pantile.data import Scenes
from pantile.labels.splitting import alike_details, content_groups
from pantile.labels.splitting.content_groups import Groups, join_by_content

SIZE = 240
PHOTOS = [Scenes(5, size=(SIZE, SIZE), seed=11).load_image(k) for k in range(5)]


@pytest.fixture(params=["all pairs", "details"], autouse=True)
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Few images, and what is done with many."""
    monkeypatch.setattr(content_groups, "ALL_PAIRS", 250 if request.param == "all pairs" else 0)


def groups_of(*images: np.ndarray) -> list[list[int]]:
    groups = Groups(len(images))
    join_by_content(groups, lambda k: images[k], [image.shape[:2] for image in images])
    return groups.members()


def jpeg(image: np.ndarray, quality: int) -> np.ndarray:
    file = io.BytesIO()
    Image.fromarray(image).save(file, "JPEG", quality=quality)
    return np.asarray(Image.open(file))


def resized(image: np.ndarray, factor: float) -> np.ndarray:
    height, width = (round(side * factor) for side in image.shape[:2])
    return np.asarray(Image.fromarray(image).resize((width, height), Image.Resampling.BICUBIC))


def test_different_photos_stay_apart():
    assert groups_of(*PHOTOS) == [[0], [1], [2], [3], [4]]


def test_copies_are_found_whatever_their_size_light_and_quality():
    first, other = PHOTOS[:2]
    darker = (first * 0.7).astype(np.uint8)
    copies = (first, other, first.copy(), jpeg(first, 60), resized(first, 0.6), darker)
    assert groups_of(*copies) == [[0, 2, 3, 4, 5], [1]]


@pytest.mark.parametrize("step", [37, 70, 101])  # not multiples of the thumbnails' pixels
def test_crops_that_overlap_are_found(step):
    """Crops of 150 that share from three quarters down to a third of their pixels, with photos between them."""
    crops = [photo[10:160, start : start + 150] for photo in PHOTOS[:3] for start in (0, min(step, SIDE_LEFT))]
    assert groups_of(*crops) == [[0, 1], [2, 3], [4, 5]]


SIDE_LEFT = SIZE - 150


def test_a_chain_of_crops_is_one_group():
    wide = np.concatenate([PHOTOS[0], PHOTOS[1]], axis=1)
    chain = [wide[:150, start : start + 150] for start in (0, 80, 160, 240)]
    assert groups_of(*chain, PHOTOS[2][:150, :150]) == [[0, 1, 2, 3], [4]]


def test_a_crop_and_its_photo_are_found_also_at_twice_the_size():
    photo = PHOTOS[3]
    crop = photo[60:180, 40:180]
    assert groups_of(photo, crop, PHOTOS[4]) == [[0, 1], [2]]
    assert groups_of(photo, resized(crop, 2), PHOTOS[4]) == [[0, 1], [2]]


def test_smooth_pictures_are_not_all_the_same():
    slope = np.linspace(0, 255, 100, dtype=np.uint8)
    across = np.broadcast_to(slope[None, :, None], (100, 100, 3))
    down = np.broadcast_to(slope[:, None, None], (100, 100, 3))
    grey = np.full((100, 100, 3), 127, np.uint8)
    assert groups_of(across, down, grey, np.full((100, 100, 3), 90, np.uint8)) == [[0], [1], [2], [3]]
    assert groups_of(grey, grey.copy()) == [[0, 1]]  # equal pixels are equal, smooth or not


def test_what_the_documentation_says_is_not_found():
    photo = PHOTOS[0]
    assert groups_of(photo[:, :110], photo[:, 130:]) == [[0], [1]]
    assert groups_of(photo, np.ascontiguousarray(photo[:, ::-1])) == [[0], [1]]


def test_equal_keys_join_and_none_does_not():
    groups = Groups(6)
    groups.join_equal(["a", None, "b", "a", None, "b"])
    groups.join(3, 2)
    assert groups.members() == [[0, 2, 3, 5], [1], [4]]


def test_no_images():
    assert groups_of() == []


def test_a_word_of_any_size_joins_what_shows_one_thing(monkeypatch):
    """Of a detail that many pictures share, not all pairs are compared, but each with its next ones."""
    monkeypatch.setattr(alike_details, "BLOCK", 4)
    photo = PHOTOS[0]
    crops = [photo[step : step + 200, step : step + 200] for step in range(0, 40, 3)]
    assert groups_of(*crops, PHOTOS[1]) == [list(range(len(crops))), [len(crops)]]


def test_the_same_details_at_other_shifts_are_no_candidate(monkeypatch):
    """Two details of one picture lie in the other one too, but further apart."""
    monkeypatch.setattr(alike_details, "MOST", 2)
    rng = np.random.default_rng(0)
    first, second = rng.normal(0, 10, (2, 9, 9)).astype(np.float32)
    first[4, 4], second[4, 4] = 60, -60
    pictures = np.zeros((3, 40, 60), np.float32)
    for picture, apart in zip(pictures, (20, 20, 30), strict=True):
        picture[10:19, 5:14], picture[14:23, 5 + apart : 14 + apart] = first, second
    pictures[1] = np.roll(pictures[1], (6, 7), (0, 1))
    found = [tuple(pair) for pair in alike_details.candidates([list(pictures)], 1.0, 2)]
    assert (0, 1, 0, 0, (-6, -7)) in found
    assert not [pair for pair in found if pair[:2] in ((0, 2), (1, 2))]
    assert {pair[:2] for pair in alike_details.candidates([list(pictures)], 1.0, 1)} == {(0, 1), (0, 2), (1, 2)}


def test_whole_pictures_are_compared_across_blocks(monkeypatch):
    monkeypatch.setattr(content_groups, "WHOLES", 4)
    generator = np.random.default_rng(0)
    wholes = generator.standard_normal((11, 64)).astype(np.float32)
    wholes[[5, 9]], wholes[10] = wholes[1], wholes[8]  # in one block and in others
    wholes /= np.linalg.norm(wholes, axis=1, keepdims=True)
    groups = Groups(11)
    content_groups._join_whole(groups, wholes)
    assert groups.members() == [[0], [1, 5, 9], [2], [3], [4], [6], [7], [8, 10]]
