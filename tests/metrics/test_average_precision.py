import json
import math
from dataclasses import replace

import numpy as np
import pytest
from average_precision_scenes import NAMES, TAXONOMY, encoded, oracle, random_image

from gloo_processes import in_processes
from pantile.contracts.errors import UserError
from pantile.contracts.panoptic import PanopticMap, Segment
from pantile.contracts.predictions import Instance
from pantile.contracts.run_lengths import instances_of
from pantile.contracts.taxonomy import plain_taxonomy
from pantile.metrics import AveragePrecisionResult, MaskAveragePrecision

SKY, CAT, ROAD, DOG, UNICORN = range(5)


def measured(images, taxonomy=TAXONOMY, image_ids=None) -> AveragePrecisionResult:
    metric = MaskAveragePrecision(taxonomy)
    metric.update([instances for instances, _ in images], [target for _, target in images], image_ids)
    return metric.compute()


def flat(result: AveragePrecisionResult) -> dict[str, float]:
    per_class = {f"class/{name}": value for name, value in result.per_class.items()}
    return {name: getattr(result, name) for name in NAMES} | per_class


def assert_same(got: AveragePrecisionResult, wanted: dict[str, float]) -> None:
    assert flat(got) == pytest.approx(wanted, abs=1e-6, nan_ok=True)


def images(seed: int, count: int, detections: int = 30) -> list:
    random = np.random.default_rng(seed)
    return [random_image(random, detections) for _ in range(count)]


@pytest.mark.parametrize("seed", range(1, 13))
def test_equals_pycocotools(seed):
    scenes = images(seed, count=2 * seed - 1)
    scenes.append(([], scenes[0][1]))  # an image without predictions
    scenes.append((scenes[0][0], PanopticMap(np.zeros(scenes[0][1].size, np.int32), ())))  # one without segments
    assert_same(measured(scenes), oracle(scenes))


def test_the_scenes_reach_every_number():
    numbers = oracle(images(12, count=23))
    assert math.isnan(numbers.pop("class/unicorn"))  # a class without ground truth
    assert all(0 < value <= 1 for value in numbers.values())
    assert len({round(value, 4) for value in numbers.values()}) == len(numbers)


def test_more_than_a_hundred_detections_of_a_class():
    scenes = images(5, count=4, detections=700)
    assert max(sum(i.class_index == CAT for i in instances) for instances, _ in scenes) > 100
    result = measured(scenes)
    assert_same(result, oracle(scenes))
    # What comes after the hundredth would have changed the numbers.
    target = PanopticMap(np.full((8, 8), 3, np.int32), (Segment(3, CAT),))
    right, wrong = encoded(target.ids == 3), encoded(target.ids == 0)
    late = [*[Instance(CAT, 0.9, wrong)] * 100, Instance(CAT, 0.1, right)]
    assert measured([(late, target)]).ar100 == 0
    assert measured([(late[1:], target)]).ar100 == 1


def test_masks_on_the_border_of_two_sizes_belong_to_both():
    ids = np.zeros((100, 140), np.int32)
    ids[:32, :32], ids[2:98, 40:136] = 1, 2
    target = PanopticMap(ids, (Segment(1, CAT), Segment(2, CAT)))
    scene = ([Instance(CAT, 0.5, encoded(ids == 1))], target)
    result = measured([scene])
    assert_same(result, oracle([scene]))
    assert (result.ar_small, result.ar_medium, result.ar_large) == pytest.approx((1, 0.5, 0))


def test_equal_scores_rank_in_the_order_given():
    target = PanopticMap(np.full((8, 8), 3, np.int32), (Segment(3, CAT),))
    right = Instance(CAT, 0.5, encoded(target.ids == 3))
    wrong = Instance(CAT, 0.5, encoded(target.ids == 0))
    assert measured([([right, wrong], target)]).ap == pytest.approx(1)
    assert measured([([wrong, right], target)]).ap == pytest.approx(0.5)


def test_image_ids_decide_ties_whatever_the_order_of_updates():
    scenes = images(3, count=10)
    ids = [40, 7, 3, 11, 0, 25, 90, 1, 6, 2]
    in_order = [scenes[k] for k in np.argsort(ids)]
    assert flat(measured(scenes, image_ids=ids)) == pytest.approx(flat(measured(in_order)), abs=0, nan_ok=True)
    assert flat(measured(scenes)) != pytest.approx(flat(measured(in_order)), abs=1e-9, nan_ok=True)


def test_batches_add_up_and_reset_forgets():
    scenes = images(4, count=6)
    metric = MaskAveragePrecision(TAXONOMY)
    metric.update(*zip(*images(9, count=2), strict=True))
    metric.reset()
    for start in range(0, 6, 2):
        metric.update(*zip(*scenes[start : start + 2], strict=True))
    metric.update([], [])
    assert_same(metric.compute(), oracle(scenes))


def test_perfect_panoptic_segments_as_instances():
    scenes = images(6, count=5)
    result = measured([(instances_of(target, TAXONOMY), target) for _, target in scenes])
    assert result.ap == result.ap50 == result.ap_small == result.ar100 == pytest.approx(1)


def test_stuff_is_no_ground_truth():
    target = PanopticMap(np.full((8, 8), 3, np.int32), (Segment(3, ROAD),))
    assert math.isnan(measured([([], target)]).ap)


def test_only_crowd_is_nothing_to_find():
    target = PanopticMap(np.full((8, 8), 3, np.int32), (Segment(3, CAT, is_crowd=True),))
    instances = [Instance(CAT, 0.5, encoded(target.ids == 3))]
    result = measured([(instances, target)])
    assert_same(result, oracle([(instances, target)]))
    assert math.isnan(result.ap)


@pytest.mark.filterwarnings("ignore:The ``compute`` method")
def test_an_empty_dataset_is_nan():
    result = MaskAveragePrecision(TAXONOMY).compute()
    assert all(math.isnan(value) for value in flat(result).values())
    assert set(result.per_class) == {"cat", "dog", "unicorn"}


def test_a_taxonomy_without_things_is_nan():
    taxonomy = plain_taxonomy(["sky"], things=[])
    result = measured([([], PanopticMap(np.ones((4, 4), np.int32), (Segment(1, 0),)))], taxonomy)
    assert all(math.isnan(value) for value in flat(result).values())
    assert result.per_class == {}


def test_nothing_is_printed(capfd):
    measured(images(2, count=3))
    assert capfd.readouterr() == ("", "")


def test_to_dict_is_plain_json():
    result = measured(images(8, count=6))
    group = json.loads(json.dumps(result.to_dict(), allow_nan=False))["instance"]
    assert group["ap"] == result.ap > 0
    assert group["per_class"] == {"cat": result.per_class["cat"], "dog": result.per_class["dog"], "unicorn": None}


def test_bad_input_is_refused():
    target = PanopticMap(np.full((8, 9), 3, np.int32), (Segment(3, CAT),))
    good = Instance(CAT, 0.5, encoded(target.ids == 3))
    metric = MaskAveragePrecision(TAXONOMY)
    for bad, sentence in (
        (replace(good, class_index=ROAD), "class index 2, which is no thing class"),
        (replace(good, class_index=5), "class index 5, which is no thing class"),
        (replace(good, score=math.nan), "score nan"),
        (replace(good, mask=encoded(np.ones((9, 8), bool))), "8 x 9 pixels but the mask of an instance is 9 x 8"),
        (replace(good, mask={"size": [8, 9], "counts": [0, 72]}), "not in compressed run lengths"),
    ):
        with pytest.raises(UserError, match=sentence):
            metric.update([[good, bad]], [target])
    with pytest.raises(UserError, match="instances of 1 images for 2 images"):
        metric.update([[good]], [target, target])
    with pytest.raises(UserError, match="one id of 0 or more for each of 1 images"):
        metric.update([[good]], [target], image_ids=[])
    with pytest.raises(UserError, match="one id of 0 or more"):
        metric.update([[good]], [target], image_ids=[-3])
    with pytest.raises(UserError, match="Segment 3 of the ground truth has class index 9"):
        metric.update([[good]], [replace(target, segments=(Segment(3, 9),))])
    with pytest.raises(UserError, match="segment id 4, but no pixel has it"):
        metric.update([[good]], [replace(target, segments=(Segment(4, CAT),))])
    metric.update([[good]], [target], image_ids=[5])
    assert metric.compute().ap == pytest.approx(1)  # what was refused left no trace
    metric.update([[good]], [target], image_ids=[5])
    with pytest.raises(UserError, match="image with id 5 was given more than once"):
        metric.compute()


def _share(rank: int, shares: dict[str, tuple[list[int], list[int]]]) -> dict:
    scenes = _shared_scenes()
    results = {}
    for name, share in shares.items():
        metric = MaskAveragePrecision(TAXONOMY)
        for k in share[rank]:
            metric.update([scenes[k][0]], [scenes[k][1]], image_ids=[k])
        results[name] = flat(metric.compute())
        metric.update([scenes[0][0]], [scenes[0][1]], image_ids=[1000 + rank])  # the process's own state is back
        results[f"{name}, own"] = sum(len(rows) for rows in metric.images)
    return results


def _shared_scenes() -> list:
    nothing = ([], PanopticMap(np.zeros((20, 30), np.int32), ()))
    return [*images(7, count=5), nothing]


@pytest.mark.filterwarnings("ignore:The ``compute`` method")
def test_two_processes_give_the_result_of_one():
    shares = {
        "dealt": ([0, 2, 4], [1, 3]),
        "nothing for the second": ([4, 1, 0, 3, 2], []),
        "no masks in the first": ([5], [3, 0, 1, 2, 4]),
        "no images": ([], []),
    }
    expected = flat(measured(_shared_scenes()[:5]))
    assert expected["ap"] > 0
    for rank, results in enumerate(in_processes(_share, shares)):
        for name, share in shares.items():
            assert results[f"{name}, own"] == len(share[rank]) + 1
            if any(share):
                assert results[name] == pytest.approx(expected, abs=0, nan_ok=True), name
            else:
                assert all(math.isnan(value) for value in results[name].values())
