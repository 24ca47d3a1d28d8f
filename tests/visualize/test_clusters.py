"""Cluster figures: heat maps against a loop, the choice of queries, the layout."""

import math

import numpy as np
import pytest

from pantile.contracts.errors import UserError
from pantile.visualize.clusters import (
    PANEL_HEIGHT,
    assignment_figure,
    choose_queries,
    cluster_figure,
    heat_map,
    query_colors,
)


@pytest.fixture
def logits() -> np.ndarray:
    """(5, 4, 6): query 1 owns most pixels, then 3, then 0; 2 and 4 own none."""
    owner = np.ones((4, 6), dtype=int)
    owner[2:, :4], owner[0, :2] = 3, 0
    logits = np.random.default_rng(2).normal(size=(5, 4, 6))
    for y, x in np.ndindex(4, 6):
        logits[owner[y, x], y, x] += 9
    return logits


def test_heat_map_equals_a_loop_over_pixels(logits):
    probability = np.empty((4, 6))
    for y, x in np.ndindex(4, 6):
        weights = [math.exp(value) for value in logits[:, y, x]]
        probability[y, x] = weights[3] / sum(weights)
    low, high = probability.min(), probability.max()
    drawn = heat_map(logits, 3)
    assert drawn.dtype == np.uint8
    assert (drawn.min(), drawn.max()) == (0, 255)
    assert np.abs(drawn - (probability - low) / (high - low) * 255).max() <= 0.51


def test_heat_map_of_huge_and_of_equal_logits():
    assert heat_map(np.full((3, 2, 2), 1e4), 0).tolist() == [[0, 0], [0, 0]]
    sharp = np.zeros((2, 1, 2))
    sharp[0, 0, 0] = 1e4
    assert heat_map(sharp, 0).tolist() == [[255, 0]]


def test_the_largest_owners_come_first(logits):
    assert choose_queries(logits) == [1, 3, 0]
    assert choose_queries(logits, count=2) == [1, 3]


def test_things_come_before_stuff_and_no_object_is_left_out(logits, taxonomy):
    classes = np.zeros((5, 5))
    classes[1, 2] = 5  # wall: stuff, though the largest
    classes[3, 1] = 5  # car
    classes[0, 4] = 5  # no-object
    assert choose_queries(logits, classes, taxonomy) == [3, 1]
    classes[:, 4] = 9
    assert choose_queries(logits, classes, taxonomy) == []


def test_cluster_figure_has_a_row_per_query_and_a_column_per_layer(photo, logits):
    picture = cluster_figure(photo, [logits, logits[:, ::2], logits], [1, 3], ["wall", "car"])
    width = round(64 * PANEL_HEIGHT / 48)
    assert picture.dtype == np.uint8
    assert picture.shape[1] == 4 * width + 3 * 6
    assert 2 * PANEL_HEIGHT < picture.shape[0] < 2 * PANEL_HEIGHT + 150
    final = picture[-PANEL_HEIGHT:, -width:]
    expected = heat_map(logits, 3)
    for y, x in np.ndindex(4, 6):
        patch = final[y * 60 + 20, round(width * (x + 0.5) / 6)]
        if expected[y, x] == 255:
            assert patch.sum() > 600  # the bright end of the colour scale
        if expected[y, x] == 0:
            assert patch.sum() < 20


def test_more_layers_than_fit_are_skipped_evenly(photo, logits):
    six = cluster_figure(photo, [logits] * 6, [1])
    assert cluster_figure(photo, [logits] * 9, [1]).shape == six.shape


def test_assignment_figure_paints_the_owner(photo, logits):
    picture = assignment_figure(photo, [logits, logits])
    width = round(64 * PANEL_HEIGHT / 48)
    final = picture[-PANEL_HEIGHT:, -width:]
    colors = query_colors(5)
    assert final[5, 5].tolist() == colors[0].tolist()
    assert final[-5, 5].tolist() == colors[3].tolist()
    assert final[100, -5].tolist() == colors[1].tolist()


def test_query_colours_are_distinct_and_do_not_depend_on_the_count():
    colors = query_colors(300)
    assert len(np.unique(colors, axis=0)) > 290
    assert np.array_equal(colors[:100], query_colors(100))


def test_nothing_to_draw_is_said(photo, logits):
    with pytest.raises(UserError, match="no query to draw"):
        cluster_figure(photo, [logits], [])
    with pytest.raises(UserError, match="no layer output"):
        assignment_figure(photo, [])
