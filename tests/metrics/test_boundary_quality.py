"""Boundary PQ against the authors' procedure, written as loops over masks."""

import math

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from random_maps import CAT, SKY, pairs, panoptic
from scipy import ndimage

from pantile.contracts.panoptic import PanopticMap, Segment
from pantile.metrics.boundary_quality import boundary_counts, interior
from pantile.metrics.map_pair import compare
from pantile.metrics.pair_counts import match_segments


def ring(mask: np.ndarray, distance: int) -> np.ndarray:
    """What ``distance`` erosions by a 3 x 3 square take away; outside of the image is background."""
    return mask & ~ndimage.binary_erosion(mask, np.ones((3, 3)), iterations=distance, border_value=0)


def oracle_matches(pred: PanopticMap, gt: PanopticMap, ratio: float) -> dict[tuple[int, int], float]:
    """min(mask IoU, Boundary IoU) of each match."""
    distance = max(1, round(ratio * math.hypot(*gt.size)))
    not_void = gt.ids != 0
    found = {}
    for g in gt.segments:
        for p in pred.segments:
            if g.is_crowd or g.class_index != p.class_index:
                continue
            ious = []
            for shape in (lambda mask: mask, lambda mask: ring(mask, distance)):
                of_gt, of_pred = shape(gt.ids == g.id), shape(pred.ids == p.id)
                ious.append((of_gt & of_pred).sum() / (of_gt | (of_pred & not_void)).sum())
            if min(ious) > 0.5:
                found[g.id, p.id] = float(min(ious))
    return found


@settings(max_examples=150, deadline=None)
@given(pairs(), st.sampled_from([0.02, 0.15, 0.3]))
def test_equals_loops_over_masks(images, ratio):
    pred, gt = images
    counts = boundary_counts(compare(pred, gt), ratio)
    assert {(m.gt.id, m.pred.id): m.iou for m in counts.matches} == oracle_matches(pred, gt, ratio)
    lost = {m.gt.id for m in match_segments(compare(pred, gt)).matches} - {m.gt.id for m in counts.matches}
    assert lost <= {s.id for s in counts.missed}


def test_larger_maps_where_insides_are_large():
    random = np.random.default_rng(5)
    for _ in range(4):
        size = (60, 80)
        ids = np.kron(random.integers(0, 4, (3, 4)), np.ones((20, 20), int))
        moved = np.roll(ids, random.integers(0, 3, 2), (0, 1))
        maps = [PanopticMap(i, tuple(Segment(int(v), int(v) % 2) for v in np.unique(i) if v)) for i in (moved, ids)]
        assert maps[0].size == size
        matches = boundary_counts(compare(*maps)).matches
        assert {(m.gt.id, m.pred.id): m.iou for m in matches} == oracle_matches(*maps, 0.02)


@settings(max_examples=100, deadline=None)
@given(st.integers(1, 40), st.integers(1, 90), st.integers(1, 200), st.integers(0, 2**32 - 1))
def test_the_inside_is_what_erosion_leaves(distance, height, width, seed):
    side = 5 * distance
    ids = np.random.default_rng(seed).integers(0, 2, (-(-height // side), -(-width // side)))
    ids = np.kron(ids, np.ones((side, side), int))[:height, :width]
    wanted = np.zeros(ids.shape, bool)
    for value in (0, 1):
        wanted |= (ids == value) & ~ring(ids == value, distance)
    bits = np.unpackbits(interior(ids, distance).view(np.uint8), axis=1, bitorder="little").astype(bool)
    assert (bits[:, :width] == wanted).all() and not bits[:, width:].any()


def test_a_shift_costs_the_boundary_more_than_the_mask():
    ids = np.ones((100, 100), int)
    ids[20:80, 20:80] = 2
    gt = PanopticMap(ids, (Segment(1, SKY), Segment(2, CAT)))
    pred = PanopticMap(np.roll(ids, 2, 1), gt.segments)
    mask, boundary = (
        {m.gt.id: m.iou for m in counts(compare(pred, gt)).matches} for counts in (match_segments, boundary_counts)
    )
    assert mask[2] == 58 / 62
    assert 0.3 < boundary.get(2, 0.4) < mask[2]


def test_empty_maps():
    nothing = panoptic(np.zeros((0, 4)))
    assert boundary_counts(compare(nothing, nothing)).matches == ()
    void = panoptic(np.zeros((5, 5)))
    assert boundary_counts(compare(void, void)).missed == ()
