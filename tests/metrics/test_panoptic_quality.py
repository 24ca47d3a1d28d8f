import json
import math
import time

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pq_oracle import oracle_counts
from random_maps import CAT, DOG, ROAD, SKY, TAXONOMY, pairs, panoptic

from pantile.contracts.errors import UserError
from pantile.contracts.panoptic import MAX_ID, PanopticMap, Segment
from pantile.contracts.taxonomy import Taxonomy
from pantile.metrics import PanopticQuality, count_pair, image_quality
from pantile.metrics.map_pair import compare
from pantile.metrics.pair_counts import rules_differ


def measured(pred, gt, taxonomy=TAXONOMY) -> PanopticQuality:
    metric = PanopticQuality(taxonomy)
    metric.update(pred, gt)
    return metric


@settings(max_examples=300, deadline=None)
@given(pairs())
def test_equals_the_published_definition(pair):
    pred, gt = pair
    metric = measured(pred, gt)
    wanted = oracle_counts(pred, gt, len(TAXONOMY))
    assert metric.tp.tolist() == [c.tp for c in wanted]
    assert metric.fp.tolist() == [c.fp for c in wanted]
    assert metric.fn.tolist() == [c.fn for c in wanted]
    assert metric.iou == [math.fsum(c.ious) for c in wanted]
    result = metric.compute()
    for quality in (result.all, result.things, result.stuff):
        assert math.isnan(quality.pq) if quality.n == 0 else 0 <= quality.pq <= 1
    np.testing.assert_equal(image_quality(pred, gt), result.all.pq)


@pytest.mark.filterwarnings("ignore:The ``compute`` method:UserWarning")
@settings(max_examples=50, deadline=None)
@given(st.lists(pairs(), min_size=1, max_size=4), st.integers(0, 4))
def test_states_of_two_parts_add_up(images, cut):
    whole, first, second = (PanopticQuality(TAXONOMY) for _ in range(3))
    whole.update([p for p, _ in images], [g for _, g in images])
    for number, (pred, gt) in enumerate(images):
        (first if number < cut else second).update(pred, gt)
    for name in ("tp", "fp", "fn"):
        assert torch.equal(getattr(whole, name), getattr(first, name) + getattr(second, name))
    first.merge_state(second)
    assert torch.equal(whole.tp, first.tp) and whole.iou == first.iou
    np.testing.assert_equal(first.compute().all.pq, whole.compute().all.pq)


@pytest.fixture(scope="module")
def recorded(real_data):
    folder = real_data / "pq_cases"
    cases = json.loads((folder / "cases.json").read_text())
    arrays = np.load(folder / "maps.npz")
    taxonomy = Taxonomy.from_coco(cases["categories"])
    index = taxonomy.index_of_id
    images = []
    for gt_ids, pred_ids, case in zip(arrays["gt"], arrays["pred"], cases["cases"], strict=True):
        gt = PanopticMap(gt_ids, tuple(Segment(i, index[c], bool(crowd)) for i, c, crowd in case["gt"]))
        pred = PanopticMap(pred_ids, tuple(Segment(i, index[c]) for i, c in case["pred"]))
        stat = [case["stat"].get(str(c.id), ["0x0.0p+0", 0, 0, 0]) for c in taxonomy.classes]
        images.append((pred, gt, stat))
    return taxonomy, images


def same(metric: PanopticQuality, stat: list) -> bool:
    """Whether the counts of one image are those of the record, and its sums as near as the record's roundings allow."""
    counts = zip(metric.tp.tolist(), metric.fp.tolist(), metric.fn.tolist(), strict=True)
    if [list(row) for row in counts] != [row[1:] for row in stat]:
        return False
    sums = [float.fromhex(row[0]) for row in stat]
    both = zip(metric.iou, sums, metric.tp.tolist(), strict=True)
    return all(abs(iou - wanted) <= max(0, tp - 2) * math.ulp(wanted) for iou, wanted, tp in both)


def test_equals_what_panopticapi_counted_and_up_to_two_ious_to_the_last_bit(recorded):
    taxonomy, images = recorded
    assert len(images) == 200
    for pred, gt, stat in images:
        metric = PanopticQuality(taxonomy, crowd="reference")
        metric.update(pred, gt)
        assert same(metric, stat)


def test_by_default_only_images_with_several_crowd_regions_of_a_class_differ(recorded):
    taxonomy, images = recorded
    differing = []
    for number, (pred, gt, stat) in enumerate(images):
        metric = measured(pred, gt, taxonomy)
        if not same(metric, stat):
            crowd = [s.class_index for s in gt.segments if s.is_crowd]
            assert len(set(crowd)) < len(crowd)
            differing.append(number)
        assert rules_differ(compare(pred, gt)) == (number in differing)
    assert len(differing) == 2


def test_the_sum_of_ious_is_exact_and_depends_on_no_order(recorded):
    """The reference adds each IoU to one running sum, whose last digits depend on the order."""
    taxonomy, images = recorded
    ious: list[list[float]] = [[] for _ in taxonomy.classes]
    forwards, backwards = PanopticQuality(taxonomy), PanopticQuality(taxonomy)
    for pred, gt, _ in images:
        forwards.update(pred, gt)
        for match in count_pair(pred, gt).matches:
            ious[match.gt.class_index].append(match.iou)
    backwards.update([pred for pred, *_ in images[::-1]], [gt for _, gt, _ in images[::-1]])
    assert forwards.iou == backwards.iou == [math.fsum(values) for values in ious]
    assert any(sum(values) != math.fsum(values) for values in ious)


def test_perfect_prediction():
    gt = panoptic([[5, 5, 7], [9, 9, 0]], (5, CAT), (7, SKY), (9, DOG))
    result = measured(gt, gt).compute()
    assert (result.all.pq, result.all.sq, result.all.rq, result.all.n) == (1, 1, 1, 3)
    assert (result.things.n, result.stuff.n) == (2, 1)
    assert math.isnan(result.per_class["road"].pq)


def test_crowd_predicted_as_two_segments_costs_nothing():
    gt = panoptic([[1, 1, 1, 1, 2]], Segment(1, CAT, is_crowd=True), Segment(2, SKY))
    pred = panoptic([[1, 1, 2, 2, 3]], (1, CAT), (2, CAT), (3, SKY))
    result = measured(pred, gt).compute()
    assert result.all.pq == 1
    assert result.all.n == 1
    assert [s.id for s in count_pair(pred, gt).ignored] == [1, 2]


def test_crowd_shelters_only_its_own_class():
    gt = panoptic([[1, 1, 1, 1]], Segment(1, CAT, is_crowd=True))
    counts = count_pair(panoptic([[1, 1, 2, 2]], (1, DOG), (2, CAT)), gt)
    assert [s.id for s in counts.spurious] == [1]
    assert [s.id for s in counts.ignored] == [2]


def test_prediction_half_on_void_is_spurious_and_more_than_half_is_ignored():
    gt = panoptic([[0, 0, 0, 0, 1, 1]], (1, SKY))
    half = count_pair(panoptic([[0, 0, 3, 3, 3, 3]], (3, CAT)), gt)
    assert ([s.id for s in half.spurious], half.ignored) == ([3], ())
    more = count_pair(panoptic([[0, 3, 3, 3, 3, 3]], (3, CAT)), gt)
    assert (more.spurious, [s.id for s in more.ignored]) == ((), [3])


def test_void_leaves_the_union():
    gt = panoptic([[0, 0, 0, 1, 1, 2]], (1, CAT), (2, SKY))
    pred = panoptic([[7, 7, 7, 7, 7, 7]], (7, CAT))
    assert count_pair(pred, gt).matches[0].iou == 2 / 3


def test_iou_of_exactly_one_half_is_no_match():
    gt = panoptic([[1, 1, 2, 2]], (1, CAT), (2, SKY))
    counts = count_pair(panoptic([[7, 0, 0, 0]], (7, CAT)), gt)
    assert counts.matches == ()
    assert len(counts.missed) == 2


def test_predicting_nothing_misses_everything():
    gt = panoptic([[1, 2]], (1, CAT), (2, SKY))
    result = measured(panoptic([[0, 0]]), gt).compute()
    assert (result.all.pq, result.all.n) == (0, 2)
    assert result.per_class["cat"].fn == 1


@pytest.mark.filterwarnings("ignore:The ``compute`` method:UserWarning")
def test_empty_image_and_empty_dataset_give_nan_not_an_exception():
    void = panoptic(np.zeros((3, 4)))
    for metric in (PanopticQuality(TAXONOMY), measured(void, void), measured([], [])):
        result = metric.compute()
        assert math.isnan(result.all.pq)
        assert (result.all.n, result.things.n, result.stuff.n) == (0, 0, 0)
        assert json.loads(result.to_json())["panoptic"]["all"] == {"pq": None, "sq": None, "rq": None, "n": 0}
    assert math.isnan(image_quality(void, void))
    no_pixels = PanopticMap(np.zeros((0, 5), np.int32), ())
    assert count_pair(no_pixels, no_pixels).matches == ()


def test_absent_classes_leave_the_mean_and_present_ones_without_match_count_as_zero():
    gt = panoptic([[1, 1, 2, 2]], (1, CAT), (2, SKY))
    pred = panoptic([[1, 1, 2, 2]], (1, CAT), (2, ROAD))
    result = measured(pred, gt).compute()
    assert (result.all.pq, result.all.n) == (1 / 3, 3)
    assert (result.things.pq, result.stuff.pq) == (1, 0)
    assert result.stuff.sq == 0


def test_json_holds_exactly_the_agreed_keys():
    gt = panoptic([[1, 2]], (1, CAT), (2, SKY))
    result = measured(gt, gt).compute()
    loaded = json.loads(result.to_json())
    assert loaded == result.to_dict()
    assert list(loaded) == ["panoptic"]
    body = loaded["panoptic"]
    assert set(body) == {"all", "things", "stuff", "per_class"}
    for part in ("all", "things", "stuff"):
        assert set(body[part]) == {"pq", "sq", "rq", "n"}
    assert list(body["per_class"]) == list(TAXONOMY.names)
    assert body["per_class"]["cat"] == {"pq": 1.0, "sq": 1.0, "rq": 1.0, "tp": 1, "fp": 0, "fn": 0}
    assert body["per_class"]["dog"] == {"pq": None, "sq": None, "rq": None, "tp": 0, "fp": 0, "fn": 0}


def test_worked_example():
    """Two cats of 10 pixels; one found with IoU 8/10, one missed; one spurious: PQ = 0.8 / (1 + 1/2 + 1/2)."""
    gt = panoptic([[1] * 10 + [2] * 10 + [3] * 10], (1, CAT), (2, CAT), (3, SKY))
    pred = panoptic([[1] * 8 + [0] * 2 + [0] * 10 + [5] * 10], (1, CAT), (5, CAT))
    cat = measured(pred, gt).compute().per_class["cat"]
    assert (cat.tp, cat.fp, cat.fn) == (1, 1, 1)
    assert (cat.pq, cat.sq, cat.rq) == pytest.approx((0.4, 0.8, 0.5))


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int16, torch.int32, torch.int64])
def test_torch_ids(dtype):
    ids = torch.tensor([[1, 1, 2]], dtype=dtype)
    tensors = PanopticMap(ids, (Segment(1, CAT), Segment(2, SKY)))
    assert measured(tensors, tensors).compute().all.pq == 1


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_ids_and_states_on_the_gpu():
    on_gpu = PanopticMap(torch.tensor([[1, 1, 2]], device="cuda"), (Segment(1, CAT), Segment(2, SKY)))
    metric = PanopticQuality(TAXONOMY).to("cuda")
    metric.update(on_gpu, panoptic([[1, 1, 2]], (1, CAT), (2, SKY)))
    assert metric.tp.device.type == "cuda"
    assert metric.compute().all.pq == 1


@pytest.mark.filterwarnings("ignore:The ``compute`` method:UserWarning")
def test_forward_and_reset_of_the_metric_interface():
    gt = panoptic([[1, 2]], (1, CAT), (2, SKY))
    metric = PanopticQuality(TAXONOMY)
    assert metric(gt, gt).all.pq == 1
    assert metric(panoptic([[0, 0]]), gt).all.pq == 0
    assert metric.compute().per_class["cat"].fn == 1
    assert metric.compute().all.pq == pytest.approx(2 / 3)
    metric.reset()
    assert metric.compute().all.n == 0


def test_forty_thousand_segments_in_reasonable_time():
    ids = np.arange(1, 40001, dtype=np.int32).reshape(200, 200)
    gt = PanopticMap(ids, tuple(Segment(int(i), int(i) % 4) for i in ids.ravel()))
    start = time.process_time()
    metric = measured(gt, gt)
    assert time.process_time() - start < 10
    assert metric.tp.sum() == 40000
    assert metric.compute().all.pq == 1


class TestRefusals:
    GOOD = panoptic([[1, 1]], (1, CAT))

    def refused(self, broken: PanopticMap, message: str) -> None:
        """Broken maps are refused as predictions and as ground truth."""
        for pair, what in (((broken, self.GOOD), "prediction"), ((self.GOOD, broken), "ground truth")):
            with pytest.raises(UserError, match=message) as error:
                measured(*pair)
            assert what in str(error.value)

    def test_id_zero_as_a_segment(self):
        self.refused(panoptic([[0, 1]], (0, SKY), (1, CAT)), "id 0 means void")
        self.refused(panoptic([[1, 1]], (0, SKY), (1, CAT)), "id 0 means void")

    def test_pixels_without_a_row(self):
        self.refused(panoptic([[1, 8]], (1, CAT)), "pixels with id 8, but its table of segments lacks")

    def test_row_without_pixels(self):
        self.refused(panoptic([[1, 1]], (1, CAT), (8, CAT)), "segment id 8, but no pixel has it")

    def test_repeated_row(self):
        self.refused(panoptic([[1, 1]], (1, CAT), (1, SKY)), "id 1 twice")

    def test_ids_out_of_24_bits(self):
        big = MAX_ID + 1
        self.refused(panoptic([[1, big]], (1, CAT), (big, SKY)), str(big))
        self.refused(panoptic([[1, 1]], (1, CAT), (big, SKY)), str(big))
        self.refused(panoptic([[1, -3]], (1, CAT), (-3, SKY)), "-3")
        self.refused(PanopticMap(np.array([[1, 2**40 + 1]]), (Segment(1, CAT),)), str(2**40 + 1))

    def test_unknown_class(self):
        for index in (4, -1):
            self.refused(panoptic([[1, 1]], (1, index)), f"class index {index}")

    def test_sizes_and_numbers(self):
        with pytest.raises(UserError, match="1 x 2 pixels but the prediction is 2 x 1: one of them lies on its side"):
            measured(panoptic([[1], [1]], (1, CAT)), self.GOOD)
        with pytest.raises(UserError, match="2 predictions for 1 images"):
            measured([self.GOOD, self.GOOD], [self.GOOD])

    def test_ids_that_are_not_integers(self):
        self.refused(PanopticMap(np.ones((1, 2), np.float32), (Segment(1, CAT),)), "float32")
