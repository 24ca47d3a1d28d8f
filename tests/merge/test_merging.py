from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from merge_oracle import oracle_merge, scene
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from pantile.contracts.errors import UserError
from pantile.contracts.outputs import MaskOutput
from pantile.contracts.placement import Placement
from pantile.contracts.taxonomy import plain_taxonomy
from pantile.merge import MaskMergeConfig, ade20k, cityscapes, coco, max_deeplab, merge_masks

TAXONOMY = plain_taxonomy(["cat", "dog", "sky", "road", "wall"], things=["cat", "dog"])
ODD = Placement(padded=(65, 97), content=(49, 97), original=(60, 131))
SHRUNK = Placement(padded=(65, 65), content=(65, 41), original=(37, 23))
EVEN = Placement(padded=(64, 96), content=(64, 90), original=(81, 117))
SAME = Placement(padded=(33, 33), content=(33, 33), original=(33, 33))
LOGITS_SIZE = {ODD: (17, 25), SHRUNK: (17, 17), EVEN: (16, 24), SAME: (33, 33)}

SMALL_LIMITS = {"thing_area_limit": 60, "stuff_area_limit": 300}
CONFIGS = {
    "coco": coco(),
    "coco tensorflow": replace(coco("tensorflow"), **SMALL_LIMITS),
    "cityscapes": cityscapes(),
    "cityscapes tensorflow": replace(cityscapes("tensorflow"), **SMALL_LIMITS),
    "ade20k": ade20k(),
    "ade20k tensorflow": ade20k("tensorflow"),
    "max_deeplab": replace(max_deeplab(), **SMALL_LIMITS),
    "pixel-wise at original size": MaskMergeConfig(kind="pixel_wise", thing_class_threshold=0.5),
    "three claimants": MaskMergeConfig(pixel_confidence=0.26, overlap=0.3, thing_class_threshold=0.3),
    "many claimants": MaskMergeConfig(pixel_confidence=0.05, overlap=0.05, thing_class_threshold=0.3),
    "everything claims": MaskMergeConfig(pixel_confidence=0.0, overlap=0.0, thing_class_threshold=0.0),
    "one claimant": MaskMergeConfig(pixel_confidence=0.5, overlap=0.5, class_exponent=0.5, mask_exponent=2.0),
}


def assert_equals_oracle(output, config, placements, score_tolerance=1e-9):
    maps = merge_masks(output, TAXONOMY, config, placements)
    assert len(maps) == len(placements)
    for image, (got, placement) in enumerate(zip(maps, placements, strict=True)):
        want_ids, want_segments = oracle_merge(output, image, TAXONOMY, config, placement)
        assert got.ids.dtype == np.int32
        assert got.size == placement.original
        np.testing.assert_array_equal(got.ids, want_ids.numpy())
        assert [s.id for s in got.segments] == list(range(1, len(want_segments) + 1))
        assert [s.class_index for s in got.segments] == [label for label, _ in want_segments]
        np.testing.assert_allclose([s.score for s in got.segments], [s for _, s in want_segments], rtol=score_tolerance)
    return maps


@pytest.mark.parametrize("placement", LOGITS_SIZE, ids=["odd", "shrunk", "even", "same"])
@pytest.mark.parametrize("name", CONFIGS)
def test_equals_plain_loops(name, placement):
    found = 0
    for seed in range(3):
        output = scene(seed, queries=14, taxonomy=TAXONOMY, size=LOGITS_SIZE[placement])
        found += len(assert_equals_oracle(output, CONFIGS[name], [placement])[0].segments)
    assert found > 0


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    queries=st.integers(1, 16),
    placement=st.sampled_from(list(LOGITS_SIZE)),
    kind=st.sampled_from(["mask_wise", "pixel_wise"]),
    resize_order=st.sampled_from(["logits_first", "ids_last"]),
    strict=st.booleans(),
    thresholds=st.tuples(st.floats(0.0, 0.6), st.floats(0.0, 0.8), st.floats(0.0, 0.8), st.floats(0.0, 1.0)),
    exponents=st.tuples(*[st.sampled_from([0.0, 0.5, 1.0, 2.0])] * 2),
    limits=st.tuples(st.integers(0, 200), st.integers(0, 400)),
    chunk_rows=st.integers(5, 40),
)
def test_equals_plain_loops_with_any_settings(
    seed, queries, placement, kind, resize_order, strict, thresholds, exponents, limits, chunk_rows
):
    pixel, thing, stuff, overlap = thresholds
    config = MaskMergeConfig(kind, pixel, thing, stuff, strict, overlap, *exponents, *limits, resize_order, chunk_rows)
    output = scene(seed, queries=queries, taxonomy=TAXONOMY, size=LOGITS_SIZE[placement])
    assert_equals_oracle(output, config, [placement])


def test_scenes_exercise_the_rules():
    """The oracle comparison means something only if masks overlap, are refused, and stuff merges."""
    refused_by_overlap = merged_stuff = limited = 0
    for seed in range(6):
        output = scene(seed, queries=14, taxonomy=TAXONOMY, size=(17, 25))
        strict, loose = (merge_masks(output, TAXONOMY, replace(coco(), overlap=o), [ODD])[0] for o in (0.8, 0.0))
        refused_by_overlap += len(loose.segments) != len(strict.segments)
        all_things = plain_taxonomy(TAXONOMY.names, things=TAXONOMY.names)
        same_thresholds = replace(coco(), thing_class_threshold=0.5)
        merged_stuff += len(merge_masks(output, all_things, same_thresholds, [ODD])[0].segments) > len(
            merge_masks(output, TAXONOMY, same_thresholds, [ODD])[0].segments
        )
        tensorflow = coco("tensorflow")
        limited += len(merge_masks(output, TAXONOMY, tensorflow, [ODD])[0].segments) < len(
            merge_masks(output, TAXONOMY, replace(tensorflow, thing_area_limit=0, stuff_area_limit=0), [ODD])[
                0
            ].segments
        )
    assert refused_by_overlap and merged_stuff and limited


@pytest.mark.parametrize("name", ["coco", "coco tensorflow", "max_deeplab"])
def test_float32_equals_plain_loops(name):
    output = scene(3, queries=20, taxonomy=TAXONOMY, size=(17, 25), dtype=torch.float32)
    assert_equals_oracle(output, CONFIGS[name], [ODD], score_tolerance=1e-5)


@pytest.mark.parametrize("name", ["coco", "coco tensorflow", "max_deeplab"])
def test_batch_of_different_placements(name):
    output = scene(4, queries=12, taxonomy=TAXONOMY, size=(17, 25), images=3)
    placements = [ODD, replace(ODD, content=(65, 70), original=(65, 70)), replace(ODD, original=(20, 200))]
    assert_equals_oracle(output, CONFIGS[name], placements)


@pytest.mark.parametrize("kind", ["mask_wise", "pixel_wise"])
@pytest.mark.parametrize("resize_order", ["logits_first", "ids_last"])
def test_chunk_size_changes_nothing(kind, resize_order):
    output = scene(5, queries=12, taxonomy=TAXONOMY, size=(17, 50))
    wide = Placement(padded=(65, 197), content=(60, 197), original=(70, 301))
    config = MaskMergeConfig(kind=kind, resize_order=resize_order, overlap=0.4)
    whole = merge_masks(output, TAXONOMY, replace(config, chunk_rows=1000), [wide])[0]
    assert whole.segments
    for chunk_rows in (1, 7, 32):
        chunked = merge_masks(output, TAXONOMY, replace(config, chunk_rows=chunk_rows), [wide])[0]
        np.testing.assert_array_equal(chunked.ids, whole.ids)
        assert [s.class_index for s in chunked.segments] == [s.class_index for s in whole.segments]


class LargestTensor(TorchDispatchMode):
    """Records the number of elements of the largest tensor that any operation returns."""

    elements = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        self.elements = max([self.elements, *(t.numel() for t in tree_leaves(result) if isinstance(t, torch.Tensor))])
        return result


@pytest.mark.parametrize("name", ["coco", "coco tensorflow", "max_deeplab"])
def test_memory_does_not_grow_with_queries_times_resolution(name):
    queries, placement = 64, Placement((257, 513), (257, 513), (512, 1024))
    output = scene(0, queries=queries, taxonomy=TAXONOMY, size=(17, 33))
    with LargestTensor() as recorder:
        assert merge_masks(output, TAXONOMY, CONFIGS[name], [placement])[0].segments
    assert recorder.elements <= CONFIGS[name].chunk_rows * queries * 128
    assert recorder.elements < queries * 257 * 513 / 30


@pytest.mark.parametrize("name", CONFIGS)
def test_no_surviving_query_is_all_void(name):
    output = scene(0, queries=8, taxonomy=TAXONOMY, size=(17, 25))
    class_logits = torch.zeros_like(output.class_logits)
    class_logits[..., -1] = 30.0
    config = replace(CONFIGS[name], thing_class_threshold=0.3, stuff_class_threshold=0.3)
    result = merge_masks(replace(output, class_logits=class_logits), TAXONOMY, config, [ODD])[0]
    assert result.segments == ()
    assert result.size == ODD.original
    assert not result.ids.any()


@pytest.mark.parametrize(("strict", "expected"), [(True, 0), (False, 1)])
def test_class_score_equal_to_its_threshold(strict, expected):
    output = _one_query(class_logits=[0.0, -1e9, -1e9, -1e9, -1e9, 0.0])
    config = MaskMergeConfig(thing_class_threshold=0.5, strict=strict)
    assert len(merge_masks(output, TAXONOMY, config, [SAME])[0].segments) == expected


def test_no_object_counts_in_the_class_score():
    output = _one_query(class_logits=[1.0, -1e9, -1e9, -1e9, -1e9, 1.0])
    segment = merge_masks(output, TAXONOMY, MaskMergeConfig(thing_class_threshold=0.4), [SAME])[0].segments[0]
    assert segment.score == pytest.approx(0.5)


def test_equal_queries_are_pasted_in_query_order():
    logits = torch.full((1, 3, 33, 33), -20.0, dtype=torch.float64)
    for query in range(3):
        logits[:, query, :, 11 * query : 11 * query + 11] = 20.0
    class_logits = torch.full((1, 3, 6), -20.0, dtype=torch.float64)
    class_logits[0, [0, 1, 2], [1, 0, 1]] = 20.0
    result = merge_masks(_output(class_logits, logits), TAXONOMY, coco(), [SAME])[0]
    assert [s.class_index for s in result.segments] == [1, 0, 1]
    assert result.ids[0, ::11].tolist() == [1, 2, 3]


@pytest.mark.parametrize("kind", ["mask_wise", "pixel_wise"])
def test_very_large_logits_do_not_lose_the_border(kind):
    """Two queries 400 apart on neighbouring source pixels: between them both exponentials underflow in float32."""
    logits = torch.full((1, 2, 2, 2), -200.0)
    logits[0, 0, :, 0] = logits[0, 1, :, 1] = 200.0
    class_logits = torch.full((1, 2, 6), -20.0)
    class_logits[0, :, 0] = 20.0
    placement = Placement(padded=(33, 33), content=(33, 33), original=(33, 33))
    result = merge_masks(_output(class_logits, logits), TAXONOMY, MaskMergeConfig(kind=kind), [placement])[0]
    assert len(result.segments) == 2
    row = result.ids[5]
    assert (row[:16] == row[0]).all() and (row[17:] == row[-1]).all() and row[0] != row[-1]
    assert row[16] != 0  # both have one half there, more than 0.4


def test_half_precision_is_decided_in_single_precision():
    output = scene(6, queries=10, taxonomy=TAXONOMY, size=(17, 25), dtype=torch.bfloat16)
    result = merge_masks(output, TAXONOMY, coco(), [ODD])[0]
    exact = MaskOutput(
        output.class_logits.float(), output.mask_logits.float(), output.query_embed, output.pixel_embed,
        output.pixel_feature,
    )  # fmt: skip
    np.testing.assert_array_equal(result.ids, merge_masks(exact, TAXONOMY, coco(), [ODD])[0].ids)


@pytest.mark.parametrize("kind", ["mask_wise", "pixel_wise"])
def test_a_callers_autocast_changes_nothing(kind):
    output = scene(3, queries=12, taxonomy=TAXONOMY, size=(33, 33))
    output = replace(output, mask_logits=output.mask_logits.float(), class_logits=output.class_logits.float())
    config = replace(coco(), kind=kind)
    (outside,) = merge_masks(output, TAXONOMY, config, [ODD])
    with torch.autocast("cpu", torch.bfloat16):
        (inside,) = merge_masks(output, TAXONOMY, config, [ODD])
    assert np.array_equal(inside.ids, outside.ids)
    assert inside.segments == outside.segments


def test_segment_that_vanishes_on_the_way_to_the_original_leaves_the_table():
    logits = torch.full((1, 2, 33, 33), -20.0, dtype=torch.float64)
    logits[0, 0] = 0.0
    logits[0, 1, 5, 5] = 20.0  # one pixel, which a resize to 3 x 3 skips
    class_logits = torch.full((1, 2, 6), -20.0, dtype=torch.float64)
    class_logits[0, [0, 1], [0, 1]] = 20.0
    config = replace(ade20k("tensorflow"))
    big, small = (replace(SAME, original=size) for size in ((33, 33), (3, 3)))
    assert len(merge_masks(_output(class_logits, logits), TAXONOMY, config, [big])[0].segments) == 2
    result = merge_masks(_output(class_logits, logits), TAXONOMY, config, [small])[0]
    assert [s.id for s in result.segments] == [1]
    assert [s.class_index for s in result.segments] == [0]
    assert np.unique(result.ids).tolist() == [1]


def test_presets_hold_the_published_table():
    def table(c):
        return (
            c.pixel_confidence, c.thing_class_threshold, c.stuff_class_threshold, c.overlap,
            c.class_exponent, c.mask_exponent, c.thing_area_limit, c.stuff_area_limit,
        )  # fmt: skip

    assert table(coco("tensorflow")) == (0.4, 0.7, 0.5, 0.8, 1, 1, 400, 6400)
    assert table(cityscapes("tensorflow")) == (0.4, 0.5, 0.3, 0.9, 1, 0, 256, 2048)
    assert table(ade20k("tensorflow")) == (0.4, 0.4, 0.4, 0.8, 1, 1, 0, 0)
    for preset in (coco, cityscapes, ade20k):
        port, original = preset("pytorch"), preset("tensorflow")
        assert (port.strict, port.resize_order) == (True, "logits_first")
        assert (original.strict, original.resize_order) == (False, "ids_last")
        assert (port.thing_area_limit, port.stuff_area_limit) == (0, 0)
        assert table(port)[:6] == table(original)[:6]
    small, large = max_deeplab(641), max_deeplab(1025)
    assert table(small)[:3] == table(large)[:3] == (0.4, 0.7, 0.7)
    assert (small.kind, small.thing_area_limit, small.stuff_area_limit) == ("pixel_wise", 100, 1600)
    assert (large.thing_area_limit, large.stuff_area_limit) == (256, 4096)


def test_disagreeing_inputs_are_refused():
    output = scene(0, queries=4, taxonomy=TAXONOMY, size=(17, 25))
    with pytest.raises(UserError, match="2 placements"):
        merge_masks(output, TAXONOMY, coco(), [ODD, ODD])
    with pytest.raises(UserError, match="5 classes but the taxonomy has 1"):
        merge_masks(output, plain_taxonomy(["cat"], things=["cat"]), coco(), [ODD])


@pytest.mark.parametrize(
    ("field", "value"), [("overlap", 1.5), ("pixel_confidence", -0.1), ("stuff_class_threshold", 50), ("chunk_rows", 0)]
)
def test_settings_out_of_range_are_refused(field, value):
    with pytest.raises(UserError, match=f"merge.{field} is {value}"):
        MaskMergeConfig(**{field: value})


def _one_query(class_logits):
    return _output(torch.tensor([[class_logits]], dtype=torch.float64), torch.zeros(1, 1, 33, 33, dtype=torch.float64))


def _output(class_logits, mask_logits):
    none = torch.zeros(1, 1, 1)
    return MaskOutput(class_logits, mask_logits, none, none[..., None], none[..., None])
