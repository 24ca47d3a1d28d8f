"""Which segments are the worst, which are named, and what is drawn beside them."""

from types import SimpleNamespace

import numpy as np
import pytest

from color_blocks import ColorBlocks, random_network
from pantile.cli.segment_neighbours import Asked, named_segments, segment_neighbours, worst_segments
from pantile.contracts.errors import UserError
from pantile.contracts.panoptic import PanopticMap
from pantile.visualize.neighbours import FRAME, OTHER, SAME, neighbour_sheet
from pantile.visualize.report import ReportData, render_report

TRAINING, VALIDATION = ColorBlocks(4, seed=1), ColorBlocks(3, seed=2)


class HalfRight:
    """A predictor that knows images 0 and 2, loses the segments 5 and 9 of image 1, and finds a half of 3 there."""

    network = random_network()

    def __init__(self) -> None:
        self._answers = {}
        for index in range(len(VALIDATION)):
            image, truth = VALIDATION.load(index)
            if index == 1:
                kept = tuple(segment for segment in truth.segments if segment.id == 3)
                ids = np.where(truth.ids == 3, truth.ids, 0)
                ids[:12] = 0
                truth = PanopticMap(ids, kept)
            self._answers[image.tobytes()] = truth

    def __call__(self, image: np.ndarray) -> SimpleNamespace:
        return SimpleNamespace(panoptic=self._answers[image.tobytes()])


def test_the_worst_are_those_that_no_prediction_covers():
    asked = worst_segments(HalfRight(), VALIDATION, [1, 0, 2], 3)
    assert [(one.index, one.segment_id) for one in asked] == [(1, 5), (1, 9), (0, 3)]  # two of an image at most
    assert asked[0].note == "no prediction of its class covers it"
    assert asked[2].note == "best IoU of a prediction of its class 1.00"


def test_segments_by_name():
    assert named_segments(VALIDATION, ["2_1.png:9"]) == [Asked(1, 9, "asked for")]
    for name, told in (
        ("2_7.png:9", "give IMAGE:ID of a validation image, such as 2_0.png:1"),
        ("2_1.png", "give IMAGE:ID"),
        ("2_1.png:4", "2_1.png has no segment of that id; it has 5, 3, 9"),
    ):
        with pytest.raises(UserError, match=told):
            named_segments(VALIDATION, [name])


def test_what_is_drawn_beside_them(capfd):
    asked = [Asked(0, 3, "asked for"), Asked(2, 5, "asked for")]
    found = segment_neighbours(HalfRight(), TRAINING, VALIDATION, asked, count=5)
    assert [(one.segment.name, len(one.neighbours)) for one in found] == [("2_0.png", 5), ("2_2.png", 5)]
    cosines = [near.cosine for near in found[0].neighbours]
    assert cosines == sorted(cosines, reverse=True) and found[0].neighbours[0].class_name == found[0].segment.class_name
    sheet = neighbour_sheet(found)
    for color, classes in ((SAME, 1), (OTHER, 1)):
        assert (sheet == color).all(axis=2).sum() > classes * FRAME * 100
    page = render_report(ReportData(neighbours=found))
    assert "Nearest in the training set" in page and f"{found[0].same_class} of 5 neighbours have its class" in page
    assert "neighbours" in capfd.readouterr().err  # the bar
    assert segment_neighbours(HalfRight(), TRAINING, VALIDATION, []) == []
