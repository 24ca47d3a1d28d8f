"""Mistakes by kind, against maps repaired by hand, whose PQ is counted as any other's."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from random_maps import CAT, DOG, SKY, TAXONOMY, pairs, panoptic

from pantile.contracts.panoptic import PanopticMap, Segment
from pantile.metrics.comparison import compare_maps
from pantile.metrics.error_tally import ErrorTally
from pantile.metrics.panoptic_errors import PanopticErrors
from pantile.metrics.segment_errors import KINDS, errors_of
from pantile.metrics.segment_tally import SegmentTally, outcomes_of

CATS_AND_SKY = ((1, CAT), (2, CAT), (9, SKY))


def tally_of(images) -> ErrorTally:
    tally = ErrorTally(TAXONOMY)
    for pred, gt in images:
        ((pair, counts),) = compare_maps(pred, gt)
        tally.add(counts, errors_of(pair, counts))
    return tally


def quality(pred: PanopticMap, gt: PanopticMap):
    ((pair, counts),) = compare_maps(pred, gt)
    tally = SegmentTally(TAXONOMY)
    tally.add(outcomes_of(pair, counts))
    return tally.result()


def row(text: str) -> list[list[int]]:
    return [[int(letter) for letter in text]]


# kind: truth, prediction, the prediction when that kind is repaired; FN, FP and raised matches of the kind
CASES = {
    "missed": (
        panoptic(row("1111222299"), *CATS_AND_SKY),
        panoptic(row("1111000099"), (1, CAT), (9, SKY)),
        panoptic(row("1111222299"), *CATS_AND_SKY),
        (1, 0, 0),
    ),
    "hallucinated": (
        panoptic(row("1111999999"), (1, CAT), (9, SKY)),
        panoptic(row("1111999933"), (1, CAT), (9, SKY), (3, DOG)),
        panoptic(row("1111999900"), (1, CAT), (9, SKY)),
        (0, 1, 0),
    ),
    "wrong_class": (
        panoptic(row("1111222299"), *CATS_AND_SKY),
        panoptic(row("1111222999"), (1, CAT), (2, DOG), (9, SKY)),
        panoptic(row("1111222999"), (1, CAT), (2, CAT), (9, SKY)),
        (1, 1, 0),
    ),
    "merged": (
        panoptic(row("9111122229"), *CATS_AND_SKY),
        panoptic(row("1111111111"), (1, CAT)),
        panoptic(row("1111122222"), (1, CAT), (2, CAT)),
        (2, 1, 0),
    ),
    "merged, beside a match": (
        panoptic(row("1111112299"), *CATS_AND_SKY),
        panoptic(row("1111111199"), (1, CAT), (9, SKY)),
        panoptic(row("1111112299"), *CATS_AND_SKY),
        (1, 0, 1),
    ),
    "split": (
        panoptic(row("1111111999"), (1, CAT), (9, SKY)),
        panoptic(row("1112233399"), (1, CAT), (2, CAT), (3, CAT), (9, SKY)),
        panoptic(row("1111111199"), (1, CAT), (9, SKY)),
        (1, 3, 0),
    ),
    "split, beside a match": (
        panoptic(row("1111111999"), (1, CAT), (9, SKY)),
        panoptic(row("1111122999"), (1, CAT), (2, CAT), (9, SKY)),
        panoptic(row("1111111999"), (1, CAT), (9, SKY)),
        (0, 1, 1),
    ),
    "bad_border": (
        panoptic(row("1111199999"), (1, CAT), (9, SKY)),
        panoptic(row("0011111999"), (1, CAT), (9, SKY)),
        panoptic(row("1111100999"), (1, CAT), (9, SKY)),
        (1, 1, 0),
    ),
    "loose_border": (
        panoptic(row("1111199999"), (1, CAT), (9, SKY)),
        panoptic(row("0111199999"), (1, CAT), (9, SKY)),
        panoptic(row("1111199999"), (1, CAT), (9, SKY)),
        (0, 0, 1),
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_a_kind_costs_what_repairing_the_map_gains(case):
    gt, pred, repaired, wanted = CASES[case]
    kind = case.partition(",")[0]
    result = tally_of([(pred, gt)]).result()
    counted = result.kinds[kind]
    assert (counted.fn, counted.fp, counted.raised) == wanted
    before, after = quality(pred, gt), quality(repaired, gt)
    for group, lost in (("all", counted.lost_pq), ("things", counted.lost_pq_things), ("stuff", counted.lost_pq_stuff)):
        assert lost == pytest.approx(getattr(after, group).pq - getattr(before, group).pq)
    assert counted.lost_pq > 0
    for name, kinds in result.per_class.items():
        gain = after.per_class[name].pq - before.per_class[name].pq
        assert kind not in kinds or kinds[kind].lost_pq == pytest.approx(gain, nan_ok=True)


def kinds_of(pred: PanopticMap, gt: PanopticMap) -> dict[str, tuple[int, int]]:
    """(FN, FP) of the kinds that have some."""
    rows = tally_of([(pred, gt)]).result().kinds.items()
    return {kind: (counted.fn, counted.fp) for kind, counted in rows if counted.fn or counted.fp}


def test_what_looks_like_a_kind_and_is_another():
    cats = panoptic(row("1111122222"), (1, CAT), (2, CAT))
    # a dog over two cats: neither has an IoU above 0.5 with it, and merging is of one class
    assert kinds_of(panoptic(row("3333333333"), (3, DOG)), cats) == {"missed": (2, 0), "hallucinated": (0, 1)}
    # two crumbs of a cat that joined would still not match: the larger means the cat, the other is below 0.1
    crumbs = panoptic([*row("1111000000"), *row("0000000020")], (1, CAT), (2, CAT))
    cat = panoptic([*row("1111111111"), *row("1111111111")], (1, CAT))
    assert kinds_of(crumbs, cat) == {"bad_border": (1, 1), "hallucinated": (0, 1)}
    # two predictions that mean one truth are both of a bad border, and one prediction means one truth only
    two = panoptic([*row("1110000000"), *row("0002220000")], (1, CAT), (2, CAT))
    assert kinds_of(two, cat) == {"bad_border": (1, 2)}
    skies = panoptic([*row("1118888222"), *row("8889999999")], *CATS_AND_SKY, (8, SKY))
    assert kinds_of(panoptic(np.ones((2, 10), int), (1, CAT)), skies) == {"bad_border": (1, 1), "missed": (3, 0)}


def test_void_and_crowd_explain_nothing():
    void = panoptic(row("0000001111"), (1, CAT))
    half = panoptic(row("3333333333"), (3, DOG))  # six of its ten pixels lie on void: ignored
    assert kinds_of(half, void) == {"wrong_class": (1, 0)}
    crowd = panoptic(row("1111111122"), Segment(1, CAT, is_crowd=True), (2, CAT))
    assert kinds_of(panoptic(row("3333333300"), (3, DOG)), crowd) == {"missed": (1, 0), "hallucinated": (0, 1)}
    assert kinds_of(panoptic(row("3333333333"), (3, CAT)), crowd) == {"missed": (1, 0)}


@settings(max_examples=60, deadline=None)
@given(st.lists(pairs(), min_size=1, max_size=3))
def test_kinds_divide_the_mistakes_and_cost_no_less_than_nothing(images):
    tally, segments = tally_of(images), SegmentTally(TAXONOMY)
    for pred, gt in images:
        ((pair, counts),) = compare_maps(pred, gt)
        segments.add(outcomes_of(pair, counts))
    result, whole = tally.result(), segments.result()
    for name, counted in whole.per_class.items():
        kinds = result.per_class.get(name, {}).values()
        assert sum(kind.fn for kind in kinds) == counted.fn and sum(kind.fp for kind in kinds) == counted.fp
        for kind in kinds:
            assert math.isnan(kind.lost_pq) or -1e-12 <= kind.lost_pq <= 1 - counted.pq + 1e-12
    assert sum(kind.fn for kind in result.kinds.values()) == sum(counted.fn for counted in whole.per_class.values())
    for kind in result.kinds.values():
        assert math.isnan(kind.lost_pq) or -1e-12 <= kind.lost_pq <= 1 - whole.all.pq + 1e-12
    if whole.all.pq == 1:
        assert not result.per_class

    halves = [tally_of(images[::2]), tally_of(images[1::2])]
    halves[1].join(halves[0])
    assert (halves[1].sums == tally.sums).all()


def test_the_metric_adds_up_what_the_tally_does():
    images = [(pred, gt) for gt, pred, *_ in CASES.values()]
    metric = PanopticErrors(TAXONOMY)
    for pred, gt in images:
        metric.update(pred, gt)
    assert metric.compute() == tally_of(images).result()


def test_nothing_seen_is_nothing_lost():
    result = ErrorTally(TAXONOMY).result()
    assert set(result.kinds) == set(KINDS) and math.isnan(result.kinds["missed"].lost_pq)
    assert result.to_dict()["panoptic_errors"]["kinds"]["split"]["lost_pq"] is None
