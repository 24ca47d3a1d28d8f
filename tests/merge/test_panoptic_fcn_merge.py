"""Panoptic, semantic and instance predictions of kernels at positions against plain loops."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from panoptic_fcn_oracle import fused, oracle
from position_queries import assemble, batch_of, class_row, random_queries
from pycocotools import mask as coco_mask
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from pantile.contracts.errors import UserError
from pantile.contracts.placement import Placement
from pantile.contracts.taxonomy import plain_taxonomy
from pantile.merge import PanopticFCNMergeConfig, merge
from pantile.merge.kernel_fusion import fuse_kernels
from pantile.merge.panoptic_fcn_config import cityscapes, coco, mapillary

TAXONOMY = plain_taxonomy(["cat", "sky", "dog", "road", "wall"], things=["cat", "dog"])
PADDED = Placement(padded=(64, 96), content=(50, 96), original=(37, 71))
NARROW = Placement(padded=(64, 64), content=(64, 41), original=(80, 51))
ODD = Placement(padded=(65, 97), content=(49, 97), original=(30, 60))
SAME = Placement(padded=(32, 32), content=(32, 32), original=(32, 32))
LOGITS_SIZE = {PADDED: (16, 24), NARROW: (16, 16), ODD: (17, 25), SAME: (32, 32)}
LOOSE = PanopticFCNMergeConfig(stuff_area_limit=60)
CONFIGS = {
    "coco": replace(coco(), stuff_area_limit=60),
    "fast": replace(coco(fast=True), stuff_area_limit=60),
    "cityscapes": replace(cityscapes(), stuff_area_limit=0),
    "mapillary": replace(mapillary(), stuff_area_limit=60),
    "much fused": replace(LOOSE, similarity_threshold=0.5, thing_area_limit=20),
    "all painted": replace(LOOSE, overlap_threshold=1.0, object_threshold=0.0, instance_threshold=0.0),
    "few": replace(LOOSE, instances=2, overlap_threshold=0.0),
}
ALL = frozenset({"panoptic", "instance", "semantic"})


def assert_equals_oracle(got, output, image, config, placement, taxonomy=TAXONOMY, tolerance=1e-9):
    expected = oracle(output, image, taxonomy, config, placement)
    ids, segments = got.panoptic.ids, got.panoptic.segments
    assert ids.dtype == np.int32
    np.testing.assert_array_equal(ids, expected.ids.numpy())
    assert [s.id for s in segments] == list(range(1, len(expected.segments) + 1))
    assert set(np.unique(ids)) - {0} == {s.id for s in segments}
    assert [s.class_index for s in segments] == [label for label, _ in expected.segments]
    np.testing.assert_allclose([s.score for s in segments], [score for _, score in expected.segments], rtol=tolerance)
    if got.semantic is not None:
        assert got.semantic.dtype == np.int32
        np.testing.assert_array_equal(got.semantic, expected.semantic.numpy())
    if got.instances is not None:
        assert [i.class_index for i in got.instances] == [thing.label for thing in expected.instances]
        for instance, thing in zip(got.instances, expected.instances, strict=True):
            assert instance.score == pytest.approx(thing.score, rel=tolerance)
            np.testing.assert_array_equal(coco_mask.decode(instance.mask).astype(bool), thing.mask.numpy())
            assert coco_mask.area(instance.mask) == int(thing.mask.sum())
    return expected


@pytest.mark.parametrize("placement", LOGITS_SIZE, ids=["padded", "narrow", "odd", "same"])
@pytest.mark.parametrize("name", CONFIGS)
def test_all_tasks_equal_plain_loops(name, placement):
    output = random_queries(len(name), TAXONOMY, LOGITS_SIZE[placement], region_of_things=len(name) % 2 == 0)
    (got,) = merge(output, TAXONOMY, CONFIGS[name], [placement], ALL)
    assert_equals_oracle(got, output, 0, CONFIGS[name], placement)


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    counts=st.tuples(st.integers(0, 6), st.integers(1, 4), st.integers(0, 3)),
    region_of_things=st.booleans(),
    fractions=st.tuples(*[st.floats(0.0, 0.9)] * 6),
    similarity=st.floats(-0.9, 0.999),
    limits=st.tuples(st.integers(1, 8), st.integers(0, 80), st.integers(0, 30)),
    original=st.tuples(st.integers(1, 30), st.integers(1, 30)),
    things=st.sets(st.sampled_from(TAXONOMY.names)),
)
@example(0, (0, 1, 0), False, (0.0,) * 6, 0.0, (1, 0, 0), (1, 1), set(TAXONOMY.names))  # no query at all
def test_all_tasks_equal_plain_loops_with_any_settings(
    seed, counts, region_of_things, fractions, similarity, limits, original, things
):
    taxonomy = plain_taxonomy(TAXONOMY.names, things=things)
    config = PanopticFCNMergeConfig("panoptic_fcn", *fractions[:2], similarity, *fractions[2:4], limits[0],
                                    *fractions[4:], *limits[1:])  # fmt: skip
    placement = replace(PADDED, original=original)
    output = random_queries(seed, taxonomy, (16, 24), *counts, region_of_things=region_of_things)
    (got,) = merge(output, taxonomy, config, [placement], ALL)
    assert_equals_oracle(got, output, 0, config, placement, taxonomy)


def test_scenes_exercise_the_rules():
    """The comparison means something only if every rule changes something in some scene."""
    names = ("fused", "overlap", "weak", "area", "masks", "void", "region of no class", "levels", "fast")
    seen = dict.fromkeys(names, 0)
    every_stuff = replace(LOOSE, stuff_area_limit=0)

    def predict(output, config):
        return merge(output, TAXONOMY, config, [PADDED], ALL)[0]

    for seed in range(4):
        output = random_queries(seed, TAXONOMY, (16, 24), region_of_things=True)
        plain = predict(output, LOOSE)
        changed = {
            "fused": replace(LOOSE, similarity_threshold=1.0),
            "overlap": replace(LOOSE, overlap_threshold=1.0),
            "weak": replace(LOOSE, object_threshold=0.6),
            "area": every_stuff,
            "masks": replace(LOOSE, mask_threshold=0.6),
            "levels": replace(LOOSE, region_threshold=0.2),
            "fast": replace(LOOSE, peak_threshold=0.2),
        }
        for name, config in changed.items():
            seen[name] += not np.array_equal(predict(output, config).panoptic.ids, plain.panoptic.ids)
        seen["void"] += bool((plain.panoptic.ids == 0).any())
        without = output.class_logits.clone()
        of_none = (without[0, :, 0] == without[0, :, 1]) & (without[0, :, 1] == without[0, :, 2])
        without[0, of_none] = class_row(0.0, 1, 5)
        ids = predict(replace(output, class_logits=without), every_stuff).panoptic.ids
        seen["region of no class"] += not np.array_equal(ids, predict(output, every_stuff).panoptic.ids)
    assert all(seen.values()), seen


def test_batch_of_different_placements():
    output = batch_of([random_queries(seed, TAXONOMY, (16, 24)) for seed in (1, 2, 3)])
    placements = [PADDED, replace(PADDED, content=(64, 70), original=(32, 35)), replace(PADDED, original=(20, 90))]
    predictions = merge(output, TAXONOMY, LOOSE, placements, ALL)
    for image, (got, placement) in enumerate(zip(predictions, placements, strict=True)):
        assert_equals_oracle(got, output, image, LOOSE, placement)


# -- kernel fusion -----------------------------------------------------------------------------------------------


def at_angles(*degrees):
    """Unit kernels in the plane; 0.9 is the cosine of about 25.8 degrees."""
    radians = torch.tensor(degrees, dtype=torch.float64).deg2rad()
    return torch.stack([radians.cos(), radians.sin()], dim=1)


@pytest.mark.parametrize(
    ("degrees", "classes", "kept", "group_of"),
    [
        ((0, 20, 40), (1, 1, 1), [0], [0, 0, -1]),  # A ~ B ~ C: C resembles B, which is not kept
        ((20, 0, 40), (1, 1, 1), [0], [0, 0, 0]),  # B first: it takes both
        ((0, 40, 20), (1, 1, 1), [0, 1], [0, 1, 0]),  # what resembles two joins the better
        ((0, 20, 40, 60), (1, 1, 1, 1), [0], [0, 0, -1, -1]),  # a dropped one drops others
        ((0, 20, 40), (1, 2, 1), [0, 1, 2], [0, 1, 2]),  # other classes do not count
        ((0, 0, 0), (1, 2, 1), [0, 1], [0, 1, 0]),
        ((7,), (1,), [0], [0]),
    ],
)
def test_chains(degrees, classes, kept, group_of):
    groups = fuse_kernels(at_angles(*degrees).numpy(), np.array(classes), 0.9)
    assert groups.kept.tolist() == kept
    assert groups.group_of.tolist() == group_of


def test_fusion_of_nothing_and_of_zeros():
    nothing = fuse_kernels(np.empty((0, 4)), np.empty(0, np.int64), 0.9)
    assert nothing.kept.shape == nothing.group_of.shape == (0,)
    zeros = fuse_kernels(np.zeros((3, 4)), np.zeros(3, np.int64), 0.9)
    assert zeros.kept.tolist() == zeros.group_of.tolist() == [0, 1, 2]


@settings(max_examples=60, deadline=None)
@given(
    kernels=st.lists(st.tuples(*[st.integers(-2, 2)] * 3), min_size=1, max_size=12),
    seed=st.integers(0, 100),
    threshold=st.sampled_from([-0.501, 0.31, 0.77, 0.9, 0.999]),
)
def test_fusion_equals_plain_loops(kernels, seed, threshold):
    classes = torch.randint(2, (len(kernels),), generator=torch.Generator().manual_seed(seed))
    embed = torch.tensor(kernels, dtype=torch.float64)
    things = [(n, 1 - n / 100, int(label)) for n, label in enumerate(classes)]
    config = PanopticFCNMergeConfig(similarity_threshold=threshold)
    groups = fuse_kernels(embed.numpy(), classes.numpy(), threshold)
    members = [np.flatnonzero(groups.group_of == g).tolist() for g in range(len(groups.kept))]
    assert members == [queries for _, _, queries in fused(things, embed, config)]
    assert [m[0] for m in members] == groups.kept.tolist()


def test_a_fused_mask_is_that_of_the_mean_kernel():
    pixel_embed = torch.tensor([[[4.0, -4, 4, -4]] * 4, [[0.0, 0, -9, 9]] * 4], dtype=torch.float64)
    kernels = [torch.tensor([2.0, 0.9]), torch.tensor([2.0, -0.9])]  # a cosine of 0.66
    output = assemble([class_row(0.9, 0, 5), class_row(0.8, 0, 5)], [k.double() for k in kernels], pixel_embed)
    config = replace(LOOSE, similarity_threshold=0.6)
    placement = Placement((4, 4), (4, 4), (4, 4))
    (got,) = merge(output, TAXONOMY, config, [placement], ALL)
    assert len(got.panoptic.segments) == len(got.instances) == 1
    np.testing.assert_array_equal(got.panoptic.ids, [[1, 0, 1, 0]] * 4)
    mean = torch.sigmoid(torch.tensor(8.0, dtype=torch.float64)).item()
    assert got.panoptic.segments[0].score == pytest.approx(0.9 * mean)
    (apart,) = merge(output, TAXONOMY, LOOSE, [placement], ALL)
    assert len(apart.instances) == 2


# -- normal cases ------------------------------------------------------------------------------------------------


def boxes(*specs, size=(32, 32), num_classes=5, sharp=40.0):
    """Queries (score, label, (top, bottom, left, right), logit inside) with one embedding channel each."""
    pixel_embed = torch.full((len(specs), *size), -sharp, dtype=torch.float64)
    for channel, (_, _, (top, bottom, left, right), inside) in enumerate(specs):
        pixel_embed[channel, top:bottom, left:right] = inside
    rows = [class_row(score, label, num_classes) for score, label, _, _ in specs]
    return assemble(rows, torch.eye(len(specs), dtype=torch.float64), pixel_embed)


def test_no_candidate_at_all_is_all_void():
    output = boxes((0.0, 0, (0, 32, 0, 32), 9.0), (0.0, 1, (0, 32, 0, 32), 9.0))
    (got,) = merge(output, TAXONOMY, coco(), [PADDED], ALL)
    assert got.panoptic.segments == () and not got.panoptic.ids.any()
    assert got.instances == () and (got.semantic == -1).all()
    assert got.panoptic.size == got.semantic.shape == PADDED.original


def test_an_output_without_queries_is_all_void():
    output = boxes((0.9, 0, (0, 32, 0, 32), 9.0))
    none = replace(
        output,
        class_logits=output.class_logits[:, :0],
        mask_logits=output.mask_logits[:, :0],
        query_embed=output.query_embed[:, :0],
    )
    (got,) = merge(none, TAXONOMY, coco(), [SAME], ALL)
    assert got.instances == () and not got.panoptic.ids.any()


@pytest.mark.parametrize("is_thing", [True, False])
def test_one_class_only(is_thing):
    taxonomy = plain_taxonomy(["it"], things=["it"] if is_thing else [])
    output = boxes((0.9, 0, (0, 32, 0, 16), 9.0), (0.8, 0, (0, 32, 10, 32), 9.0), num_classes=1)
    (got,) = merge(output, taxonomy, LOOSE, [SAME], ALL)
    assert_equals_oracle(got, output, 0, LOOSE, SAME, taxonomy)
    assert len(got.panoptic.segments) == (2 if is_thing else 1)
    assert len(got.instances) == (2 if is_thing else 0)


@pytest.mark.parametrize("things", [(), TAXONOMY.names])
def test_taxonomies_without_things_or_without_stuff(things):
    taxonomy = plain_taxonomy(TAXONOMY.names, things=things)
    output = random_queries(5, taxonomy, (16, 24))
    (got,) = merge(output, taxonomy, LOOSE, [PADDED], ALL)
    assert_equals_oracle(got, output, 0, LOOSE, PADDED, taxonomy)
    assert got.panoptic.segments
    assert bool(got.instances) == bool(things)


def test_no_pixel_of_a_thing_is_painted_twice_and_instances_keep_theirs():
    output = boxes((0.9, 0, (0, 32, 0, 20), 9.0), (0.8, 2, (0, 32, 12, 32), 9.0))
    (got,) = merge(output, TAXONOMY, LOOSE, [SAME], ALL)
    assert np.bincount(got.panoptic.ids.reshape(-1)).tolist() == [0, 32 * 20, 32 * 12]
    assert [coco_mask.area(i.mask) for i in got.instances] == [32 * 20, 32 * 20]


@pytest.mark.parametrize(("width", "segments"), [(16, 2), (17, 1)])
def test_a_thing_with_just_half_of_its_mask_taken_is_painted(width, segments):
    output = boxes((0.9, 0, (0, 32, 0, width), 9.0), (0.8, 2, (0, 32, 0, 32), 9.0))
    (got,) = merge(output, TAXONOMY, LOOSE, [SAME], ALL)
    assert len(got.panoptic.segments) == segments and len(got.instances) == 2


def test_things_of_equal_score_are_painted_in_the_order_of_queries():
    output = boxes((0.9, 2, (0, 32, 0, 20), 9.0), (0.9, 0, (0, 32, 12, 32), 9.0))
    (got,) = merge(output, TAXONOMY, LOOSE, [SAME], ALL)
    assert [s.class_index for s in got.panoptic.segments] == [2, 0]
    assert (got.panoptic.ids[:, :20] == 1).all() and (got.panoptic.ids[:, 20:] == 2).all()


def test_an_unsure_mask_falls_behind_a_sure_one_of_lower_peak():
    """0.9 times sigmoid(0.5) is less than 0.8 times sigmoid(9)."""
    output = boxes((0.9, 0, (0, 32, 0, 20), 0.5), (0.8, 2, (0, 32, 12, 32), 9.0))
    (got,) = merge(output, TAXONOMY, LOOSE, [SAME], ALL)
    assert [s.class_index for s in got.panoptic.segments] == [2, 0]
    assert got.instances[1].score == pytest.approx(0.9 * torch.tensor(0.5).sigmoid().item(), rel=1e-6)


def test_a_weak_thing_is_an_instance_only():
    output = boxes((0.15, 0, (0, 32, 0, 20), 9.0))
    (got,) = merge(output, TAXONOMY, LOOSE, [SAME], ALL)
    assert got.panoptic.segments == () and [i.class_index for i in got.instances] == [0]


@pytest.mark.parametrize(("threshold", "painted"), [(0.5, False), (0.4999, True)])
def test_a_score_equal_to_its_threshold_fails(threshold, painted):
    config = replace(LOOSE, peak_threshold=threshold, region_threshold=threshold)
    for label in (0, 1):
        output = boxes((0.5, label, (0, 32, 0, 32), 9.0))
        (got,) = merge(output, TAXONOMY, config, [SAME])
        assert bool(got.panoptic.segments) == painted


@pytest.mark.parametrize(("limit", "kept"), [(32 * 12, True), (32 * 12 + 1, False)])
def test_small_stuff_is_void_but_has_a_class(limit, kept):
    output = boxes((0.9, 0, (0, 32, 0, 20), 9.0), (0.9, 3, (0, 32, 0, 32), 9.0))
    (got,) = merge(output, TAXONOMY, replace(LOOSE, stuff_area_limit=limit), [SAME], ALL)
    assert [s.class_index for s in got.panoptic.segments] == ([0, 3] if kept else [0])
    assert (got.semantic[:, 20:] == 3).all() and (got.semantic[:, :20] == 0).all()


def test_stuff_levels_are_averaged_into_one_segment():
    output = boxes((0.6, 3, (0, 32, 0, 32), 9.0), (0.2, 3, (0, 32, 0, 32), 9.0), (0.01, 3, (0, 32, 0, 32), -99.0))
    (got,) = merge(output, TAXONOMY, LOOSE, [SAME])
    assert [s.class_index for s in got.panoptic.segments] == [3]
    assert got.panoptic.segments[0].score == pytest.approx(0.4)
    assert (got.panoptic.ids == 1).all()


def test_the_region_of_things_keeps_stuff_away_but_paints_nothing():
    stuff, things = (0.9, 3, (0, 32, 0, 32), 0.0), (0.9, None, (0, 32, 0, 16), 9.0)
    (got,) = merge(boxes(stuff, things), TAXONOMY, LOOSE, [SAME], ALL)
    assert (got.panoptic.ids[:, :16] == 0).all() and (got.panoptic.ids[:, 16:] == 1).all()
    assert (got.semantic[:, :16] == -1).all() and got.instances == ()
    (without,) = merge(boxes(stuff, (0.04, *things[1:])), TAXONOMY, LOOSE, [SAME], ALL)
    assert (without.panoptic.ids == 1).all()


def test_masks_may_touch_every_border():
    everything, columns = (0, 8, 0, 8), (0, 8, 3, 5)
    output = boxes((0.9, 0, everything, 9.0), (0.8, 2, columns, 9.0), (0.7, 2, (5, 8, 6, 8), 9.0), size=(8, 8))
    placement = Placement((8, 8), (8, 8), (8, 8))
    (got,) = merge(output, TAXONOMY, LOOSE, [placement], ALL)
    assert [coco_mask.area(i.mask) for i in got.instances] == [64, 16, 6]
    again = [coco_mask.encode(np.asfortranarray(coco_mask.decode(i.mask))) for i in got.instances]
    assert again == [i.mask for i in got.instances]  # the one canonical encoding


# -- precision, memory, refusals ---------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
def test_lower_precision_and_autocast_are_decided_in_single_precision(dtype):
    output = random_queries(6, TAXONOMY, (16, 24))
    names = ("class_logits", "mask_logits", "query_embed")
    lower = replace(output, **{name: getattr(output, name).to(dtype) for name in names})
    exact = replace(output, **{name: getattr(lower, name).float() for name in names})
    (expected,) = merge(exact, TAXONOMY, LOOSE, [PADDED], ALL)
    with torch.autocast("cpu", torch.bfloat16):
        (got,) = merge(lower, TAXONOMY, LOOSE, [PADDED], ALL)
    np.testing.assert_array_equal(got.panoptic.ids, expected.panoptic.ids)
    np.testing.assert_array_equal(got.semantic, expected.semantic)
    assert got.panoptic.segments == expected.panoptic.segments and got.instances == expected.instances
    assert_equals_oracle(expected, exact, 0, LOOSE, PADDED, tolerance=1e-5)


@pytest.mark.parametrize("step", [(3, 7), (1000, 1000)])
def test_tiles_change_nothing(step, monkeypatch):
    monkeypatch.setattr("pantile.merge.probability_tiles._CPU_TILE", step)
    monkeypatch.setattr("pantile.merge.probability_tiles._CPU_TILE_OF_ONE", step)
    output = random_queries(4, TAXONOMY, (16, 24), region_of_things=True)
    (got,) = merge(output, TAXONOMY, LOOSE, [PADDED], ALL)
    assert_equals_oracle(got, output, 0, LOOSE, PADDED)


class LargestTensor(TorchDispatchMode):
    """Records the number of elements of the largest tensor that any operation returns."""

    elements = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        self.elements = max([self.elements, *(t.numel() for t in tree_leaves(result) if isinstance(t, torch.Tensor))])
        return result


def test_no_tensor_has_the_size_of_the_image_nor_of_all_queries():
    output = random_queries(4, TAXONOMY, (16, 24), objects=20, levels=5)
    placement = replace(PADDED, content=(64, 96), original=(320, 480))
    with LargestTensor() as largest:
        (got,) = merge(output, TAXONOMY, replace(LOOSE, object_threshold=0.0), [placement], ALL)
    assert len(got.instances) > 15
    assert output.num_queries > 100
    mask_logits = output.mask_logits.numel()  # is itself seen, as rows of the batch are taken
    assert mask_logits < 80_000 and largest.elements <= mask_logits < 320 * 480 // 2


def test_the_callers_output_is_not_written_to():
    output = random_queries(4, TAXONOMY, (16, 24))
    before = [t.clone() for t in vars(output).values() if isinstance(t, torch.Tensor)]
    merge(output, TAXONOMY, LOOSE, [PADDED], ALL)
    after = [t for t in vars(output).values() if isinstance(t, torch.Tensor)]
    assert all(torch.equal(a, b) for a, b in zip(before, after, strict=True))


def test_disagreeing_inputs_are_refused():
    output = random_queries(0, TAXONOMY, (16, 24))
    with pytest.raises(UserError, match="2 placements"):
        merge(output, TAXONOMY, LOOSE, [PADDED, PADDED])
    with pytest.raises(UserError, match="5 classes but the taxonomy has 1"):
        merge(output, plain_taxonomy(["cat"], things=["cat"]), LOOSE, [PADDED])


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("peak_threshold", 1.5),
        ("region_threshold", -0.1),
        ("similarity_threshold", -1.5),
        ("mask_threshold", 40),
        ("instance_threshold", -1),
        ("object_threshold", 2),
        ("overlap_threshold", 1.1),
        ("instances", 0),
        ("stuff_area_limit", -1),
        ("thing_area_limit", -5),
    ],
)
def test_settings_out_of_range_are_refused(field, value):
    with pytest.raises(UserError, match=f"merge.{field} is {value}"):
        PanopticFCNMergeConfig(**{field: value})


def test_presets_hold_the_published_thresholds():
    def table(c):
        return (
            c.peak_threshold, c.region_threshold, c.similarity_threshold, c.mask_threshold, c.instances,
            c.stuff_area_limit,
        )  # fmt: skip

    assert table(coco()) == (0.05, 0.05, 0.9, 0.4, 100, 4096)
    assert table(coco(fast=True)) == (0.2, 0.1, 0.9, 0.4, 100, 4096)
    assert table(cityscapes()) == (0.01, 0.1, 0.97, 0.5, 200, 2048)
    assert table(mapillary()) == (0.2, 0.1, 0.95, 0.5, 200, 2048)
    for preset in (coco(), coco(fast=True), cityscapes(), mapillary()):
        others = (preset.instance_threshold, preset.object_threshold, preset.overlap_threshold, preset.thing_area_limit)
        assert others == (0.05, 0.2, 0.5, 0)
