"""Overlays against a loop over pixels; the error map against a loop over pairs of segments."""

import json

import numpy as np
import pytest
from PIL import Image

from pantile.contracts.errors import UserError
from pantile.contracts.panoptic import PanopticMap, Segment, rgb_to_ids
from pantile.contracts.taxonomy import Taxonomy
from pantile.visualize.colors import segment_colors
from pantile.visualize.overlay import error_kinds, error_map, error_map_with_legend, overlay, overlay_with_legend
from pantile.visualize.palette import DOT_COLOR, ERROR_COLORS, HATCH_COLOR
from pantile.visualize.panels import grid, side_by_side
from pantile.visualize.textures import dots, hatching

KINDS = list(ERROR_COLORS)


def test_overlay_equals_a_loop_over_pixels(photo, scene, taxonomy):
    alpha = 0.5
    colors = segment_colors(scene, taxonomy)
    crowd = {s.id for s in scene.segments if s.is_crowd}
    lines, points = hatching(scene.size), dots(scene.size)
    drawn = overlay(photo, scene, taxonomy, alpha, borders=False)
    for y in range(48):
        for x in range(64):
            identity = int(scene.ids[y, x])
            color, opacity = colors[identity], alpha
            if identity == 0 and lines[y, x]:
                color = HATCH_COLOR
            if identity in crowd and points[y, x]:
                color, opacity = DOT_COLOR, 1.5 * alpha
            for channel in range(3):
                wanted = photo[y, x, channel] * (1 - opacity) + color[channel] * opacity
                assert abs(int(drawn[y, x, channel]) - wanted) <= 1.0


def test_overlay_is_a_new_uint8_array_of_the_same_size(photo, scene, taxonomy):
    before = photo.copy()
    drawn = overlay(photo, scene, taxonomy)
    assert (drawn.shape, drawn.dtype) == ((48, 64, 3), np.uint8)
    assert np.array_equal(photo, before)
    assert np.array_equal(overlay(photo, scene, taxonomy, alpha=0), photo)


def test_opaque_overlay_shows_exactly_the_colours(photo, scene, taxonomy):
    drawn = overlay(photo, scene, taxonomy, alpha=1, borders=False)
    assert drawn[20, 10].tolist() == list(segment_colors(scene, taxonomy)[3])
    assert drawn[30, 2].tolist() == [150, 130, 90]


def test_borders_lie_only_where_segments_meet(photo, scene, taxonomy):
    changed = (overlay(photo, scene, taxonomy) != overlay(photo, scene, taxonomy, borders=False)).any(axis=-1)
    for y in range(48):
        for x in range(64):
            here = scene.ids[y, x]
            meets = (x > 0 and scene.ids[y, x - 1] != here) or (y > 0 and scene.ids[y - 1, x] != here)
            assert meets or not changed[y, x]
    assert changed[14:24, 20].all()  # between the two windows
    assert changed[14, 8:32].all()  # above them


@pytest.mark.parametrize("shade", [0, 20, 128, 255])
def test_void_is_hatched_on_dark_and_bright_images(taxonomy, shade):
    image = np.full((90, 120, 3), shade, dtype=np.uint8)
    drawn = overlay(image, PanopticMap(np.zeros((90, 120), dtype=np.int32), ()), taxonomy)
    lines = hatching((90, 120))
    assert 0.08 < lines.mean() < 0.4
    assert len(np.unique(drawn[lines], axis=0)) == len(np.unique(drawn[~lines], axis=0)) == 1
    assert int(drawn[lines].min()) - int(drawn[~lines].max()) > 25
    assert np.array_equal(lines[1:, :-1], lines[:-1, 1:])  # diagonal


def test_ids_that_the_table_does_not_list_are_drawn_as_void(photo, taxonomy):
    zeros = PanopticMap(np.zeros((48, 64), dtype=np.int32), ())
    strangers = PanopticMap(np.full((48, 64), 77, dtype=np.int32), (Segment(3, 0),))
    assert np.array_equal(overlay(photo, strangers, taxonomy), overlay(photo, zeros, taxonomy))


@pytest.mark.parametrize("size", [(1, 1), (1, 9), (5, 3)])
def test_tiny_images(taxonomy, size):
    image = np.zeros((*size, 3), dtype=np.uint8)
    drawn = overlay_with_legend(image, PanopticMap(np.ones(size, dtype=np.int32), (Segment(1, 0),)), taxonomy)
    assert drawn.shape[1] == size[1]
    assert drawn.shape[0] > size[0]


def test_overlay_with_legend_puts_names_below(photo, scene, taxonomy):
    drawn = overlay_with_legend(photo, scene, taxonomy)
    assert np.array_equal(drawn[:48], overlay(photo, scene, taxonomy))
    assert drawn.shape[0] > 60
    assert (drawn[48:] == 255).mean() > 0.3


@pytest.mark.parametrize(
    ("image", "alpha", "words"),
    [
        (np.zeros((4, 4, 3), dtype=np.uint8), 0.5, "resize one of them"),
        (np.zeros((48, 64, 3), dtype=np.float32), 0.5, "uint8 RGB"),
        (np.zeros((48, 64), dtype=np.uint8), 0.5, "uint8 RGB"),
        (np.zeros((48, 64, 3), dtype=np.uint8), 1.5, "opacity from 0 to 1"),
    ],
)
def test_overlay_refuses_what_does_not_fit(scene, taxonomy, image, alpha, words):
    with pytest.raises(UserError, match=words):
        overlay(image, scene, taxonomy, alpha)


def random_map(rng: np.random.Generator, with_crowd: bool) -> PanopticMap:
    coarse = rng.integers(0, 6, (3, 4)) * rng.integers(1, 4)
    ids = np.kron(coarse, np.ones((4, 4), dtype=np.int64))
    ids[rng.random(ids.shape) < 0.15] = 0
    segments = [
        Segment(int(i), int(rng.integers(0, 3)), is_crowd=bool(with_crowd and rng.random() < 0.2))
        for i in np.unique(ids)
        if i
    ]
    return PanopticMap(ids, tuple(segments))


def naive_kinds(pred: PanopticMap, gt: PanopticMap) -> np.ndarray:
    """Pixel by pixel, with the masks of the two segments written out."""
    gt_row, pred_row = {s.id: s for s in gt.segments}, {s.id: s for s in pred.segments}
    void = np.isin(gt.ids, [0] + [s.id for s in gt.segments if s.is_crowd])
    kinds = np.empty(gt.size, dtype=int)
    for y, x in np.ndindex(gt.size):
        if void[y, x]:
            kinds[y, x] = KINDS.index("void")
            continue
        if pred.ids[y, x] == 0:
            kinds[y, x] = KINDS.index("missed")
            continue
        truth, guess = gt_row[gt.ids[y, x]], pred_row[pred.ids[y, x]]
        if truth.class_index != guess.class_index:
            kinds[y, x] = KINDS.index("wrong class")
            continue
        truth_mask, guess_mask = gt.ids == truth.id, (pred.ids == guess.id) & ~void
        iou = (truth_mask & guess_mask).sum() / (truth_mask | guess_mask).sum()
        kinds[y, x] = KINDS.index("right" if iou > 0.5 else "wrong segment")
    return kinds


def test_error_kinds_equal_a_loop_over_pixels():
    rng = np.random.default_rng(3)
    seen = set()
    for _ in range(40):
        gt = random_map(rng, with_crowd=True)
        if rng.random() < 0.5:
            pred = random_map(rng, with_crowd=False)
        else:
            pred = PanopticMap(np.roll(gt.ids, 1, 1), tuple(Segment(s.id, s.class_index) for s in gt.segments))
        expected = naive_kinds(pred, gt)
        assert np.array_equal(error_kinds(pred, gt), expected)
        seen |= set(expected.ravel().tolist())
    assert seen == set(range(len(KINDS)))


def test_error_map_of_a_perfect_prediction_has_only_right_and_void(photo, scene):
    flat = error_map(scene, scene)
    right = (scene.ids > 0) & (scene.ids != 255)
    assert (flat[right] == ERROR_COLORS["right"]).all()
    assert {tuple(c) for c in flat[~right].reshape(-1, 3)} == {ERROR_COLORS["void"], HATCH_COLOR}
    assert error_map(scene, scene, photo).shape == photo.shape
    assert error_map_with_legend(scene, scene).shape[1] == 64


def test_error_map_of_nothing(scene):
    nothing = PanopticMap(np.zeros((48, 64), dtype=np.int32), ())
    assert set(np.unique(error_kinds(nothing, scene))) == {KINDS.index("missed"), KINDS.index("void")}
    assert (error_kinds(scene, nothing) == KINDS.index("void")).all()


def test_error_map_refuses_two_sizes(scene):
    with pytest.raises(UserError, match="maps of one size"):
        error_map(PanopticMap(np.zeros((2, 2), dtype=np.int32), ()), scene)


def test_side_by_side_keeps_the_pictures_and_scales_others_to_the_first(photo):
    small = photo[:24]
    row = side_by_side([photo, small, photo], ["image", "half", "a title that is far too long for this picture"])
    strip = row.shape[0] - 48
    assert strip > 10
    assert np.array_equal(row[strip:, :64], photo)
    assert np.array_equal(row[strip:, -64:], photo)
    assert row.shape[1] == 64 + 6 + 128 + 6 + 64
    assert np.array_equal(side_by_side([photo]), photo)


def test_a_long_title_does_not_run_into_the_next_column(photo):
    short = grid([[photo, photo]], ["a", ""])
    long = grid([[photo, photo]], ["a" * 200, ""])
    assert (long[:20, :64] != 255).any()
    assert np.array_equal(long[:, 64:], short[:, 64:])


def test_real_images_with_crowd_and_large_ids(real_data):
    root = real_data / "coco_sample"
    content = json.loads((root / "annotations" / "panoptic_val2017.json").read_text())
    taxonomy = Taxonomy.from_coco(content["categories"])
    for annotation in content["annotations"]:
        ids = rgb_to_ids(np.array(Image.open(root / "annotations" / "panoptic_val2017" / annotation["file_name"])))
        rows = [
            Segment(s["id"], taxonomy.index_of_id[s["category_id"]], bool(s["iscrowd"]))
            for s in annotation["segments_info"]
        ]
        photo = Image.open(root / "val2017" / annotation["file_name"].replace(".png", ".jpg")).convert("RGB")
        drawn = overlay(np.array(photo), PanopticMap(ids, tuple(rows)), taxonomy, alpha=1, borders=False)
        crowd = np.isin(ids, [s.id for s in rows if s.is_crowd])
        assert crowd.any()
        assert (drawn[crowd & dots(ids.shape)] == DOT_COLOR).all()
