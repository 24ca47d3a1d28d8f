import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pq_oracle import oracle_counts
from random_maps import CAT, SKY, TAXONOMY, pairs

from pantile.contracts.panoptic import PanopticMap, Segment
from pantile.metrics.map_pair import compare
from pantile.metrics.pair_counts import match_segments
from pantile.metrics.segment_tally import SIZES, SegmentTally, outcomes_of, size_of, tally_by_size


def add(tally, pred, gt) -> None:
    pair = compare(pred, gt)
    tally.add(outcomes_of(pair, match_segments(pair)))


@settings(max_examples=100, deadline=None)
@given(st.lists(pairs(), max_size=3))
def test_sums_are_the_published_definition_and_sizes_add_up(images):
    whole, by_size = SegmentTally(TAXONOMY), tally_by_size(TAXONOMY)
    wanted = [[0, 0, 0] for _ in TAXONOMY.classes]
    for pred, gt in images:
        add(whole, pred, gt)
        for tally in by_size.values():
            add(tally, pred, gt)
        for sums, counts in zip(wanted, oracle_counts(pred, gt, len(TAXONOMY)), strict=True):
            sums[0], sums[1], sums[2] = sums[0] + counts.tp, sums[1] + counts.fp, sums[2] + counts.fn
    assert [[*sums] for sums in zip(whole.tp, whole.fp, whole.fn, strict=True)] == wanted
    for name in ("tp", "fp", "fn"):
        assert getattr(whole, name) == np.sum([getattr(t, name) for t in by_size.values()], axis=0).tolist()
    result = whole.result()
    assert math.isnan(result.all.pq) if result.all.n == 0 else 0 <= result.all.pq <= 1


@pytest.mark.parametrize(
    ("area", "size"), [(1, "small"), (1023, "small"), (1024, "medium"), (9215, "medium"), (9216, "large")]
)
def test_borders_of_the_sizes(area, size):
    assert size_of(area) == size


def test_a_match_goes_by_the_size_of_the_truth_and_a_spurious_segment_by_its_own():
    truth = np.full((100, 120), 2)
    truth[:31, :33] = 1  # 1023 pixels
    predicted = np.full((100, 120), 2)
    predicted[:32, :33] = 1  # 1056 pixels: medium by itself
    predicted[50:52, :10] = 3
    gt = PanopticMap(truth, (Segment(1, CAT), Segment(2, SKY)))
    pred = PanopticMap(predicted, (Segment(1, CAT), Segment(2, SKY), Segment(3, CAT)))
    by_size = tally_by_size(TAXONOMY)
    for tally in by_size.values():
        add(tally, pred, gt)
    found = {size: (by_size[size].tp[CAT], by_size[size].fp[CAT], by_size[size].tp[SKY]) for size in SIZES}
    assert found == {"small": (1, 1, 0), "medium": (0, 0, 0), "large": (0, 0, 1)}
    assert by_size["small"].result().per_class["cat"].pq == pytest.approx((1023 / 1056) / 1.5)
