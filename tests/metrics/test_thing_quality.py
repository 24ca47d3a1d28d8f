"""ThingQuality and WorstConfused: the score room's numbers, loops over sets of pixels, and several processes."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pq_oracle import pixels_by_id
from random_maps import CAT, DOG, SKY, TAXONOMY, pairs, panoptic

from gloo_processes import in_processes
from pantile.contracts.errors import UserError
from pantile.contracts.panoptic import PanopticMap, Segment
from pantile.metrics import PanopticQuality, ThingQuality, WorstConfused, compare_maps
from pantile.metrics.thing_confusion import THRESHOLDS, confused_segments
from pantile.metrics.thing_quality import ThingQualityResult
from pantile.score.evidence import evidence_of
from pantile.score.result import Totals

THINGS = (CAT, DOG)


def measured(images: list[tuple[PanopticMap, PanopticMap]]) -> ThingQualityResult:
    metric = ThingQuality(TAXONOMY)
    for pred, gt in images:
        metric.update(pred, gt)
    return metric.compute()


@settings(max_examples=60, deadline=None)
@given(st.lists(pairs(), min_size=1, max_size=4))
def test_it_says_what_the_score_of_the_same_files_says(images):
    totals = Totals(TAXONOMY)
    for number, (pred, gt) in enumerate(images):
        totals.add(str(number), evidence_of(pred, gt, TAXONOMY))
    score = totals.score(missing=0, unknown=0)
    found = measured(images)
    assert (found.pixels, found.confusion) == (score.things, score.confusion)
    from_files = score.to_dict()
    assert found.to_dict() == {group: from_files[group] for group in ("thing_pixels", "thing_confusion")}


@settings(max_examples=150, deadline=None)
@given(pairs())
def test_confused_segments_equal_a_loop_over_sets(images):
    pred, gt = images
    gt_pixels, pred_pixels = pixels_by_id(gt), pixels_by_id(pred)
    objects = [s for s in gt.segments if s.class_index in THINGS and not s.is_crowd]
    wanted = {}
    for segment in pred.segments:
        if segment.class_index in THINGS:
            own = pred_pixels[segment.id]
            shares = {o.id: len(own & gt_pixels[o.id]) / len(gt_pixels[o.id]) for o in objects}
            shares = {i: share for i, share in shares.items() if share}
            if len(shares) > 1 and sorted(shares.values())[-2] * 100 > THRESHOLDS[0]:
                wanted[segment.id] = shares
    (comparison,) = compare_maps(pred, gt)
    found = confused_segments(comparison.pair, TAXONOMY)
    assert {s.id: dict(s.things) for s in found} == wanted
    for segment in found:
        assert [share for _, share in segment.things] == sorted(wanted[segment.id].values(), reverse=True)
        assert segment.share == sorted(wanted[segment.id].values())[-2]
        assert segment.pixels == len(pred_pixels[segment.id] & gt_pixels[segment.things[1][0]])
    assert [s.share for s in found] == sorted((s.share for s in found), reverse=True)


@settings(max_examples=60, deadline=None)
@given(st.lists(pairs(), min_size=1, max_size=4), st.integers(1, 3))
def test_the_worst_are_the_first_of_all_sorted(images, keep):
    every = []
    metric = WorstConfused(TAXONOMY, keep=keep)
    for index, (pred, gt) in enumerate(images):
        every += [(s.share, s.pixels, index) for s in confused_segments(compare_maps(pred, gt)[0].pair, TAXONOMY)]
        metric.update([pred], [gt], [index])
    every.sort(key=lambda row: (-row[0], -row[1], row[2]))
    assert metric.compute() == [(index, share) for share, _, index in every[:keep]]


def test_comparisons_made_already_are_not_made_again(monkeypatch):
    gt = panoptic([[1, 1, 2, 2, 3, 0]], (1, CAT), (2, CAT), (3, SKY))
    pred = panoptic([[7, 7, 7, 7, 3, 3]], (7, CAT), (3, SKY))
    metrics = ThingQuality(TAXONOMY), PanopticQuality(TAXONOMY)
    for metric in metrics:
        metric.update(pred, gt)
    alone = [metric.compute() for metric in metrics]
    comparisons = compare_maps(pred, gt)
    for module in ("thing_quality", "panoptic_quality", "worst_confused"):
        monkeypatch.setattr(f"pantile.metrics.{module}.compare_maps", None)
    worst = WorstConfused(TAXONOMY)
    worst.update([pred], [gt], [5], comparisons)
    assert worst.compute() == [(5, 1.0)]
    for metric, expected in zip(metrics, alone, strict=True):
        metric.reset()
        metric.update(pred, gt, comparisons)
        assert metric.compute() == expected


def test_without_things_and_without_images_there_is_nothing_to_divide_by():
    sky = panoptic([[1, 1]], (1, SKY))
    for result in (measured([(sky, sky)]), measured([])):
        assert math.isnan(result.accuracy) and math.isnan(result.precision)
        assert all(math.isnan(share) for share in result.curve)
        assert result.to_dict()["thing_pixels"] == {"accuracy": None, "precision": None, "tp": 0, "fp": 0, "truth": 0}
        assert result.to_dict()["thing_confusion"]["share_at_percent"] == dict.fromkeys(map(str, THRESHOLDS))


def test_numbers_of_images_must_agree():
    sky = panoptic([[1, 1]], (1, SKY))
    with pytest.raises(UserError, match="1 predictions for 2 images"):
        ThingQuality(TAXONOMY).update([sky], [sky, sky])


def scenes() -> list[tuple[PanopticMap, PanopticMap]]:
    """Three pairs, of which processes get two and one."""
    random = np.random.default_rng(0)
    made = []
    for _ in range(3):
        ids = np.repeat(random.integers(0, 4, (6, 3)), 8, axis=1).astype(np.int32)
        shifted = np.roll(np.where(ids == 3, 2, ids), 3, axis=1)
        made.append(
            tuple(PanopticMap(m, tuple(Segment(int(i), CAT) for i in np.unique(m) if i)) for m in (shifted, ids))
        )
    return made


def _share(rank: int) -> tuple[dict, list]:
    quality, worst = ThingQuality(TAXONOMY), WorstConfused(TAXONOMY, keep=4)
    own = ([0, 2], [1])[rank]
    pred, gt = ([scenes()[index][side] for index in own] for side in (0, 1))
    quality.update(pred, gt)
    worst.update(pred, gt, own)
    return quality.compute().to_dict(), worst.compute()


def test_two_processes_give_the_result_of_one():
    worst = WorstConfused(TAXONOMY, keep=4)
    pred, gt = ([pair[side] for pair in scenes()] for side in (0, 1))
    worst.update(pred, gt, range(3))
    expected = measured(scenes()).to_dict(), worst.compute()
    assert expected[0]["thing_pixels"]["tp"] > 0 and len({index for index, _ in expected[1]}) > 1
    assert in_processes(_share) == [expected, expected]
