"""Labelled images at screen size, and the sheet of them."""

import numpy as np
import pytest

from pantile.contracts.errors import UserError
from pantile.contracts.panoptic import PanopticMap, Segment
from pantile.visualize.contact_sheet import CELL, contact_sheet
from pantile.visualize.labelled_image import LONGEST_SIDE, draw_labelled
from pantile.visualize.legend import legend
from pantile.visualize.overlay import overlay


def test_a_labelled_image_knows_its_segments(photo, scene, taxonomy):
    drawn = draw_labelled("a.jpg", photo, scene, taxonomy)
    assert (drawn.overlay == overlay(photo, scene, taxonomy)).all() and (drawn.photo == photo).all()
    for row, segment in enumerate(scene.segments):
        mask = scene.ids == segment.id
        assert ((drawn.rows == row + 1) == mask).all()
        told = drawn.segments[row]
        assert (told.id, told.class_index, told.is_crowd, told.area) == (
            segment.id,
            segment.class_index,
            segment.is_crowd,
            mask.sum(),
        )
    assert drawn.void_area == (scene.ids == 0).sum() == (drawn.rows == 0).sum()


def test_large_images_shrink_and_keep_their_areas(taxonomy):
    ids = np.zeros((500, 2000), dtype=np.int32)
    ids[:, :1000] = 4
    drawn = draw_labelled("wide", np.zeros((500, 2000, 3), np.uint8), PanopticMap(ids, (Segment(4, 2),)), taxonomy)
    assert drawn.rows.shape == drawn.photo.shape[:2] == drawn.overlay.shape[:2] == (LONGEST_SIDE // 4, LONGEST_SIDE)
    assert drawn.rows[:, : LONGEST_SIDE // 2].all() and not drawn.rows[:, LONGEST_SIDE // 2 :].any()
    assert drawn.segments[0].area == 500_000 and drawn.void_area == 500_000 and drawn.size == (500, 2000)


@pytest.mark.parametrize("channels", [1, 2, 4, 6])
def test_other_numbers_of_channels_are_shown(scene, taxonomy, channels):
    image = np.random.default_rng(0).integers(0, 256, (48, 64, channels), dtype=np.uint8)
    shown = draw_labelled("x", image, scene, taxonomy).photo
    assert (shown == (image[..., :1] if channels < 3 else image[..., :3])).all()


def test_the_sheet_holds_every_picture_and_one_legend(photo, scene, taxonomy):
    tall = PanopticMap(np.full((80, 20), 5, np.int32), (Segment(5, 3),))
    images = [draw_labelled(f"{k}.jpg", photo, scene, taxonomy) for k in range(2)]
    images.append(draw_labelled("tall.jpg", np.zeros((80, 20, 3), np.uint8), tall, taxonomy))
    sheet = contact_sheet(images, taxonomy, columns=2)
    names = legend(taxonomy, {0, 1, 2, 3}, sheet.shape[1], void=True, crowd=True)
    assert (sheet[-len(names) :] == names).all()
    assert sheet.shape[1] == 2 * CELL + 36
    enlarged = images[0].overlay.repeat(5, axis=0).repeat(5, axis=1)  # 64 wide to 320
    places = [(y, x) for y in range(30, 40) for x in range(350) if (sheet[y : y + 240, x : x + 320] == enlarged).all()]
    assert len(places) == 2 and places[1][1] - places[0][1] == CELL + 12
    street = sheet[: -len(names)].reshape(-1, 3)
    assert (street == images[2].overlay[40, 10]).all(axis=1).sum() >= 320 * 80 * 0.9


def test_a_single_image_without_labels(photo, taxonomy):
    drawn = draw_labelled("empty.jpg", photo, PanopticMap(np.zeros((48, 64), np.int32), ()), taxonomy)
    sheet = contact_sheet([drawn], taxonomy)
    names = legend(taxonomy, (), CELL + 24, void=True)
    assert (sheet[-len(names) :] == names).all()


def test_refuses_an_empty_sheet(taxonomy):
    with pytest.raises(UserError, match="at least one image"):
        contact_sheet([], taxonomy)
