"""Several crowd regions of a class, and ids that are not one map: no count depends on what a person cannot see."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pq_oracle import oracle_counts
from random_maps import CAT, SKY, TAXONOMY, pairs, panoptic

from pantile.contracts.errors import UserError
from pantile.contracts.panoptic import PanopticMap, Segment
from pantile.metrics import (
    MaskAveragePrecision,
    PanopticQuality,
    SemanticQuality,
    ThingQuality,
    WorstConfused,
    compare_maps,
    count_pair,
    image_quality,
)


class TestSeveralCrowdRegionsOfAClass:
    """Undefined in the paper. The reference keeps one region for each class, the last of its table."""

    crowds = (Segment(1, CAT, is_crowd=True), Segment(2, CAT, is_crowd=True))
    truth = [[1, 1, 1, 2, 2, 2, 3, 3]]
    pred = panoptic([[5, 5, 5, 6, 6, 7, 7, 7]], (5, CAT), (6, CAT), (7, CAT))

    @pytest.mark.parametrize("turned", [False, True])
    def test_all_of_them_excuse_in_any_order(self, turned):
        rows = (*self.crowds[:: -1 if turned else 1], Segment(3, SKY))
        counts = count_pair(self.pred, panoptic(self.truth, *rows))
        assert ([s.id for s in counts.ignored], [s.id for s in counts.spurious]) == ([5, 6], [7])

    def test_what_lies_on_several_counts_together(self):
        gt = panoptic([[1, 2, 0, 3, 3]], *self.crowds, Segment(3, SKY))
        pred = panoptic([[5, 5, 5, 5, 5]], (5, CAT))
        assert [s.id for s in count_pair(pred, gt).ignored] == [5]
        assert [s.id for s in count_pair(pred, gt, crowd="reference").spurious] == [5]

    @pytest.mark.parametrize(("turned", "ignored"), [(False, [6]), (True, [5])])
    def test_the_rule_of_the_reference_goes_by_the_last_row(self, turned, ignored):
        gt = panoptic(self.truth, *self.crowds[:: -1 if turned else 1], Segment(3, SKY))
        assert [s.id for s in count_pair(self.pred, gt, crowd="reference").ignored] == ignored
        metric = PanopticQuality(TAXONOMY, crowd="reference")
        metric.update(self.pred, gt)
        assert metric.fp[CAT] == 2
        shared = PanopticQuality(TAXONOMY, crowd="reference")  # what other metrics compared is counted by the own rule
        shared.update([self.pred], [gt], compare_maps(self.pred, gt))
        assert torch.equal(shared.fp, metric.fp)

    def test_another_rule_is_refused(self):
        with pytest.raises(UserError, match="'first': choose all or reference"):
            PanopticQuality(TAXONOMY, crowd="first")


@given(pairs(), st.randoms())
@settings(max_examples=60, deadline=None)
def test_the_order_of_rows_does_not_matter(pair, random):
    """With any number of crowd regions of a class, and as the definition has it."""
    pred, gt = pair
    rows = [replace(s, is_crowd=random.random() < 0.5) for s in gt.segments]
    truths = []
    for _ in range(2):
        random.shuffle(rows)
        truths.append(PanopticMap(gt.ids, tuple(rows)))
    metrics = [PanopticQuality(TAXONOMY) for _ in truths]
    for metric, truth in zip(metrics, truths, strict=True):
        metric.update(pred, truth)
    for name in ("tp", "fp", "fn", "iou_high", "iou_low"):
        assert torch.equal(getattr(metrics[0], name), getattr(metrics[1], name))
    assert metrics[0].fp.tolist() == [c.fp for c in oracle_counts(pred, truths[0], len(TAXONOMY))]


@pytest.mark.parametrize("which", ["prediction", "ground truth"])
@pytest.mark.parametrize("shape", [(2, 4, 4), (1, 4, 4), (4,), (2, 1, 4, 4)])
def test_ids_that_are_not_one_map_are_refused_by_every_metric(which, shape):
    """A stacked batch would be counted as one image."""
    stack = PanopticMap(torch.ones(shape, dtype=torch.int64), (Segment(1, CAT),))
    plain = panoptic(np.ones((4, 4)), (1, CAT))
    pair = (stack, plain) if which == "prediction" else (plain, stack)
    told = rf"{which} has ids of shape \({', '.join(map(str, shape))},?\), which is not one \(H, W\) map"
    for use in (
        lambda: PanopticQuality(TAXONOMY).update(*pair),
        lambda: PanopticQuality(TAXONOMY).update([pair[0]], [pair[1]]),
        lambda: ThingQuality(TAXONOMY).update(*pair),
        lambda: WorstConfused(TAXONOMY).update([pair[0]], [pair[1]], [0]),
        lambda: image_quality(*pair),
    ):
        with pytest.raises(UserError, match=told):
            use()
    if which == "ground truth":
        for metric in (MaskAveragePrecision(TAXONOMY), SemanticQuality(TAXONOMY)):
            with pytest.raises(UserError, match=told):
                metric.update([[]] if metric.__class__ is MaskAveragePrecision else [np.zeros((4, 4), int)], [stack])


def test_what_is_no_map_is_refused():
    for maps in (torch.ones(2, 4, 4, dtype=torch.int64), [np.ones((4, 4), int)]):
        with pytest.raises(UserError, match="give a PanopticMap"):
            PanopticQuality(TAXONOMY).update(maps, [panoptic(np.ones((4, 4)), (1, CAT))] * len(maps))
