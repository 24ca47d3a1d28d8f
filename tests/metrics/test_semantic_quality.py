import json
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from gloo_processes import in_processes
from pantile.contracts.errors import UserError
from pantile.contracts.panoptic import MAX_ID, PanopticMap, Segment
from pantile.contracts.taxonomy import plain_taxonomy
from pantile.metrics import SemanticQuality, semantic_of

TAXONOMY = plain_taxonomy(["cat", "dog", "sky", "road"], things=["cat", "dog"])
CAT, DOG, SKY, ROAD = range(4)


def measured(*pairs):
    metric = SemanticQuality(TAXONOMY)
    for prediction, target in pairs:
        metric.update([prediction], [target])
    return metric.compute()


def random_pair(random: np.random.Generator) -> tuple[np.ndarray, PanopticMap]:
    """Blocks of a few segments, some crowd; a prediction that is right about half of the pixels, with some none."""
    size = tuple(random.integers(1, 9, 2))
    ids = random.choice([0, 1, 2, 300, MAX_ID], size).astype(random.choice([np.int32, np.int64, np.uint32]))
    present = random.permutation([int(i) for i in np.unique(ids) if i]).tolist()
    crowd = bool(random.random() < 0.3)
    rows = tuple(Segment(i, int(random.choice([CAT, DOG, SKY])), is_crowd=crowd) for i in present)
    target = PanopticMap(ids, rows)
    right = naive_semantic(target)
    guess = random.integers(-1, 4 if random.random() < 0.5 else 3, size)
    return np.where(random.random(size) < 0.5, guess, right).astype(
        random.choice([np.int8, np.int32, np.int64])
    ), target


def naive_semantic(panoptic: PanopticMap) -> np.ndarray:
    class_of = {0: -1} | {s.id: s.class_index for s in panoptic.segments}
    return np.array([[class_of[i] for i in row] for row in panoptic.ids.tolist()], np.int32).reshape(panoptic.ids.shape)


def naive_numbers(pairs) -> dict[str, float]:
    """From sets of pixels of each class, by the definitions."""
    true, predicted = [set() for _ in range(4)], [set() for _ in range(4)]
    for image, (prediction, target) in enumerate(pairs):
        truth = naive_semantic(target).tolist()
        for y, row in enumerate(prediction.tolist()):
            for x, guess in enumerate(row):
                if truth[y][x] >= 0:
                    true[truth[y][x]].add((image, y, x))
                    if guess >= 0:
                        predicted[guess].add((image, y, x))
    iou = [len(t & p) / len(t | p) if t | p else math.nan for t, p in zip(true, predicted, strict=True)]
    accuracy = [len(t & p) / len(t) for t, p in zip(true, predicted, strict=True) if t]
    total = sum(len(t) for t in true)
    occurring = [value for value in iou if not math.isnan(value)]
    return {
        "miou": sum(occurring) / len(occurring) if occurring else math.nan,
        "fwiou": sum(len(t) / total * v for t, v in zip(true, iou, strict=True) if t) if total else math.nan,
        "mean_accuracy": sum(accuracy) / len(accuracy) if accuracy else math.nan,
        "pixel_accuracy": (
            sum(len(t & p) for t, p in zip(true, predicted, strict=True)) / total if total else math.nan
        ),
        "n": len(occurring),
    } | {f"class/{name}": value for name, value in zip(TAXONOMY.names, iou, strict=True)}


def flat(result) -> dict[str, float]:
    names = ("miou", "fwiou", "mean_accuracy", "pixel_accuracy", "n")
    return {n: getattr(result, n) for n in names} | {f"class/{n}": v for n, v in result.per_class.items()}


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 4))
def test_equals_sets_of_pixels(seed, count):
    random = np.random.default_rng(seed)
    pairs = [random_pair(random) for _ in range(count)]
    assert flat(measured(*pairs)) == pytest.approx(naive_numbers(pairs), abs=1e-6, nan_ok=True)


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_semantic_of_equals_a_loop(seed):
    _, target = random_pair(np.random.default_rng(seed))
    got = semantic_of(target, TAXONOMY)
    assert got.dtype == np.int32
    np.testing.assert_array_equal(got, naive_semantic(target))


def test_a_worked_example():
    target = PanopticMap(np.array([[7, 7, 7, 9, 9, 0]], np.int32), (Segment(7, SKY), Segment(9, CAT)))
    # Two of three sky pixels, one of two of the cat; one called road, one called nothing; void says nothing.
    result = measured((np.array([[SKY, SKY, ROAD, CAT, -1, DOG]]), target))
    assert result.per_class == pytest.approx({"cat": 1 / 2, "dog": math.nan, "sky": 2 / 3, "road": 0}, nan_ok=True)
    assert (result.n, result.miou) == (3, pytest.approx((1 / 2 + 2 / 3) / 3))
    assert result.pixel_accuracy == pytest.approx(3 / 5)
    assert result.mean_accuracy == pytest.approx((2 / 3 + 1 / 2) / 2)
    assert result.fwiou == pytest.approx((3 * 2 / 3 + 2 * 1 / 2) / 5)


def test_crowd_pixels_have_their_class():
    target = PanopticMap(np.array([[7, 7]], np.int32), (Segment(7, CAT, is_crowd=True),))
    assert measured((np.array([[CAT, DOG]]), target)).per_class["cat"] == pytest.approx(1 / 2)


def test_tensors_and_small_unsigned_predictions_are_welcome():
    target = PanopticMap(np.array([[7, 9]], np.uint32), (Segment(7, CAT), Segment(9, ROAD)))
    for prediction in (torch.tensor([[CAT, ROAD]]), np.array([[CAT, ROAD]], np.uint8)):
        assert measured((prediction, target)).miou == 1


def test_the_own_classes_of_a_map_are_perfect():
    _, target = random_pair(np.random.default_rng(1))
    result = measured((semantic_of(target, TAXONOMY), target))
    assert result.miou == result.fwiou == result.pixel_accuracy == result.mean_accuracy == 1


@pytest.mark.filterwarnings("ignore:The ``compute`` method")
def test_nothing_but_void_and_an_empty_dataset_are_nan():
    void = (np.array([[CAT]]), PanopticMap(np.zeros((1, 1), np.int32), ()))
    for result in (measured(), measured(void)):
        numbers = flat(result)
        assert numbers.pop("n") == 0
        assert all(math.isnan(value) for value in numbers.values())


def test_to_dict_is_plain_json():
    target = PanopticMap(np.array([[7, 7]], np.int32), (Segment(7, CAT),))
    group = json.loads(json.dumps(measured((np.array([[CAT, DOG]]), target)).to_dict(), allow_nan=False))["semantic"]
    assert group["per_class"] == {"cat": 0.5, "dog": 0, "sky": None, "road": None}
    assert (group["miou"], group["pixel_accuracy"], group["n"]) == (0.25, 0.5, 2)


def test_bad_input_is_refused():
    target = PanopticMap(np.full((2, 3), 7, np.int32), (Segment(7, CAT),))
    metric = SemanticQuality(TAXONOMY)
    for prediction, sentence in (
        (np.zeros((3, 2), int), "2 x 3 pixels but the semantic map is 3 x 2"),
        (np.zeros((2, 3)), "float64 values"),
        (np.full((2, 3), 4), "class index 4: use an index from 0 to 3"),
        (np.full((2, 3), 255, np.uint8), "class index 255"),
        (np.full((2, 3), -2), "class index -2"),
    ):
        with pytest.raises(UserError, match=sentence):
            metric.update([prediction], [target])
    with pytest.raises(UserError, match="0 semantic maps for 1 images"):
        metric.update([], [target])
    with pytest.raises(UserError, match="pixels with id 7, but the table"):
        metric.update([np.zeros((2, 3), int)], [PanopticMap(target.ids, (Segment(5, CAT), Segment(9, DOG)))])
    with pytest.raises(UserError, match="Segment 7 has class index 4"):
        metric.update([np.zeros((2, 3), int)], [PanopticMap(target.ids, (Segment(7, 4),))])
    assert metric.pixels.sum() == 0


def _share(rank: int) -> dict[str, float]:
    random = np.random.default_rng(3)
    pairs = [random_pair(random) for _ in range(5)]
    return flat(measured(*pairs[rank::2]))


def test_two_processes_give_the_result_of_one():
    random = np.random.default_rng(3)
    expected = flat(measured(*[random_pair(random) for _ in range(5)]))
    for result in in_processes(_share):
        assert result == pytest.approx(expected, abs=1e-12, nan_ok=True)


def test_three_numbers_per_class_however_many_classes():
    """A confusion matrix of COCO+LVIS would be 13 MB for each image."""
    many = plain_taxonomy([f"class {i}" for i in range(1284)], things=[])
    metric = SemanticQuality(many)
    ids = np.arange(1, 1285).repeat(3).reshape(3, 1284)
    target = PanopticMap(ids, tuple(Segment(i, i - 1) for i in range(1, 1285)))
    prediction = np.where(ids % 2 == 0, ids - 1, 7)
    metric.update([prediction], [target])
    assert sum(state.numel() for state in metric.metric_state.values()) == 3 * 1284
    expected = [float(k % 2 == 1) for k in range(1284)]
    expected[7] = 3 / (3 + 3 * 642)  # right on its own pixels, and predicted on those of 642 others
    assert list(metric.compute().per_class.values()) == pytest.approx(expected)


def test_a_class_that_is_predicted_and_never_labelled_counts_as_the_original_of_rankseg_has_it(real_data):
    facts = json.loads((real_data / "rankseg_blocks" / "miou.json").read_text())
    arrays = np.load(real_data / "rankseg_blocks" / "miou.npz")
    metric = SemanticQuality(plain_taxonomy([f"class {i}" for i in range(facts["K"])], things=[]))
    for label, prediction in zip(arrays["label"].astype(int), arrays["pred"], strict=True):
        ids = np.where(label == facts["ignore"], 0, label + 1)
        rows = tuple(Segment(i, i - 1) for i in np.unique(ids).tolist() if i)
        metric.update([prediction.astype(np.int32)], [PanopticMap(ids, rows)])
    result, original = metric.compute(), facts["mmseg"]
    assert result.miou == pytest.approx(original["mIoU"])
    assert result.pixel_accuracy == pytest.approx(original["aAcc"])
    assert result.mean_accuracy == pytest.approx(original["mAcc"])
    assert list(result.to_dict()["semantic"]["per_class"].values()) == pytest.approx(original["IoU"])


def test_detectron2_and_vspw_leave_it_out(real_data):
    facts = json.loads((real_data / "rankseg_blocks" / "miou.json").read_text())
    arrays = np.load(real_data / "rankseg_blocks" / "miou.npz")
    metric = SemanticQuality(plain_taxonomy([f"class {i}" for i in range(facts["K"])], things=[]))
    for label, prediction in zip(arrays["label"].astype(int), arrays["pred"], strict=True):
        ids = np.where(label == facts["ignore"], 0, label + 1)
        rows = tuple(Segment(i, i - 1) for i in np.unique(ids).tolist() if i)
        metric.update([prediction.astype(np.int32)], [PanopticMap(ids, rows)])
    result = metric.compute()
    assert result.miou_labelled == pytest.approx(facts["detectron2"]["mIoU"], abs=1e-9)
    assert result.miou_labelled == pytest.approx(facts["vspw_evaluator_mIoU"], abs=1e-9)
    assert result.miou == pytest.approx(facts["mmseg"]["mIoU"], abs=1e-9) != result.miou_labelled
