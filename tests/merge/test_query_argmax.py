"""Panoptic, semantic and instance predictions against plain loops and against transformers."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from merge_oracle import scene
from pycocotools import mask as coco_mask
from query_oracle import oracle_instances, oracle_panoptic, oracle_semantic
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from pantile.contracts.errors import UserError
from pantile.contracts.outputs import MaskOutput
from pantile.contracts.placement import Placement
from pantile.contracts.taxonomy import plain_taxonomy
from pantile.merge.query_argmax import predict_queries
from pantile.merge.query_config import QueryMergeConfig, mask2former, maskformer

TAXONOMY = plain_taxonomy(["cat", "dog", "sky", "road", "wall"], things=["cat", "dog"])
PADDED = Placement(padded=(64, 96), content=(50, 96), original=(37, 71))
NARROW = Placement(padded=(64, 64), content=(64, 41), original=(80, 51))
ODD = Placement(padded=(65, 97), content=(49, 97), original=(30, 60))
SAME = Placement(padded=(32, 32), content=(32, 32), original=(32, 32))
LOGITS_SIZE = {PADDED: (16, 24), NARROW: (16, 16), ODD: (17, 25), SAME: (32, 32)}
LOOSE = QueryMergeConfig(object_threshold=0.3, overlap_threshold=0.3)
CONFIGS = {
    "mask2former": mask2former(),
    "mapillary": mask2former("mapillary"),
    "maskformer": maskformer("ade20k"),
    "loose": LOOSE,
    "loose, no test of pixels": replace(LOOSE, pixel_test=False),
    "everything": QueryMergeConfig(object_threshold=0.0, overlap_threshold=0.0),
}
ALL = frozenset({"panoptic", "instance", "semantic"})


def blobs(seed, size, queries=12, images=1, dtype=torch.float64):
    """Masks that tile the image with some overlap at their borders; some pairs of queries see the same region."""
    rough = scene(seed, queries, TAXONOMY, size, images=images, confidence=4.0)
    masks = rough.mask_logits - rough.mask_logits.amax(dim=1, keepdim=True) + 1.0
    return replace(rough, mask_logits=masks.to(dtype), class_logits=rough.class_logits.to(dtype))


def assert_panoptic_equals_oracle(got, output, image, config, placement, tolerance=1e-9):
    ids, segments = oracle_panoptic(output, image, TAXONOMY, config, placement)
    assert got.ids.dtype == np.int32
    np.testing.assert_array_equal(got.ids, ids.numpy())
    assert [s.id for s in got.segments] == list(range(1, len(segments) + 1))
    assert [s.class_index for s in got.segments] == [label for label, _ in segments]
    np.testing.assert_allclose([s.score for s in got.segments], [score for _, score in segments], rtol=tolerance)
    assert set(np.unique(got.ids)) - {0} == {s.id for s in got.segments}


def assert_instances_equal_oracle(got, output, image, config, placement):
    expected = oracle_instances(output, image, TAXONOMY, config.instances, placement)
    assert len(got) == len(expected)
    for instance, (label, score, mask) in zip(got, expected, strict=True):
        assert instance.class_index == label
        assert instance.score == pytest.approx(score, rel=1e-6)
        np.testing.assert_array_equal(coco_mask.decode(instance.mask).astype(bool), mask.numpy())


@pytest.mark.parametrize("placement", LOGITS_SIZE, ids=["padded", "narrow", "odd", "same"])
@pytest.mark.parametrize("name", CONFIGS)
def test_panoptic_equals_plain_loops(name, placement):
    output = blobs(len(name), LOGITS_SIZE[placement])
    (got,) = predict_queries(output, TAXONOMY, CONFIGS[name], [placement])
    assert got.instances is None and got.semantic is None
    assert_panoptic_equals_oracle(got.panoptic, output, 0, CONFIGS[name], placement)


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    queries=st.integers(1, 12),
    thresholds=st.tuples(st.floats(0.0, 0.7), st.floats(0.0, 1.0)),
    pixel_test=st.booleans(),
    chunk_rows=st.integers(1, 40),
    original=st.tuples(st.integers(1, 30), st.integers(1, 30)),
)
def test_panoptic_equals_plain_loops_with_any_settings(seed, queries, thresholds, pixel_test, chunk_rows, original):
    config = QueryMergeConfig(
        object_threshold=thresholds[0],
        overlap_threshold=thresholds[1],
        pixel_test=pixel_test,
        chunk_rows=chunk_rows,
    )
    placement = replace(PADDED, original=original)
    output = blobs(seed, (16, 24), queries)
    (got,) = predict_queries(output, TAXONOMY, config, [placement])
    assert_panoptic_equals_oracle(got.panoptic, output, 0, config, placement)


def test_scenes_exercise_the_rules():
    """The comparison means something only if queries fail each test and stuff merges."""
    seen = dict.fromkeys(("overlap", "pixels", "merged", "void"), 0)
    all_things = plain_taxonomy(TAXONOMY.names, things=TAXONOMY.names)

    def ids_of(output, config, taxonomy=TAXONOMY):
        return predict_queries(output, taxonomy, config, [PADDED])[0].panoptic

    for seed in range(6):
        output = blobs(seed, (16, 24))
        plain = ids_of(output, LOOSE)
        seen["overlap"] += len(ids_of(output, replace(LOOSE, overlap_threshold=0.0)).segments) > len(plain.segments)
        seen["pixels"] += bool((ids_of(output, replace(LOOSE, pixel_test=False)).ids != plain.ids).any())
        seen["merged"] += len(ids_of(output, LOOSE, all_things).segments) > len(plain.segments)
        seen["void"] += bool((plain.ids == 0).any())
    assert all(seen.values()), seen


@pytest.mark.parametrize("placement", LOGITS_SIZE, ids=["padded", "narrow", "odd", "same"])
def test_semantic_equals_plain_loops(placement):
    output = blobs(1, LOGITS_SIZE[placement])
    (got,) = predict_queries(output, TAXONOMY, mask2former(), [placement], frozenset({"panoptic", "semantic"}))
    assert got.semantic.dtype == np.int32 and got.instances is None
    np.testing.assert_array_equal(got.semantic, oracle_semantic(output, 0, placement).numpy())


@pytest.mark.parametrize("placement", LOGITS_SIZE, ids=["padded", "narrow", "odd", "same"])
@pytest.mark.parametrize("count", [5, 100])
def test_instances_equal_plain_loops(count, placement):
    config = replace(mask2former(), instances=count)
    output = blobs(2, LOGITS_SIZE[placement])
    (got,) = predict_queries(output, TAXONOMY, config, [placement], frozenset({"panoptic", "instance"}))
    assert got.semantic is None
    assert 0 < len(got.instances) <= min(count, 12 * 2)
    assert_instances_equal_oracle(got.instances, output, 0, config, placement)


@pytest.mark.parametrize("strip", [1, 40, 10**6])
def test_strips_of_columns_change_no_instance(strip, monkeypatch):
    monkeypatch.setattr("pantile.merge.query_argmax._STRIP_PIXELS", strip)
    output = blobs(4, (16, 24))
    (got,) = predict_queries(output, TAXONOMY, LOOSE, [PADDED], ALL)
    assert_instances_equal_oracle(got.instances, output, 0, LOOSE, PADDED)


def test_an_instance_mask_may_touch_every_border():
    logits = torch.full((1, 3, 8, 8), -9.0)
    logits[0, 0] = 9.0  # everything
    logits[0, 1, :, 0] = logits[0, 1, :, -1] = 9.0  # first and last column
    class_logits = torch.tensor([[[4.0, -9, -9, -9, -9, 0]] * 3])
    placement = Placement((8, 8), (8, 8), (8, 8))
    (got,) = predict_queries(_output(class_logits, logits), TAXONOMY, replace(LOOSE, instances=3), [placement], ALL)
    masks = [coco_mask.decode(i.mask) for i in got.instances]
    assert sorted(m.sum() for m in masks) == [16, 64]  # the empty one is no instance
    assert all(i.mask["size"] == [8, 8] and isinstance(i.mask["counts"], bytes) for i in got.instances)


def test_batch_of_different_placements():
    output = blobs(4, (16, 24), images=3)
    placements = [PADDED, replace(PADDED, content=(64, 70), original=(32, 35)), replace(PADDED, original=(20, 90))]
    predictions = predict_queries(output, TAXONOMY, LOOSE, placements, ALL)
    for image, (got, placement) in enumerate(zip(predictions, placements, strict=True)):
        assert_panoptic_equals_oracle(got.panoptic, output, image, LOOSE, placement)
        assert_instances_equal_oracle(got.instances, output, image, LOOSE, placement)
        np.testing.assert_array_equal(got.semantic, oracle_semantic(output, image, placement).numpy())


def test_no_surviving_query_is_all_void():
    output = blobs(0, (16, 24))
    class_logits = torch.zeros_like(output.class_logits)
    class_logits[..., -1] = 30.0
    config = mask2former("mapillary")
    (got,) = predict_queries(replace(output, class_logits=class_logits), TAXONOMY, config, [PADDED], ALL)
    assert got.panoptic.segments == () and not got.panoptic.ids.any()
    assert got.panoptic.size == got.semantic.shape == PADDED.original


def test_a_taxonomy_without_things_has_no_instances():
    stuff = plain_taxonomy(TAXONOMY.names, things=[])
    (got,) = predict_queries(blobs(0, (16, 24)), stuff, LOOSE, [PADDED], ALL)
    assert got.instances == ()


def test_equal_queries_go_to_the_first():
    """Two equal queries: the first wins every pixel, the second none and becomes no segment."""
    logits = torch.full((1, 2, 32, 32), 5.0)
    class_logits = torch.tensor([[[9.0, 0, 0, 0, 0, 0]] * 2])
    (got,) = predict_queries(_output(class_logits, logits), TAXONOMY, mask2former(), [SAME], ALL)
    assert [s.class_index for s in got.panoptic.segments] == [0]
    assert (got.panoptic.ids == 1).all()
    assert [i.class_index for i in got.instances[:2]] == [0, 0]


@pytest.mark.parametrize(("threshold", "segments"), [(0.5, 1), (0.51, 0)])
def test_a_query_that_wins_just_the_threshold_of_its_mask_is_kept(threshold, segments):
    logits = torch.full((1, 2, 32, 32), 2.0)
    logits[0, 1, :16] = 9.0
    logits[0, 1, 16:] = -9.0
    class_logits = torch.full((1, 2, 6), -9.0)
    class_logits[0, [0, 1], [0, 1]] = 9.0
    config = replace(LOOSE, overlap_threshold=threshold)
    (got,) = predict_queries(_output(class_logits, logits), TAXONOMY, config, [SAME])
    assert sum(s.class_index == 0 for s in got.panoptic.segments) == segments


def test_a_score_equal_to_its_threshold_fails():
    logits = torch.full((1, 1, 32, 32), 5.0, dtype=torch.float64)
    class_logits = torch.tensor([[[0.0, -1e9, -1e9, -1e9, -1e9, 0.0]]], dtype=torch.float64)
    output = _output(class_logits, logits)
    (got,) = predict_queries(output, TAXONOMY, replace(LOOSE, object_threshold=0.5), [SAME])
    assert got.panoptic.segments == ()
    (got,) = predict_queries(output, TAXONOMY, replace(LOOSE, object_threshold=0.49), [SAME])
    assert got.panoptic.segments[0].score == pytest.approx(0.5)


class LargestTensor(TorchDispatchMode):
    """Records the number of elements of the largest tensor that any operation returns."""

    elements = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        self.elements = max([self.elements, *(t.numel() for t in tree_leaves(result) if isinstance(t, torch.Tensor))])
        return result


def test_memory_does_not_grow_with_queries_times_resolution():
    queries, placement = 64, Placement((512, 1024), (512, 1024), (512, 1024))
    output = blobs(0, (32, 64), queries)
    with LargestTensor() as recorder:
        (got,) = predict_queries(output, TAXONOMY, replace(LOOSE, object_threshold=0.0), [placement], ALL)
    assert got.panoptic.segments and got.instances
    assert recorder.elements < queries * 512 * 1024 / 20


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
def test_lower_precision_and_autocast_are_decided_in_single_precision(dtype):
    output = blobs(6, (16, 24), dtype=dtype)
    exact = replace(output, class_logits=output.class_logits.float(), mask_logits=output.mask_logits.float())
    (expected,) = predict_queries(exact, TAXONOMY, LOOSE, [PADDED], ALL)
    with torch.autocast("cpu", torch.bfloat16):
        (got,) = predict_queries(output, TAXONOMY, LOOSE, [PADDED], ALL)
    np.testing.assert_array_equal(got.panoptic.ids, expected.panoptic.ids)
    np.testing.assert_array_equal(got.semantic, expected.semantic)
    assert got.panoptic.segments == expected.panoptic.segments and got.instances == expected.instances
    assert_panoptic_equals_oracle(expected.panoptic, exact, 0, LOOSE, PADDED, tolerance=1e-5)


def test_disagreeing_inputs_are_refused():
    output = blobs(0, (16, 24))
    with pytest.raises(UserError, match="2 placements"):
        predict_queries(output, TAXONOMY, LOOSE, [PADDED, PADDED])
    with pytest.raises(UserError, match="5 classes but the taxonomy has 1"):
        predict_queries(output, plain_taxonomy(["cat"], things=["cat"]), LOOSE, [PADDED])


@pytest.mark.parametrize(
    ("field", "value"), [("object_threshold", 1.5), ("overlap_threshold", -0.1), ("instances", 0), ("chunk_rows", 0)]
)
def test_settings_out_of_range_are_refused(field, value):
    with pytest.raises(UserError, match=f"merge.{field} is {value}"):
        QueryMergeConfig(**{field: value})


def test_presets_hold_the_published_thresholds():
    assert mask2former() == mask2former("ade20k") == mask2former("cityscapes") == QueryMergeConfig()
    found = {name: (c.object_threshold, c.overlap_threshold, c.pixel_test) for name, c in CONFIGS.items()}
    assert found["mask2former"] == (0.8, 0.8, True)
    assert found["mapillary"] == (0.0, 0.8, True)
    assert found["maskformer"] == (0.7, 0.8, False)
    assert (maskformer().object_threshold, maskformer().pixel_test) == (0.8, False)


# -- another implementation --------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def processor():
    transformers = pytest.importorskip("transformers")
    return transformers.Mask2FormerImageProcessor()


def at_384(seed):
    """Logits of the size that transformers always resizes to, and their placement without any resizing."""
    output = blobs(seed, (384, 384), dtype=torch.float32)
    foreign = SimpleNamespace(class_queries_logits=output.class_logits, masks_queries_logits=output.mask_logits)
    return output, foreign, Placement((384, 384), (384, 384), (384, 384))


def test_semantic_equals_transformers(processor):
    output, foreign, placement = at_384(3)
    (expected,) = processor.post_process_semantic_segmentation(foreign)
    (got,) = predict_queries(output, TAXONOMY, mask2former(), [placement], ALL)
    assert (got.semantic == expected.numpy()).mean() > 1 - 1e-4  # sums in another order


@pytest.mark.parametrize("seed", [3, 5])
def test_panoptic_equals_transformers_where_its_departures_do_not_matter(seed, processor):
    """No stuff to fuse, no test of pixels, scores near 1 so that weighting the area test changes nothing."""
    output, foreign, placement = at_384(seed)
    things = plain_taxonomy(TAXONOMY.names, things=TAXONOMY.names)
    sure = replace(output, class_logits=60 * F.one_hot(output.class_logits.argmax(-1), 6).float())
    foreign.class_queries_logits = sure.class_logits
    config = replace(LOOSE, pixel_test=False)
    (expected,) = processor.post_process_panoptic_segmentation(
        foreign, threshold=0.3, overlap_mask_area_threshold=0.3, label_ids_to_fuse=set()
    )
    (got,) = predict_queries(sure, things, config, [placement])
    assert len(got.panoptic.segments) >= 4
    assert [s.class_index for s in got.panoptic.segments] == [s["label_id"] for s in expected["segments_info"]]
    assert [s.id for s in got.panoptic.segments] == [s["id"] for s in expected["segments_info"]]
    assert (got.panoptic.ids == expected["segmentation"].numpy()).mean() > 1 - 1e-4


def _output(class_logits, mask_logits):
    none = torch.zeros(1, 1, 1)
    return MaskOutput(class_logits, mask_logits, none, none[..., None], none[..., None])
