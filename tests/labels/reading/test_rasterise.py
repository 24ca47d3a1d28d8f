"""Run lengths and polygons against pycocotools itself, and input that would crash its C code."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pycocotools import mask as coco_mask

from pantile.contracts.errors import UserError
from pantile.labels.reading.rasterise import (
    area,
    box_polygon,
    counts_to_rle,
    covered_pixels,
    decode_counts,
    ellipse_polygon,
    mask_to_rle,
    polygons_to_mask,
    why_empty,
)


def rle_to_mask(rle: dict) -> np.ndarray:
    return coco_mask.decode(rle).astype(bool)


def random_mask(seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return rng.random(tuple(rng.integers(1, 60, 2))) < rng.choice([0.0, 0.02, 0.5, 1.0])


@given(st.integers(0, 10_000))
@settings(max_examples=60, deadline=None)
def test_compressed_run_lengths_are_what_pycocotools_reads(seed):
    mask = random_mask(seed)
    encoded = coco_mask.encode(np.asfortranarray(mask, dtype=np.uint8))
    counts = decode_counts(encoded["counts"].decode(), "here")
    np.testing.assert_array_equal(rle_to_mask(counts_to_rle(counts, mask.shape, "here")), mask)


@given(st.integers(0, 10_000))
@settings(max_examples=60, deadline=None)
def test_covered_pixels_are_those_of_the_mask(seed):
    mask = random_mask(seed)
    np.testing.assert_array_equal(covered_pixels(mask_to_rle(mask)), np.flatnonzero(mask.T))


def test_compressed_run_lengths_of_a_large_mask():
    mask = np.zeros((3000, 5000), dtype=bool)
    mask[1500:, 2500:] = True  # runs beyond 20 bits, differences of both signs
    counts = decode_counts(mask_to_rle(mask)["counts"].decode(), "here")
    np.testing.assert_array_equal(rle_to_mask(counts_to_rle(counts, mask.shape, "here")), mask)


@given(st.text(max_size=30))
@settings(max_examples=200, deadline=None)
def test_garbled_run_lengths_are_refused_or_fit_the_image(text):
    try:
        rle = counts_to_rle(decode_counts(text, "here"), (7, 9), "here")
    except UserError:
        return
    assert rle_to_mask(rle).shape == (7, 9)


@pytest.mark.parametrize("counts", [[5], [63, 1], [70, -7], [], [2**31]])
def test_runs_that_do_not_fit_are_refused(counts):
    with pytest.raises(UserError, match="add up"):
        counts_to_rle(counts, (7, 9), "labels.json: annotation 4")


def test_polygons_are_coco_s():
    points = [(1.3, 0.8), (9.1, 2.2), (6.0, 7.9), (2.5, 6.1)]
    expected = coco_mask.decode(coco_mask.merge(coco_mask.frPyObjects([[v for p in points for v in p]], 8, 10)))
    np.testing.assert_array_equal(rle_to_mask(polygons_to_mask([points], (8, 10), "here")), expected)


def test_a_box_on_whole_coordinates_covers_exactly_its_pixels():
    mask = rle_to_mask(polygons_to_mask([box_polygon(2, 1, 7, 5)], (8, 10), "here"))
    expected = np.zeros((8, 10), dtype=bool)
    expected[1:5, 2:7] = True
    np.testing.assert_array_equal(mask, expected)


def test_turning_a_box_by_ninety_degrees_swaps_its_sides():
    turned = box_polygon(2, 1, 8, 5, degrees=90)
    assert {(round(x, 6), round(y, 6)) for x, y in turned} == {(3, 0), (7, 0), (7, 6), (3, 6)}


def test_a_circle_has_the_area_of_a_circle():
    mask = polygons_to_mask([ellipse_polygon(50, 50, 30, 20)], (100, 100), "here")
    assert area(mask) == pytest.approx(np.pi * 30 * 20, rel=0.02)


def test_points_far_outside_are_refused_and_near_ones_cut_off():
    with pytest.raises(UserError, match="far outside of the 10x8 image"):
        polygons_to_mask([[(0, 0), (1e8, 0), (0, 5)]], (8, 10), "here")
    mask = rle_to_mask(polygons_to_mask([box_polygon(-3, -3, 4, 2)], (8, 10), "here"))
    assert mask[:2, :4].all() and mask.sum() == 8


def test_why_a_polygon_is_empty():
    assert why_empty([box_polygon(20, 1, 24, 5)], (8, 10)) == "outside of the image"
    assert why_empty([box_polygon(2, 1, 2, 5)], (8, 10)) == "covers no pixel"
