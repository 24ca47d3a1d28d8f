"""Legends: every class has its swatch, lines wrap, nothing is too long or too little."""

import numpy as np
import pytest

from pantile.contracts.panoptic import rgb_to_ids
from pantile.contracts.taxonomy import plain_taxonomy
from pantile.visualize.colors import VOID_COLOR, shades
from pantile.visualize.legend import error_legend, legend
from pantile.visualize.palette import ERROR_COLORS, HATCH_COLOR


def has(picture: np.ndarray, color: tuple[int, int, int]) -> bool:
    return bool((rgb_to_ids(picture) == rgb_to_ids(np.array([[color]], np.uint8))).any())


def test_present_classes_have_swatches_and_others_have_not(taxonomy):
    drawn = legend(taxonomy, [0, 2], width=400)
    assert (drawn.shape[1], drawn.dtype) == (400, np.uint8)
    assert all(has(drawn, color) for color in shades((70, 200, 230))[:3])
    assert has(drawn, (150, 130, 90))
    assert not has(drawn, (130, 70, 140))
    assert not has(drawn, shades((220, 40, 40))[0])
    assert has(drawn, VOID_COLOR)
    assert has(drawn, HATCH_COLOR)


def test_void_and_crowd_are_listed_on_demand(taxonomy):
    assert not has(legend(taxonomy, [2], void=False), VOID_COLOR)
    assert not np.array_equal(legend(taxonomy, [2], crowd=True), legend(taxonomy, [2]))


@pytest.mark.parametrize("width", [1, 30, 200, 1600])
def test_133_classes_wrap_at_any_width(width):
    many = plain_taxonomy([f"class {k}" for k in range(133)], [])
    drawn = legend(many, range(133), width=width)
    assert drawn.shape[1] == width
    if width >= 200:
        assert all(has(drawn, info.color) for info in many.classes)


def test_a_long_name_stays_inside():
    long = plain_taxonomy(["a name without end " * 20, "b"], [])
    drawn = legend(long, [0, 1], width=300)
    assert (drawn[:, -3:] == 255).all()
    assert drawn.shape[0] < 100


def test_no_classes_at_all(taxonomy):
    assert (legend(taxonomy, [], width=90, void=False) == 255).all()


def test_error_legend_shows_every_kind():
    assert all(has(error_legend(900), color) for color in ERROR_COLORS.values())
