"""Stitching of tiles against a naive form, and against maps that were cut apart."""

import itertools
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pycocotools import mask as coco_mask
from stitching_oracle import as_labels, naive_stitch, renamed

from pantile.contracts.panoptic import PanopticMap, Segment
from pantile.contracts.predictions import Instance, Prediction
from pantile.contracts.run_lengths import encode_segments
from pantile.contracts.taxonomy import plain_taxonomy
from pantile.merge.area_limits import AreaLimits
from pantile.merge.stitching import TilePrediction, stitch
from pantile.merge.tile_layout import TileLayout, Window, lay_tiles

TAXONOMY = plain_taxonomy(["cat", "dog", "sky", "road"], things=["cat", "dog"])
CAT, DOG, SKY, ROAD = range(4)


def panoptic_of(ids: np.ndarray, class_of: dict[int, int], scores: dict[int, float] | None = None) -> PanopticMap:
    """A table for the ids that occur."""
    rows = [Segment(i, class_of[i], score=(scores or {}).get(i, 1.0)) for i in np.unique(ids).tolist() if i in class_of]
    return PanopticMap(ids.astype(np.int32), tuple(rows))


def classes_of(panoptic: PanopticMap) -> np.ndarray:
    """(H, W) class index, -1 on void"""
    classes = np.full(panoptic.size, -1, np.int32)
    for segment in panoptic.segments:
        classes[panoptic.ids == segment.id] = segment.class_index
    return classes


def one_hot(classes: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.stack([classes == k for k in range(len(TAXONOMY))]).astype(np.float32))


@dataclass(frozen=True)
class Given:
    """Evidence that is all there: takes windows of (K, h, w)."""

    values: torch.Tensor

    def __call__(self, window: Window) -> np.ndarray:
        return self.values[:, *window.slices].numpy()


def cut(truth: PanopticMap, layout: TileLayout, generator: np.random.Generator) -> list[TilePrediction]:
    """Tiles that see the truth, each with ids of its own in an order of its own."""
    tiles = []
    for window in layout.windows:
        crop = truth.ids[window.slices]
        present = [s for s in truth.segments if (crop == s.id).any()]
        numbers = generator.permutation(len(present)) + 1
        ids = np.zeros_like(crop)
        for segment, number in zip(present, numbers.tolist(), strict=True):
            ids[crop == segment.id] = number
        rows = [Segment(n, s.class_index) for s, n in zip(present, numbers.tolist(), strict=True)]
        part = PanopticMap(ids, tuple(rows))
        things = [s for s in rows if TAXONOMY.classes[s.class_index].is_thing]
        masks = encode_segments(ids, [s.id for s in things])
        instances = tuple(Instance(s.class_index, 0.5, m) for s, m in zip(things, masks, strict=True))
        classes = classes_of(part)
        tiles.append(TilePrediction(Prediction(part, instances, classes), Given(one_hot(classes))))
    return tiles


def stitched_labels(tiles: list[TilePrediction], layout: TileLayout) -> tuple[np.ndarray, dict]:
    prediction = stitch(iter(tiles), layout, TAXONOMY)
    assert_table_agrees(prediction.panoptic)
    return as_labels(prediction.panoptic, TAXONOMY)


def assert_table_agrees(panoptic: PanopticMap) -> None:
    assert [s.id for s in panoptic.segments] == list(range(1, len(panoptic.segments) + 1))
    assert set(np.unique(panoptic.ids).tolist()) - {0} == {s.id for s in panoptic.segments}
    assert panoptic.ids.dtype == np.int32
    stuff = [s.class_index for s in panoptic.segments if not TAXONOMY.classes[s.class_index].is_thing]
    assert len(stuff) == len(set(stuff))


# where tiles lie


@given(
    st.tuples(st.integers(1, 40), st.integers(1, 40)),
    st.tuples(st.integers(6, 25), st.integers(6, 25)),
    st.tuples(st.floats(0, 0.8), st.floats(0, 0.8)),
)
@settings(max_examples=40, deadline=None)
def test_tiles_cover_the_image_with_enough_overlap_and_cells_know_their_tiles(size, tile, shares):
    overlap = tuple(int(share * extent) for share, extent in zip(shares, tile, strict=True))
    layout = lay_tiles(size, tile, overlap)
    for spans, length, extent, least in zip((layout.rows, layout.columns), size, tile, overlap, strict=True):
        assert spans[0][0] == 0 and spans[-1][1] == length
        assert all(end - start == min(extent, length) for start, end in spans)
        assert all(one[1] - other[0] >= least for one, other in itertools.pairwise(spans))
        # one tile fewer could not do it
        assert len(spans) == 1 or (len(spans) - 1) * (extent - least) + least < length
    seen = np.zeros(size, int)
    for cell in layout.cells:
        covering = [n for n, w in enumerate(layout.windows) if w.common(cell.window) == cell.window]
        assert list(cell.tiles) == covering
        seen[cell.window.slices] += 1
    assert (seen == 1).all()


# against the naive form


@pytest.mark.parametrize(
    ("size", "tile", "overlap"), [((14, 20), 10, 4), ((11, 11), 8, 6), ((17, 6), 7, 0), ((9, 26), 9, 3)]
)
@pytest.mark.parametrize("seed", range(4))
def test_disagreeing_tiles_are_stitched_as_the_naive_form_does(size, tile, overlap, seed):
    generator = np.random.default_rng(seed)
    layout = lay_tiles(size, (tile, tile), (overlap, overlap))
    truth, class_of = random_scene(generator, size, things=6)
    tiles, evidence = [], []
    for window in layout.windows:
        # every tile sees the scene a little displaced, misses some segments and mistakes the class of others
        shifted = np.roll(truth, generator.integers(-1, 2, 2), (0, 1))[window.slices]
        seen = {
            i: (k + 1) % 4 if generator.random() < 0.2 else k for i, k in class_of.items() if generator.random() < 0.8
        }
        ids, own_class = local_ids(shifted, seen)
        scores = {i: float(s) for i, s in enumerate(generator.random(20))}
        values = generator.integers(0, 17, (4, *window.size)) / 16  # exact in float32, so are their sums
        evidence.append(values)
        prediction = Prediction(panoptic_of(ids, own_class, scores))
        tiles.append(TilePrediction(prediction, Given(torch.from_numpy(values.astype(np.float32)))))
    labels, scores = stitched_labels(tiles, layout)
    expected, expected_scores = naive_stitch([t.prediction.panoptic for t in tiles], evidence, layout, TAXONOMY)
    assert renamed(labels) == renamed(expected)
    for label, wanted in {(a, b) for a, b in zip(labels.flat, expected.flat, strict=True) if a is not None}:
        assert scores[label] == pytest.approx(expected_scores[wanted])


def random_scene(generator: np.random.Generator, size: tuple[int, int], things: int) -> tuple[np.ndarray, dict]:
    """(H, W) ids and the class of each: two stuff regions, void, and rectangles of things over them."""
    ids = np.zeros(size, np.int32)
    ids[: size[0] // 2], ids[size[0] // 2 + 1 :] = 1, 2
    class_of = {1: SKY, 2: ROAD}
    for number in range(3, 3 + things):
        top, left = (generator.integers(0, length) for length in size)
        height, width = generator.integers(2, 9, 2)
        ids[top : top + height, left : left + width] = number
        class_of[number] = int(generator.integers(0, 2))
    return ids, class_of


def local_ids(ids: np.ndarray, class_of: dict[int, int]) -> tuple[np.ndarray, dict[int, int]]:
    """Ids 1, 2, ... with one segment per stuff class; ids without a class become void."""
    result, own_class, id_of_stuff = np.zeros_like(ids), {}, {}
    for value in np.unique(ids).tolist():
        if value not in class_of:
            continue
        k = class_of[value]
        number = id_of_stuff.get(k, len(own_class) + 1) if k in (SKY, ROAD) else len(own_class) + 1
        own_class[number] = k
        if k in (SKY, ROAD):
            id_of_stuff[k] = number
        result[ids == value] = number
    return result, own_class


# maps that were cut apart


@given(st.data())
@settings(max_examples=30, deadline=None)
def test_a_map_that_was_cut_apart_is_put_together_again(data):
    size = data.draw(st.tuples(st.integers(4, 30), st.integers(4, 30)))
    tile = data.draw(st.tuples(st.integers(4, 16), st.integers(4, 16)))
    overlap = tuple(data.draw(st.integers(1, max(1, 2 * extent // 3))) for extent in tile)
    generator = np.random.default_rng(data.draw(st.integers(0, 10**6)))
    layout = lay_tiles(size, tile, overlap)
    ids, class_of = random_scene(generator, size, things=data.draw(st.integers(0, 12)))
    # rectangles cover each other, so what is left of one may be seen by two tiles that share none of it
    for i in list(class_of):
        if class_of[i] in (CAT, DOG) and not seen_connected(ids == i, layout):
            ids[ids == i] = 0
    truth = panoptic_of(ids, class_of)
    prediction = stitch(cut(truth, layout, generator), layout, TAXONOMY)
    assert_table_agrees(prediction.panoptic)
    labels, scores = as_labels(prediction.panoptic, TAXONOMY)
    assert renamed(labels) == renamed(as_labels(truth, TAXONOMY)[0])
    assert all(score == pytest.approx(1) for score in scores.values())
    assert np.array_equal(prediction.semantic, classes_of(truth))
    things = [s for s in truth.segments if s.class_index in (CAT, DOG)]
    masks = encode_segments(truth.ids, [s.id for s in things])
    found = {(i.class_index, i.mask["counts"]) for i in prediction.instances}
    assert found == {(s.class_index, mask["counts"]) for s, mask in zip(things, masks, strict=True)}
    assert len(prediction.instances) == len(things)
    assert all(instance.score == pytest.approx(0.5) for instance in prediction.instances)


def seen_connected(mask: np.ndarray, layout: TileLayout) -> bool:
    """Whether the tiles that see the mask hang together by pixels of it that two of them share."""
    seeing = [w for w in layout.windows if mask[w.slices].any()]
    reached, frontier = set(), seeing[:1]
    while frontier:
        window = frontier.pop()
        reached.add(window)
        for other in seeing:
            common = window.common(other)
            if other not in reached and common and mask[common.slices].any():
                frontier.append(other)
    return len(reached) == len(seeing)


def test_a_thing_over_four_tiles_becomes_one_segment_with_a_mean_score():
    layout = lay_tiles((16, 16), (10, 10), (4, 4))
    assert len(layout.windows) == 4
    ids = np.zeros((16, 16), np.int32)
    ids[3:14, 5:12] = 1
    tiles = cut(panoptic_of(ids, {1: DOG}), layout, np.random.default_rng(0))
    scores = (0.2, 0.4, 0.6, 0.8)
    tiles = [rescored(tile, score) for tile, score in zip(tiles, scores, strict=True)]
    (segment,) = (prediction := stitch(tiles, layout, TAXONOMY)).panoptic.segments
    areas = [int((ids[w.slices] == 1).sum()) for w in layout.windows]
    assert segment.class_index == DOG
    assert segment.score == pytest.approx(np.average(scores, weights=areas))
    assert np.array_equal(prediction.panoptic.ids, ids)
    (instance,) = prediction.instances
    assert np.array_equal(coco_mask.decode(instance.mask), ids)
    assert instance.score == pytest.approx(np.average(scores, weights=areas))


def rescored(tile: TilePrediction, score: float) -> TilePrediction:
    panoptic = tile.prediction.panoptic
    rows = tuple(Segment(s.id, s.class_index, score=score) for s in panoptic.segments)
    instances = tuple(Instance(i.class_index, score, i.mask) for i in tile.prediction.instances)
    return TilePrediction(
        Prediction(PanopticMap(panoptic.ids, rows), instances, tile.prediction.semantic), tile.evidence
    )


# two tiles of 10 x 10 that share four columns, 6..9

PAIR = lay_tiles((10, 16), (10, 10), (0, 4))


def pair(
    one: dict[Window, int], other: dict[Window, int], evidence: tuple[np.ndarray, np.ndarray] | None = None
) -> list[TilePrediction]:
    """Two tiles from {rectangle of the image: class}; later entries lie on top."""
    tiles = []
    for number, (window, regions) in enumerate(zip(PAIR.windows, (one, other), strict=True)):
        ids = np.zeros(PAIR.size, np.int32)
        for i, region in enumerate(regions, start=1):
            ids[region.slices] = i
        panoptic = panoptic_of(ids[window.slices], dict(enumerate(regions.values(), start=1)))
        values = one_hot(classes_of(panoptic)) if evidence is None else torch.from_numpy(evidence[number])
        tiles.append(TilePrediction(Prediction(panoptic), Given(values)))
    return tiles


def rectangle(top: int, bottom: int, left: int, right: int) -> Window:
    return Window(top, left, bottom, right)


def test_things_of_two_classes_stay_two():
    labels, _ = stitched_labels(pair({rectangle(2, 6, 4, 10): CAT}, {rectangle(2, 6, 6, 13): DOG}), PAIR)
    assert len(set(labels.flat) - {None}) == 2
    # in the middle of the strip the weights change sides
    assert len(set(labels[3, 4:8])) == 1 and len(set(labels[3, 8:13])) == 1 and labels[3, 7] != labels[3, 8]


def test_halves_that_overlap_too_little_stay_two():
    # in the strip: rows 0..3 against rows 2..9, 8 of 40 pixels
    labels, _ = stitched_labels(pair({rectangle(0, 4, 2, 10): CAT}, {rectangle(2, 10, 6, 14): CAT}), PAIR)
    assert len(set(labels.flat) - {None}) == 2
    # rows 0..5 against rows 1..5: 20 of 24
    labels, _ = stitched_labels(pair({rectangle(0, 6, 2, 10): CAT}, {rectangle(1, 6, 6, 14): CAT}), PAIR)
    assert len(set(labels.flat) - {None}) == 1


def test_exactly_half_is_not_enough():
    labels, _ = stitched_labels(pair({rectangle(0, 4, 2, 10): CAT}, {rectangle(0, 2, 6, 14): CAT}), PAIR)
    assert len(set(labels.flat) - {None}) == 2


def test_stuff_where_tiles_disagree_is_that_of_the_larger_mean_evidence():
    everything = rectangle(0, 10, 0, 16)
    sure, unsure = np.zeros((4, 10, 10), np.float32), np.zeros((4, 10, 10), np.float32)
    sure[ROAD], sure[SKY] = 0.99, 0.01
    unsure[ROAD], unsure[SKY] = 0.45, 0.55
    labels, _ = stitched_labels(pair({everything: SKY}, {everything: ROAD}, (unsure, sure)), PAIR)
    weights = np.array([[4, 3, 2, 1], [1, 2, 3, 4]])
    expected = weights[0] * 0.55 + weights[1] * 0.01 > weights[0] * 0.45 + weights[1] * 0.99
    assert [label == ("stuff", SKY) for label in labels[0, 6:10]] == expected.tolist()
    assert all(label == ("stuff", SKY) for label in labels[:, :6].flat)


def test_void_wins_where_its_tiles_weigh_more():
    labels, _ = stitched_labels(pair({rectangle(0, 10, 0, 16): SKY}, {}), PAIR)
    assert all(v == ("stuff", SKY) for v in labels[:, :8].flat) and all(v is None for v in labels[:, 8:].flat)


def test_nothing_anywhere():
    tiles = pair({}, {})
    panoptic = stitch(tiles, PAIR, TAXONOMY).panoptic
    assert panoptic.segments == () and not panoptic.ids.any()


def test_area_limits_count_the_whole_image():
    # a thing of 40 pixels in two parts of 24 and 28, and one of 6 in one tile
    regions = {rectangle(2, 6, 4, 14): CAT, rectangle(8, 10, 1, 4): CAT}
    tiles = pair(regions, regions)
    for limit, left in ((40, 1), (41, 0), (6, 2), (0, 2)):
        panoptic = stitch(tiles, PAIR, TAXONOMY, AreaLimits(thing=limit)).panoptic
        assert len(panoptic.segments) == left
        assert_table_agrees(panoptic)
    stuff = pair({rectangle(0, 10, 0, 16): SKY}, {rectangle(0, 10, 0, 16): SKY})
    assert len(stitch(stuff, PAIR, TAXONOMY, AreaLimits(thing=1000, stuff=160)).panoptic.segments) == 1
    assert len(stitch(stuff, PAIR, TAXONOMY, AreaLimits(stuff=161)).panoptic.segments) == 0


def test_overlapping_instances_keep_to_their_own_kind():
    # in both tiles a good guess and a poor one of the same thing
    full = np.zeros(PAIR.size, np.uint8)
    full[2:8, 3:13] = 1
    poor = full.copy()
    poor[2:4] = 0
    tiles = []
    for window in PAIR.windows:
        instances = tuple(
            Instance(CAT, score, coco_mask.encode(np.asfortranarray(mask[window.slices])))
            for mask, score in ((full, 0.9), (poor, 0.3))
        )
        empty = PanopticMap(np.zeros(window.size, np.int32), ())
        tiles.append(TilePrediction(Prediction(empty, instances), Given(torch.zeros(4, *window.size))))
    best, worst = stitch(tiles, PAIR, TAXONOMY).instances
    assert (best.score, worst.score) == (pytest.approx(0.9), pytest.approx(0.3))
    assert np.array_equal(coco_mask.decode(best.mask), full)
    assert np.array_equal(coco_mask.decode(worst.mask), poor)


def test_classes_of_pixels_are_those_of_the_mean_evidence_even_if_no_tile_says_so():
    evidence = [np.zeros((4, 10, 10), np.float32) for _ in range(2)]
    evidence[0][SKY], evidence[1][ROAD] = 0.5, 0.5
    for values in evidence:
        values[DOG] = 0.45
    tiles = [
        TilePrediction(
            Prediction(tile.prediction.panoptic, semantic=values.argmax(axis=0).astype(np.int32)),
            Given(torch.from_numpy(values)),
        )
        for tile, values in zip(pair({}, {}), evidence, strict=True)
    ]
    semantic = stitch(tiles, PAIR, TAXONOMY).semantic
    assert (semantic[:, :6] == SKY).all() and (semantic[:, 10:] == ROAD).all()
    assert (semantic[:, 7:9] == DOG).all()


def test_tiles_are_let_go_when_no_later_tile_needs_them():
    layout = lay_tiles((60, 40), (10, 10), (2, 2))
    alive, most = set(), 0

    class Counted:
        def __init__(self, number):
            self.number = number
            alive.add(number)

        def __del__(self):
            alive.discard(self.number)

        def __call__(self, window):
            return torch.zeros(4, *window.size)

    def tiles():
        nonlocal most
        for number, window in enumerate(layout.windows):
            empty = PanopticMap(np.zeros(window.size, np.int32), ())
            yield TilePrediction(Prediction(empty), Counted(number))
            most = max(most, len(alive))

    stitch(tiles(), layout, TAXONOMY)
    assert most <= len(layout.columns) + 3


def test_a_tile_of_the_wrong_size_and_missing_tiles_are_refused():
    tiles = pair({}, {})
    with pytest.raises(ValueError, match="1 tiles of 2"):
        stitch(tiles[:1], PAIR, TAXONOMY)
    wrong = TilePrediction(Prediction(PanopticMap(np.zeros((3, 3), np.int32), ())), tiles[0].evidence)
    with pytest.raises(ValueError, match="tile 0"):
        stitch([wrong], PAIR, TAXONOMY)
