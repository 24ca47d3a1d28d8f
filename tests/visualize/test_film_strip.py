"""Film strips: a row for the frames and one for each set of maps; colours that stay with ids."""

import numpy as np
import pytest

from pantile.contracts.errors import UserError
from pantile.contracts.panoptic import PanopticMap, Segment
from pantile.contracts.taxonomy import plain_taxonomy
from pantile.visualize.film_strip import CELL, GAP, film_strip
from pantile.visualize.report import ReportData, render_report

TAXONOMY = plain_taxonomy(["cat"], things=["cat"])
IMAGES = [np.full((40, 80, 3), 20 * k, np.uint8) for k in range(3)]


def maps_of(*ids):
    return [PanopticMap(np.full((40, 80), own, np.int32), (Segment(own, 0),)) for own in ids]


def test_rows_and_colours():
    black = [np.zeros((40, 80, 3), np.uint8)] * 3
    drawn = film_strip(black, {"truth": maps_of(1, 1, 1), "seen": maps_of(1, 2, 2)}, TAXONOMY)
    assert drawn.shape[1] == 3 * (CELL + GAP) + GAP and drawn.shape[0] % 3 == 0
    height = drawn.shape[0] // 3
    middles = [
        [tuple(drawn[row * height + height // 2 + 10, GAP + k * (CELL + GAP) + CELL // 2]) for k in range(3)]
        for row in (1, 2)
    ]
    assert middles[0][0] == middles[0][1] == middles[0][2] != (0, 0, 0)
    assert middles[1][0] != middles[1][1] == middles[1][2]
    assert film_strip(black, {}, TAXONOMY, shown=[2]).shape[1] == CELL + 2 * GAP


def test_what_does_not_fit_is_told():
    with pytest.raises(UserError, match=r"row 'seen' has 2 of 3 frames"):
        film_strip(IMAGES, {"seen": maps_of(1, 1)}, TAXONOMY)
    with pytest.raises(UserError, match="no frame"):
        film_strip([], {}, TAXONOMY)


def test_strips_of_videos_stand_in_the_report():
    strip = film_strip(IMAGES, {"truth": maps_of(1, 1, 1)}, TAXONOMY)
    page = render_report(ReportData(films=[("a <video>", strip)]))
    assert "a &lt;video&gt;" in page and 'id="films"' in page
    assert 'id="films"' not in render_report(ReportData())
