"""Close-ups of confused segments: what is filled, what is outlined, what is named, and at which size."""

import numpy as np
import pytest

from pantile.contracts.errors import UserError
from pantile.contracts.panoptic import PanopticMap, Segment
from pantile.visualize import confused
from pantile.visualize.confused import FILL, OTHERS, OUTLINES, draw_confused

SIZE = (200, 300)


def boxes(*rows: tuple[int, int, slice, slice]) -> PanopticMap:
    """(id, class index, rows, columns) painted over void."""
    ids = np.zeros(SIZE, np.int32)
    for segment_id, _, y, x in rows:
        ids[y, x] = segment_id
    return PanopticMap(ids, tuple(Segment(i, k, score=0.75) for i, k, _, _ in rows))


@pytest.fixture
def truth() -> PanopticMap:
    """Two cars beside each other, one far away, and a window that nothing covers."""
    return boxes(
        (1, 1, slice(80, 120), slice(60, 100)),
        (2, 1, slice(80, 120), slice(110, 150)),
        (3, 1, slice(0, 20), slice(280, 300)),
        (4, 0, slice(90, 110), slice(155, 165)),
    )


@pytest.fixture
def prediction() -> PanopticMap:
    return boxes((9, 1, slice(80, 120), slice(60, 130)), (5, 2, slice(150, 200), slice(0, 300)))


@pytest.fixture
def street() -> np.ndarray:
    """(200, 300, 3) uint8, a blue plane."""
    return np.full((*SIZE, 3), (60, 70, 200), np.uint8)


def count(picture: np.ndarray, color: tuple[int, int, int]) -> int:
    return int((picture == np.array(color)).all(axis=2).sum())


def panels(picture: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The panels of stacked pictures without the names below."""
    below = int(np.flatnonzero((picture == 255).all(axis=(1, 2)))[-1])
    return np.split(picture[:below], 2)


def test_the_segment_is_filled_and_its_things_are_outlined(street, prediction, truth, taxonomy, monkeypatch):
    titles, names = [], []
    monkeypatch.setattr(confused, "grid", lambda rows, **kinds: titles.append((rows, kinds)) or rows[0][0])
    monkeypatch.setattr(confused, "named_colors", lambda e, width: names.extend(e) or np.zeros((1, width, 3), np.uint8))
    draw_confused(street, prediction, truth, 9, [(1, 1.0), (2, 0.5)], taxonomy)
    (([[outlined], [painted]], kinds),) = titles
    assert kinds == {"row_titles": ("ground truth", "predicted: car, score 0.75")}
    assert names == [
        ("predicted segment", FILL),
        ("car: 100 % covered", OUTLINES[0]),
        ("car: 50 % covered", OUTLINES[1]),
    ]
    # A crop of 40 x 90 pixels and 22 more around it, made 552 high and, in proportion, 881 wide.
    assert outlined.shape == painted.shape == (552, 881, 3)
    factor = 552 / 84
    for color in OUTLINES[:2]:
        # A square of 40 pixels, outlined by 3 of the picture's own; its share stands on a plate of the colour.
        assert count(outlined, color) == pytest.approx(4 * 3 * (40 * factor - 3), rel=0.02)
        assert 0 < count(painted, color) - count(outlined, color) < 1500
    assert count(outlined, OTHERS) > 0 and count(painted, OTHERS) == 0
    grey = np.full(3, 110 * 0.85)
    filled = (0.4 * grey + 0.6 * np.array(FILL)).astype(np.uint8)
    assert 0.85 * 40 * 70 * factor**2 < count(painted, tuple(filled)) < 40 * 70 * factor**2
    assert count(outlined, tuple(filled)) == 0
    assert count(outlined, (60, 70, 200)) > 0.7 * 552 * 881 and count(painted, (60, 70, 200)) == 0


def test_the_whole_picture_has_panels_and_names(street, prediction, truth, taxonomy):
    before = street.copy()
    picture = draw_confused(street, prediction, truth, 9, [(1, 1.0), (2, 0.5)], taxonomy)
    assert picture.dtype == np.uint8 and picture.shape[1] == 881 and picture.shape[0] > 2 * 552
    assert np.array_equal(street, before)
    assert count(picture, FILL) > 100  # its swatch


def test_tall_crops_stand_side_by_side(street, taxonomy):
    tall = boxes((1, 0, slice(10, 90), slice(10, 30)), (2, 0, slice(90, 170), slice(10, 30)))
    one = boxes((7, 0, slice(10, 170), slice(10, 30)))
    picture = draw_confused(street, one, tall, 7, [(1, 1.0), (2, 1.0)], taxonomy)
    assert picture.shape[0] > confused._PANEL and picture.shape[1] < 2 * confused._PANEL


@pytest.mark.parametrize("factor", [1, 12])
def test_pictures_have_one_width_whatever_the_size_of_the_image(prediction, truth, taxonomy, street, factor):
    def grown(panoptic):
        return PanopticMap(panoptic.ids.repeat(factor, 0).repeat(factor, 1), panoptic.segments)

    photo = street.repeat(factor, 0).repeat(factor, 1)
    picture = draw_confused(photo, grown(prediction), grown(truth), 9, [(1, 1.0), (2, 0.5)], taxonomy)
    assert picture.shape[1] == pytest.approx(880, abs=1)


def test_more_things_than_colours_are_counted(street, taxonomy, monkeypatch):
    names = []
    monkeypatch.setattr(confused, "named_colors", lambda e, width: names.extend(e) or np.zeros((1, width, 3), np.uint8))
    columns = [slice(10 * n, 10 * n + 9) for n in range(10)]
    many = boxes(*((n + 1, 0, slice(50, 60), x) for n, x in enumerate(columns)))
    one = boxes((1, 0, slice(50, 60), slice(0, 100)))
    things = [(n + 1, 1.0) for n in range(9)] + [(10, 0.009)]
    draw_confused(street, one, many, 1, things, taxonomy)
    assert len(names) == 1 + len(OUTLINES) + 1
    assert names[-1] == ("3 more covered", OTHERS)


def test_a_thing_of_one_pixel_at_the_corner_is_drawn(street, taxonomy):
    truth = boxes((1, 0, slice(0, 1), slice(0, 1)), (2, 0, slice(199, 200), slice(299, 300)))
    whole = boxes((1, 0, slice(0, 200), slice(0, 300)))
    picture = draw_confused(street, whole, truth, 1, [(1, 1.0), (2, 1.0)], taxonomy)
    assert picture.shape[1] == pytest.approx(880, abs=1)


def test_bad_input_is_refused(street, prediction, truth, taxonomy):
    things = [(1, 1.0), (2, 0.5)]
    with pytest.raises(UserError, match="The prediction has no segment 77"):
        draw_confused(street, prediction, truth, 77, things, taxonomy)
    with pytest.raises(UserError, match="The ground truth has no segment 8"):
        draw_confused(street, prediction, truth, 9, [(8, 1.0)], taxonomy)
    with pytest.raises(UserError, match="resize the maps to the image"):
        draw_confused(street[:100], prediction, truth, 9, things, taxonomy)
    with pytest.raises(UserError, match="uint8 RGB"):
        draw_confused(street.astype(float), prediction, truth, 9, things, taxonomy)
