"""Pixel accuracy and precision, the confusion curve and confused classes: loops over pixels, and worked cases."""

import math
from collections import Counter

import pytest
from hypothesis import given, settings
from pq_oracle import pixels_by_id
from random_maps import CAT, DOG, ROAD, SKY, TAXONOMY, pairs, panoptic

from pantile.contracts.panoptic import Segment
from pantile.metrics.class_confusion import NOTHING, class_pixels, swallowed_classes
from pantile.metrics.map_pair import compare
from pantile.metrics.pair_counts import match_segments
from pantile.metrics.thing_confusion import THRESHOLDS, ThingConfusion, thing_confusion
from pantile.metrics.thing_pixels import ThingPixels, thing_pixels


def pixels_of(pred, gt) -> ThingPixels:
    pair = compare(pred, gt)
    return thing_pixels(pair, match_segments(pair), TAXONOMY)


def confusion_of(pred, gt) -> ThingConfusion:
    return thing_confusion(compare(pred, gt), TAXONOMY)


@settings(max_examples=200, deadline=None)
@given(pairs())
def test_pixel_counts_equal_a_loop_over_pixels(images):
    pred, gt = images
    gt_rows, pred_rows = ({s.id: s for s in m.segments} for m in (gt, pred))
    matched = {m.pred.id: m.gt.id for m in match_segments(compare(pred, gt)).matches}
    tp = fp = truth = 0
    classes: Counter = Counter()
    for row_g, row_p in zip(gt.ids.tolist(), pred.ids.tolist(), strict=True):
        for g, p in zip(row_g, row_p, strict=True):
            true, predicted = gt_rows.get(g), pred_rows.get(p)
            if true:
                classes[true.class_index, predicted.class_index if predicted else NOTHING] += 1
                truth += true.class_index in (CAT, DOG) and not true.is_crowd
            if predicted and predicted.class_index in (CAT, DOG) and true:
                if matched.get(p) == g:
                    tp += 1
                elif not (true.is_crowd and true.class_index == predicted.class_index):
                    fp += 1
    assert pixels_of(pred, gt) == ThingPixels(tp, fp, truth)
    assert class_pixels(compare(pred, gt)) == classes


@settings(max_examples=200, deadline=None)
@given(pairs())
def test_confused_segments_equal_a_loop_over_sets(images):
    pred, gt = images
    gt_pixels, pred_pixels = pixels_by_id(gt), pixels_by_id(pred)
    things = [s for s in pred.segments if s.class_index in (CAT, DOG)]
    objects = [s for s in gt.segments if s.class_index in (CAT, DOG) and not s.is_crowd]
    for threshold, found in zip(THRESHOLDS, confusion_of(pred, gt).confused, strict=True):
        wanted = 0
        for segment in things:
            over = [
                len(pred_pixels[segment.id] & gt_pixels[o.id]) * 100 > threshold * len(gt_pixels[o.id]) for o in objects
            ]
            wanted += sum(over) >= 2
        assert found == wanted
    assert confusion_of(pred, gt).segments == len(things)


def test_worked_example_of_accuracy_and_precision():
    gt = panoptic([[1] * 10 + [2] * 10 + [3] * 10 + [0] * 5], (1, CAT), (2, DOG), (3, SKY))
    pred = panoptic([[1] * 8 + [0] * 2 + [5] * 10 + [1] + [3] * 9 + [5] * 5], (1, CAT), (5, CAT), (3, SKY))
    found = pixels_of(pred, gt)
    assert found == ThingPixels(tp=8, fp=11, truth=20)  # 1 pixel of the match outside, 10 of the wrong class
    assert (found.accuracy, found.precision) == (8 / 20, 8 / 19)


def test_things_on_crowd_of_their_class_are_no_mistake_and_of_another_class_they_are():
    gt = panoptic([[1, 1, 1, 1, 3]], Segment(1, CAT, is_crowd=True), Segment(3, SKY))
    assert pixels_of(panoptic([[1, 1, 2, 2, 3]], (1, CAT), (2, DOG), (3, SKY)), gt) == ThingPixels(0, 2, 0)


def test_nothing_to_divide_by():
    sky = panoptic([[1, 1]], (1, SKY))
    assert math.isnan(pixels_of(sky, sky).accuracy) and math.isnan(pixels_of(sky, sky).precision)
    assert all(math.isnan(share) for share in confusion_of(sky, sky).curve)


def test_sums_over_images_divide_once():
    added = ThingPixels(9, 1, 10).plus(ThingPixels(0, 0, 90))
    assert (added.accuracy, added.precision) == (9 / 100, 9 / 10)
    curves = ThingConfusion((1,) * 10, 1).plus(ThingConfusion((0,) * 10, 3))
    assert curves.curve == (0.25,) * 10


@pytest.mark.parametrize(("covered", "confused_up_to"), [(5, 20), (10, 45), (11, 50), (1, 0)])
def test_a_threshold_must_be_exceeded(covered, confused_up_to):
    """The segment holds all of one cat and ``covered`` of 20 pixels of a dog: 25 % is not more than 25 %."""
    gt = panoptic([[1] * 20 + [2] * 20], (1, CAT), (2, DOG))
    pred = panoptic([[7] * (20 + covered) + [8] * (20 - covered)], (7, CAT), (8, SKY))
    found = confusion_of(pred, gt)
    assert found.segments == 1
    assert found.confused == tuple(int(t <= confused_up_to) for t in THRESHOLDS)


def test_a_crowd_confuses_nothing():
    gt = panoptic([[1, 1, 2, 2]], Segment(1, CAT, is_crowd=True), Segment(2, CAT))
    assert confusion_of(panoptic([[7, 7, 7, 7]], (7, CAT)), gt).confused == (0,) * 10


def test_swallowed_classes_are_sorted_by_pixels():
    gt = panoptic([[1] * 6 + [2] * 4 + [3] * 2], (1, CAT), (2, SKY), (3, ROAD))
    pred = panoptic([[4] * 4 + [5] * 3 + [0] * 3 + [5] * 2], (4, CAT), (5, ROAD))
    rows = swallowed_classes(class_pixels(compare(pred, gt)), TAXONOMY)
    assert [tuple(row) for row in rows] == [
        ("sky", None, 3, 3 / 4),
        ("cat", "road", 2, 2 / 6),
        ("sky", "road", 1, 1 / 4),
    ]
