import warnings
from dataclasses import replace

import numpy as np
import pycocotools.mask as coco_mask
import pytest
import torch
import torch.nn.functional as F
from center_oracle import oracle_centers, oracle_predict, street
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from pantile.contracts.errors import UserError
from pantile.contracts.outputs import CenterOutput
from pantile.contracts.placement import Placement
from pantile.contracts.taxonomy import plain_taxonomy
from pantile.merge.center_config import (
    CenterMergeConfig,
    center_ade20k,
    center_cityscapes,
    center_coco,
    center_mapillary,
)
from pantile.merge.center_painting import warn_of_uncentred_things
from pantile.merge.centers import predict_centers
from pantile.merge.grouping import find_centers
from pantile.merge.nearest_centers import Centers, nearest_centers

TAXONOMY = plain_taxonomy(["cat", "sky", "dog", "road", "wall", "bird", "grass"], things=["cat", "dog", "bird"])
ONLY_STUFF = plain_taxonomy(TAXONOMY.names, things=[])
ONLY_THINGS = plain_taxonomy(TAXONOMY.names, things=TAXONOMY.names)
ALL_TASKS = frozenset({"panoptic", "instance", "semantic"})
ODD = Placement(padded=(33, 49), content=(25, 49), original=(30, 61))
SHRUNK = Placement(padded=(33, 33), content=(33, 21), original=(19, 12))
EVEN = Placement(padded=(32, 48), content=(32, 42), original=(37, 51))
SAME = Placement(padded=(17, 23), content=(17, 23), original=(17, 23))
LOGITS_SIZE = {ODD: (9, 13), SHRUNK: (9, 9), EVEN: (8, 12), SAME: (17, 23)}
PLACEMENT_NAMES = ["odd", "shrunk", "even", "same"]

SMALL = CenterMergeConfig(nms_kernel=7, stuff_area_limit=0)
CONFIGS = {
    "deeplab2": SMALL,
    "detectron2": replace(SMALL, resize_order="logits_first"),
    "limits": replace(SMALL, stuff_area_limit=90, thing_area_limit=25),
    "limits at the original size": replace(
        SMALL, stuff_area_limit=90, thing_area_limit=25, resize_order="logits_first"
    ),
    "few centres": replace(SMALL, nms_kernel=1, max_centers=3),
    "every pixel may be a centre": replace(SMALL, nms_kernel=3, center_threshold=0.0),
    "kernel beyond the image": replace(SMALL, nms_kernel=201),
    "high threshold": replace(SMALL, center_threshold=0.9, uncentred_things="one_segment"),
}


def assert_equals_oracle(output, config, placements, taxonomy=TAXONOMY, score_tolerance=1e-6):
    predictions = predict_centers(output, taxonomy, config, placements, ALL_TASKS)
    assert len(predictions) == len(placements)
    for image, (got, placement) in enumerate(zip(predictions, placements, strict=True)):
        want_ids, want_segments, want_classes = oracle_predict(output, image, taxonomy, config, placement)
        assert got.panoptic.ids.dtype == np.int32
        assert got.panoptic.size == placement.original
        np.testing.assert_array_equal(got.panoptic.ids, want_ids.numpy())
        assert [s.id for s in got.panoptic.segments] == list(range(1, len(want_segments) + 1))
        assert [s.class_index for s in got.panoptic.segments] == [label for label, _ in want_segments]
        scores = [s.score for s in got.panoptic.segments]
        np.testing.assert_allclose(scores, [score for _, score in want_segments], rtol=score_tolerance)
        assert got.semantic.dtype == np.int32
        np.testing.assert_array_equal(got.semantic, want_classes.numpy())
        assert_instances_are_the_things(got, taxonomy)
    return [p.panoptic for p in predictions]


def assert_instances_are_the_things(prediction, taxonomy):
    things = [s for s in prediction.panoptic.segments if taxonomy.classes[s.class_index].is_thing]
    assert [(i.class_index, i.score) for i in prediction.instances] == [(s.class_index, s.score) for s in things]
    for instance, segment in zip(prediction.instances, things, strict=True):
        assert instance.mask == coco_mask.encode(np.asfortranarray(prediction.panoptic.ids == segment.id, np.uint8))


@pytest.mark.parametrize("placement", LOGITS_SIZE, ids=PLACEMENT_NAMES)
@pytest.mark.parametrize("name", CONFIGS)
def test_equals_plain_loops(name, placement):
    found = 0
    for seed in range(2):
        output = street(seed, TAXONOMY, LOGITS_SIZE[placement])
        found += len(assert_equals_oracle(output, CONFIGS[name], [placement])[0].segments)
    assert found > 0


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    centers=st.integers(0, 12),
    noise=st.sampled_from([0.0, 1.0, 30.0]),
    placement=st.sampled_from(list(LOGITS_SIZE)),
    resize_order=st.sampled_from(["logits_first", "ids_last"]),
    uncentred_things=st.sampled_from(["void", "one_segment"]),
    threshold=st.floats(0.0, 0.9),
    kernel=st.integers(0, 12).map(lambda half: 2 * half + 1),
    max_centers=st.integers(1, 12),
    limits=st.tuples(st.integers(0, 150), st.integers(0, 60)),
    chunk_rows=st.integers(1, 40),
    taxonomy=st.sampled_from([TAXONOMY, ONLY_STUFF, ONLY_THINGS]),
)
@pytest.mark.filterwarnings("ignore:an image has pixels of things")
def test_equals_plain_loops_with_any_settings(
    seed, centers, noise, placement, resize_order, uncentred_things, threshold, kernel, max_centers, limits,
    chunk_rows, taxonomy,
):  # fmt: skip
    config = CenterMergeConfig(
        "centers", threshold, kernel, max_centers, 256, *limits, resize_order, uncentred_things, chunk_rows
    )
    output = street(seed, taxonomy, LOGITS_SIZE[placement], centers, noise=noise)
    assert_equals_oracle(output, config, [placement], taxonomy)


def test_scenes_exercise_the_rules():
    """The comparison means something only if centres compete, pixels are outvoted and limits bite."""
    outvoted = limited = several = 0
    for seed in range(4):
        output = street(seed, TAXONOMY, (9, 13))
        (loose,) = predict_centers(output, TAXONOMY, SMALL, [ODD], ALL_TASKS)
        (tight,) = predict_centers(output, TAXONOMY, CONFIGS["limits"], [ODD])
        class_of_id = np.array([-1] + [s.class_index for s in loose.panoptic.segments])
        outvoted += (class_of_id[loose.panoptic.ids] != loose.semantic).any()
        limited += len(tight.panoptic.segments) < len(loose.panoptic.segments)
        several += len(loose.instances) > 2
    assert outvoted and limited and several


@pytest.mark.parametrize("name", ["deeplab2", "detectron2"])
def test_batch_of_different_placements(name):
    output = street(4, TAXONOMY, (9, 13), images=3)
    placements = [ODD, replace(ODD, content=(33, 40), original=(33, 40)), replace(ODD, original=(10, 80))]
    assert_equals_oracle(output, CONFIGS[name], placements)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_lower_precision_is_decided_in_single_precision(dtype):
    output = street(2, TAXONOMY, (9, 13), dtype=dtype)
    assert_equals_oracle(output, SMALL, [ODD], score_tolerance=1e-5)


def test_a_callers_autocast_changes_nothing():
    output = street(3, TAXONOMY, (9, 13), dtype=torch.float32)
    (outside,) = predict_centers(output, TAXONOMY, SMALL, [ODD])
    with torch.autocast("cpu", torch.bfloat16):
        (inside,) = predict_centers(output, TAXONOMY, SMALL, [ODD])
    np.testing.assert_array_equal(inside.panoptic.ids, outside.panoptic.ids)
    assert inside.panoptic.segments == outside.panoptic.segments


def test_only_what_is_asked_for():
    output = street(0, TAXONOMY, (9, 13))
    (prediction,) = predict_centers(output, TAXONOMY, SMALL, [ODD])
    assert prediction.instances is None
    assert prediction.semantic is None


# ---- single rules, on maps at the size of the image: nothing is resized, so ties are exact


def painted(classes, heat, offset=None):
    """Class map, heat map and offsets given per pixel."""
    classes, heat = torch.tensor(classes), torch.tensor(heat, dtype=torch.float32)
    semantic = 20.0 * F.one_hot(classes, TAXONOMY.num_classes).permute(2, 0, 1).float()
    offset = torch.zeros(2, *heat.shape) if offset is None else torch.tensor(offset, dtype=torch.float32)
    size = tuple(classes.shape)
    return CenterOutput(semantic[None], heat[None, None], offset[None]), Placement(size, size, size)


def test_equally_near_centres_give_the_first():
    output, placement = painted([[0] * 9], [[0.5, 0, 0, 0, 0, 0, 0, 0, 0.9]])
    (panoptic,) = assert_equals_oracle(output, SMALL, [placement])
    assert panoptic.ids.tolist() == [[1, 1, 1, 1, 1, 2, 2, 2, 2]]


def test_votes_are_position_plus_offset():
    offset = np.zeros((2, 1, 9))
    offset[1, 0, :3], offset[1, 0, 6:] = 8, -8
    output, placement = painted([[0] * 9], [[0.5, 0, 0, 0, 0, 0, 0, 0, 0.9]], offset)
    (panoptic,) = assert_equals_oracle(output, SMALL, [placement])
    assert panoptic.ids.tolist() == [[2, 2, 2, 1, 1, 2, 1, 1, 1]]


def test_a_tied_majority_takes_the_smaller_class():
    output, placement = painted([[2, 2, 0, 0, 1]], [[0, 0.5, 0, 0, 0]])
    (panoptic,) = assert_equals_oracle(output, SMALL, [placement])
    assert [s.class_index for s in panoptic.segments] == [0, 1]
    assert panoptic.segments[0].score == pytest.approx(0.5 * 0.5, rel=1e-4)  # probability 1 on half of it, else 0


def test_tied_classes_take_the_smaller():
    output, placement = painted([[1, 1, 1]], [[0, 0, 0]])
    flat = replace(output, semantic_logits=torch.zeros_like(output.semantic_logits))
    (panoptic,) = assert_equals_oracle(flat, replace(SMALL, uncentred_things="one_segment"), [placement])
    assert [s.class_index for s in panoptic.segments] == [0]
    assert panoptic.segments[0].score == 0


def test_a_plateau_is_several_centres():
    output, placement = painted([[0] * 7], [[0, 0.5, 0.5, 0, 0, 0, 0.2]])
    (panoptic,) = assert_equals_oracle(output, replace(SMALL, nms_kernel=9), [placement])
    assert panoptic.ids.tolist() == [[1, 1, 2, 2, 2, 2, 2]]


def test_beyond_the_most_centres_only_those_above_the_last_rank_stay():
    heat = [[0.5, 0, 0.7, 0, 0.5, 0, 0.9, 0]]
    output, placement = painted([[0] * 8], heat)
    config = replace(SMALL, nms_kernel=1)
    for most, expected in ((5, 4), (4, 4), (3, 2), (2, 1), (1, 0)):
        assert len(find_centers(output.center_heatmap[0, 0], replace(config, max_centers=most))) == expected
    assert_equals_oracle(output, replace(config, max_centers=3), [placement])


def test_heat_at_the_threshold_is_no_centre():
    heat = torch.tensor([[0.25, 0.0, 0.5]])
    assert find_centers(heat, replace(SMALL, nms_kernel=1, center_threshold=0.25)).x.tolist() == [2]


def test_area_limits_keep_what_equals_them():
    output, placement = painted([[0, 0, 1, 1, 1]], [[0.5, 0, 0, 0, 0]])
    for thing, stuff, expected in ((2, 3, [0, 1]), (3, 3, [1]), (2, 4, [0]), (3, 4, [])):
        config = replace(SMALL, thing_area_limit=thing, stuff_area_limit=stuff)
        (panoptic,) = assert_equals_oracle(output, config, [placement])
        assert [s.class_index for s in panoptic.segments] == expected


def test_area_limits_count_padding_where_ids_come_last():
    """deeplab2 decides, and counts, on the padded input."""
    output, _ = painted([[1] * 4] * 4, [[0.0] * 4] * 4)
    placement = Placement(padded=(4, 4), content=(2, 4), original=(2, 4))
    config = replace(SMALL, stuff_area_limit=16)
    assert len(assert_equals_oracle(output, config, [placement])[0].segments) == 1
    at_original = replace(config, resize_order="logits_first")
    assert len(assert_equals_oracle(output, at_original, [placement])[0].segments) == 0


@pytest.mark.parametrize("center", [False, True])
def test_only_stuff_or_only_things(center):
    heat = [[0.0, 0.0, 0.6 if center else 0.0]]
    stuff, placement = painted([[1, 3, 3]], heat)
    (panoptic,) = assert_equals_oracle(stuff, SMALL, [placement])
    assert panoptic.ids.tolist() == [[1, 2, 2]]
    things, _ = painted([[0, 2, 2]], heat)
    (panoptic,) = assert_equals_oracle(things, replace(SMALL, uncentred_things="one_segment"), [placement])
    assert panoptic.ids.tolist() == [[1, 1, 1]]
    assert [s.class_index for s in panoptic.segments] == [2]


def test_things_without_a_centre_become_void_and_are_told_once():
    output, placement = painted([[0, 1, 2]], [[0.05, 0.1, 0]])
    warn_of_uncentred_things.cache_clear()
    with pytest.warns(UserWarning, match="no centre above merge.center_threshold") as told:
        for _ in range(3):
            (prediction,) = predict_centers(output, TAXONOMY, SMALL, [placement], ALL_TASKS)
    assert len(told) == 1
    assert prediction.panoptic.ids.tolist() == [[0, 1, 0]]
    assert prediction.instances == ()
    assert prediction.semantic.tolist() == [[0, 1, 2]]

    warn_of_uncentred_things.cache_clear()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        (panoptic,) = assert_equals_oracle(output, replace(SMALL, uncentred_things="one_segment"), [placement])
    assert panoptic.ids.tolist() == [[1, 2, 1]]
    assert panoptic.segments[0].score == pytest.approx(0.1 * 0.5, rel=1e-4)


def test_of_more_instances_than_the_divisor_numbers_the_best_stay():
    output, placement = painted([[2] * 9], [[0.5, 0, 0, 0.9, 0, 0, 0.7, 0, 0.6]])
    config = replace(SMALL, nms_kernel=3)
    all_four = predict_centers(output, TAXONOMY, replace(config, label_divisor=5), [placement])[0].panoptic
    with pytest.warns(UserWarning, match=r"merge.label_divisor is 4.* 'dog'"):
        three = predict_centers(output, TAXONOMY, replace(config, label_divisor=4), [placement])[0].panoptic
    worst = min(all_four.segments, key=lambda segment: segment.score)
    assert len(all_four.segments) == 4
    assert [s.score for s in three.segments] == [s.score for s in all_four.segments if s is not worst]
    assert np.array_equal(three.ids == 0, (all_four.ids == 0) | (all_four.ids == worst.id))


# ---- grouping on its own


@pytest.mark.parametrize("kernel", [1, 3, 5, 7, 13, 41])
def test_centres_equal_plain_loops(kernel):
    random = torch.Generator().manual_seed(kernel)
    heat = torch.randint(-2, 9, (21, 37), generator=random) / 8.0  # few values, so many are equal
    config = replace(SMALL, nms_kernel=kernel, max_centers=400)
    centers = find_centers(heat, config)
    assert list(zip(centers.y, centers.x, centers.heat, strict=True)) == oracle_centers(heat, config)
    assert len(centers) > 0


@pytest.mark.parametrize("count", [1, 2, 3, 40, 300])
@pytest.mark.parametrize("step", [1.0, 0.5, 2**-10], ids=["whole", "half", "fine"])
def test_nearest_centre_equals_brute_force(count, step):
    """Integer arithmetic decides: votes are multiples of a power of two, so squared distances are exact, also ties."""
    random = np.random.default_rng(count)
    size = (257, 1030)
    flat = np.sort(random.choice(size[0] * size[1], count, replace=False))
    centers = Centers(*np.divmod(flat, size[1]), np.ones(count))
    votes = np.stack([random.uniform(-40, extent + 40, 5000) for extent in size]).round(1)
    around = random.integers(count, size=2000)  # halfway between two centres: ties
    other = random.integers(count, size=2000)
    halfway = (np.stack([centers.y, centers.x])[:, around] + np.stack([centers.y, centers.x])[:, other]) / 2
    votes = np.floor(np.concatenate([votes, halfway, [[1e6, -1e6], [3e5, -1e6]]], axis=1) / step) * step
    units = (votes / step).astype(np.int64)
    distance = sum((units[axis][:, None] - (c / step).astype(np.int64)) ** 2 for axis, c in enumerate(centers[:2]))
    np.testing.assert_array_equal(nearest_centers(*votes, centers, size), distance.argmin(axis=1))
    smallest = np.partition(distance, min(1, count - 1), axis=1)
    assert count == 1 or step < 0.5 or (smallest[:, 0] == smallest[:, 1]).any()


@pytest.mark.filterwarnings("ignore:invalid value")
def test_offsets_that_are_not_numbers_do_not_stop_the_prediction():
    output, placement = painted([[0] * 4], [[0.5, 0, 0, 0.6]], np.full((2, 1, 4), np.nan))
    (prediction,) = predict_centers(output, TAXONOMY, SMALL, [placement])
    assert prediction.panoptic.size == (1, 4)


class LargestTensor(TorchDispatchMode):
    """Records the number of elements of the largest tensor that any operation returns."""

    elements = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        self.elements = max([self.elements, *(t.numel() for t in tree_leaves(result) if isinstance(t, torch.Tensor))])
        return result


def test_class_probabilities_never_exist_at_full_resolution():
    many = plain_taxonomy([f"class {k}" for k in range(64)], things=["class 0", "class 5"])
    output = street(0, many, (17, 33), dtype=torch.float32)
    placement = Placement((257, 513), (257, 513), (257, 513))
    with LargestTensor() as recorder:
        predict_centers(output, many, replace(SMALL, chunk_rows=16), [placement])
    assert recorder.elements < 64 * 257 * 513 / 15


# ---- settings


def test_presets_hold_the_published_table():
    def table(c):
        return c.center_threshold, c.nms_kernel, c.max_centers, c.label_divisor, c.stuff_area_limit, c.thing_area_limit

    assert table(center_coco()) == (0.1, 41, 400, 256, 4096, 0)
    assert table(center_cityscapes()) == (0.1, 13, 400, 1000, 2048, 0)
    assert table(center_ade20k()) == (0.1, 41, 400, 1000, 4096, 0)
    assert table(center_mapillary()) == (0.1, 13, 400, 1000, 4096, 0)
    for preset in (center_coco, center_cityscapes, center_ade20k, center_mapillary):
        assert (preset().kind, preset().resize_order) == ("centers", "ids_last")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("center_threshold", 1.5), ("nms_kernel", 8), ("nms_kernel", -1), ("max_centers", 0), ("label_divisor", 1),
        ("stuff_area_limit", -1), ("thing_area_limit", -4), ("chunk_rows", 0), ("resize_order", "first"),
        ("uncentred_things", "nearest"),
    ],
)  # fmt: skip
def test_settings_out_of_range_are_refused(field, value):
    with pytest.raises(UserError, match=f"merge.{field} is {value!r}"):
        CenterMergeConfig(**{field: value})


def test_disagreeing_inputs_are_refused():
    output = street(0, TAXONOMY, (9, 13))
    with pytest.raises(UserError, match="2 placements"):
        predict_centers(output, TAXONOMY, SMALL, [ODD, ODD])
    with pytest.raises(UserError, match="7 classes but the taxonomy has 1"):
        predict_centers(output, plain_taxonomy(["cat"], things=["cat"]), SMALL, [ODD])


def test_selected_classes_are_those_of_the_pixels_whatever_their_channels():
    """As if the others had no chance, with scores and all; the order of the channels changes nothing."""
    output = street(3, TAXONOMY, LOGITS_SIZE[ODD])
    selection = torch.tensor([[5, 0, 3, 1]])
    without = torch.full_like(output.semantic_logits, -1e4)
    without[:, selection[0]] = output.semantic_logits[:, selection[0]]
    selected = replace(output, semantic_logits=output.semantic_logits[:, selection[0]], classes=selection)
    for config in (SMALL, CONFIGS["detectron2"]):
        expected = predict_centers(replace(output, semantic_logits=without), TAXONOMY, config, [ODD], ALL_TASKS)[0]
        found = predict_centers(selected, TAXONOMY, config, [ODD], ALL_TASKS)[0]
        np.testing.assert_array_equal(found.panoptic.ids, expected.panoptic.ids)
        np.testing.assert_array_equal(found.semantic, expected.semantic)
        assert [s.class_index for s in found.panoptic.segments] == [s.class_index for s in expected.panoptic.segments]
        scores, wanted = ([s.score for s in p.panoptic.segments] for p in (found, expected))
        np.testing.assert_allclose(scores, wanted, rtol=1e-5)
