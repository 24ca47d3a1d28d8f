"""Instances and classes per pixel of models with a softmax over queries, against plain loops at full resolution."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from merge_oracle import scene
from pycocotools import mask as coco_mask
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from pantile.contracts.errors import UserError
from pantile.contracts.outputs import MaskOutput
from pantile.contracts.placement import Placement
from pantile.contracts.taxonomy import plain_taxonomy
from pantile.merge import MaskMergeConfig, coco, max_deeplab, merge

TAXONOMY = plain_taxonomy(["cat", "dog", "sky", "road", "wall"], things=["cat", "dog"])
ODD = Placement(padded=(65, 97), content=(49, 97), original=(30, 60))
SHRUNK = Placement(padded=(65, 65), content=(65, 41), original=(37, 23))
EVEN = Placement(padded=(64, 96), content=(64, 90), original=(81, 44))
WIDE = Placement(padded=(32, 320), content=(32, 300), original=(7, 301))
SAME = Placement(padded=(33, 33), content=(33, 33), original=(33, 33))
LOGITS_SIZE = {ODD: (17, 25), SHRUNK: (17, 17), EVEN: (16, 24), WIDE: (8, 80), SAME: (33, 33)}
NAMES = ["odd", "shrunk", "even", "wide", "same"]
CONFIGS = {
    "mask-wise": coco(),
    "mask-wise, ids last": coco("tensorflow"),
    "pixel-wise": max_deeplab(),
    "pixel-wise, logits first": MaskMergeConfig(kind="pixel_wise", pixel_confidence=0.6, chunk_rows=7),
}
ALL = frozenset({"panoptic", "instance", "semantic"})


def softmax(values: list[float]) -> list[float]:
    top = max(values)
    powers = [math.exp(value - top) for value in values]
    return [power / sum(powers) for power in powers]


def shares_of_pixels(output: MaskOutput, image: int, placement: Placement) -> list[list[list[float]]]:
    """[y][x][query]: the softmax over queries, logits resized to the padded input, cropped, resized to the original."""
    aligned = placement.padded[1] % 2 == 1
    logits = output.mask_logits[image : image + 1].double()
    padded = F.interpolate(logits, placement.padded, mode="bilinear", align_corners=aligned)
    content = padded[:, :, : placement.content[0], : placement.content[1]]
    full = F.interpolate(content, placement.original, mode="bilinear", align_corners=aligned)[0]
    return [[softmax(pixel) for pixel in row] for row in full.permute(1, 2, 0).tolist()]


def class_probabilities(output: MaskOutput, image: int) -> list[list[float]]:
    """[query][class]; no-object only takes part in the softmax."""
    return [softmax(logits)[:-1] for logits in output.class_logits[image].double().tolist()]


def oracle_semantic(output: MaskOutput, image: int, placement: Placement) -> list[list[int]]:
    by_class = list(zip(*class_probabilities(output, image), strict=True))

    def winner(shares: list[float]) -> int:
        votes = [sum(p * s for p, s in zip(of_queries, shares, strict=True)) for of_queries in by_class]
        return votes.index(max(votes))

    return [[winner(pixel) for pixel in row] for row in shares_of_pixels(output, image, placement)]


def oracle_instances(
    output: MaskOutput, image: int, config: MaskMergeConfig, placement: Placement
) -> list[tuple[int, float, list[list[bool]]]]:
    """(class index, score, mask), best score first."""
    classes, shares = class_probabilities(output, image), shares_of_pixels(output, image, placement)
    pairs = [(classes[q][k], q, k) for q in range(output.num_queries) for k in TAXONOMY.thing_indices]
    found = []
    for score, query, label in sorted(pairs, key=lambda pair: -pair[0])[: config.instances]:
        mask = [[pixel[query] > config.pixel_confidence for pixel in row] for row in shares]
        inside = [pixel[query] for row in shares for pixel in row if pixel[query] > config.pixel_confidence]
        if inside:
            found.append((label, score * sum(inside) / len(inside), mask))
    return sorted(found, key=lambda instance: -instance[1])


def assert_equals_oracle(got, output, image, config, placement):
    assert got.semantic.dtype == np.int32
    np.testing.assert_array_equal(got.semantic, oracle_semantic(output, image, placement))
    expected = oracle_instances(output, image, config, placement)
    assert [i.class_index for i in got.instances] == [label for label, _, _ in expected]
    assert [i.score for i in got.instances] == pytest.approx([score for _, score, _ in expected], rel=1e-9)
    for instance, (_, _, mask) in zip(got.instances, expected, strict=True):
        np.testing.assert_array_equal(coco_mask.decode(instance.mask).astype(bool), mask)


def blobs(seed: int, placement: Placement, queries: int = 9, **options) -> MaskOutput:
    return scene(seed, queries, TAXONOMY, LOGITS_SIZE[placement], confidence=3.0, **options)


@pytest.mark.parametrize("placement", LOGITS_SIZE, ids=NAMES)
@pytest.mark.parametrize("name", CONFIGS)
def test_both_tasks_equal_plain_loops(name, placement):
    output = blobs(len(name), placement)
    (got,) = merge(output, TAXONOMY, CONFIGS[name], [placement], ALL)
    assert got.instances
    assert_equals_oracle(got, output, 0, CONFIGS[name], placement)


@pytest.mark.parametrize("count", [1, 5])
def test_only_the_best_pairs_of_query_and_class_become_instances(count):
    config = replace(coco(), instances=count)
    output = blobs(7, SAME)
    (got,) = merge(output, TAXONOMY, config, [SAME], ALL)
    assert 0 < len(got.instances) <= count
    assert_equals_oracle(got, output, 0, config, SAME)


@pytest.mark.parametrize("strip", [1, 70, 10**6])
def test_strips_of_columns_change_no_instance(strip, monkeypatch):
    monkeypatch.setattr("pantile.merge.masks._STRIP_PIXELS", strip)
    output = blobs(4, ODD)
    (got,) = merge(output, TAXONOMY, coco(), [ODD], ALL)
    assert_equals_oracle(got, output, 0, coco(), ODD)


def test_instances_may_share_pixels_that_the_panoptic_map_gives_to_one():
    logits = torch.zeros(1, 3, 33, 33)
    logits[0, 2] = -9.0
    class_logits = torch.full((1, 3, 6), -9.0)
    class_logits[0, [0, 1, 2], [0, 1, 2]] = 9.0
    (got,) = merge(_output(class_logits, logits), TAXONOMY, replace(coco(), instances=2), [SAME], ALL)
    assert [s.class_index for s in got.panoptic.segments] == [0]
    assert [i.class_index for i in got.instances] == [0, 1]
    assert all(coco_mask.area(i.mask) == 33 * 33 for i in got.instances)
    assert [i.score for i in got.instances] == pytest.approx([0.5, 0.5], abs=1e-3)


def test_batch_of_different_placements():
    output = blobs(3, ODD, images=2)
    placements = [ODD, replace(ODD, content=(65, 33), original=(20, 11))]
    predictions = merge(output, TAXONOMY, coco(), placements, ALL)
    for image, (got, placement) in enumerate(zip(predictions, placements, strict=True)):
        assert_equals_oracle(got, output, image, coco(), placement)


@pytest.mark.parametrize("task", ["instance", "semantic"])
def test_a_task_that_was_not_asked_for_is_none_and_changes_no_panoptic_map(task):
    output = blobs(1, EVEN)
    (alone,) = merge(output, TAXONOMY, coco(), [EVEN])
    (got,) = merge(output, TAXONOMY, coco(), [EVEN], frozenset({"panoptic", task}))
    assert alone.instances is None and alone.semantic is None
    assert (got.instances is None, got.semantic is None) == (task != "instance", task != "semantic")
    np.testing.assert_array_equal(got.panoptic.ids, alone.panoptic.ids)
    assert got.panoptic.segments == alone.panoptic.segments


def test_no_surviving_query_still_has_classes_and_a_taxonomy_without_things_no_instances():
    output = blobs(0, SAME)
    class_logits = output.class_logits.clone()
    class_logits[..., -1] += 30.0
    nothing = replace(output, class_logits=class_logits)
    stuff = plain_taxonomy(TAXONOMY.names, things=[])
    (got,) = merge(nothing, stuff, coco(), [SAME], ALL)
    assert got.panoptic.segments == () and got.instances == ()
    np.testing.assert_array_equal(got.semantic, oracle_semantic(nothing, 0, SAME))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
def test_lower_precision_and_autocast_are_decided_in_single_precision(dtype):
    output = blobs(6, EVEN, dtype=dtype)
    exact = replace(output, class_logits=output.class_logits.float(), mask_logits=output.mask_logits.float())
    (expected,) = merge(exact, TAXONOMY, coco(), [EVEN], ALL)
    with torch.autocast("cpu", torch.bfloat16):
        (got,) = merge(output, TAXONOMY, coco(), [EVEN], ALL)
    np.testing.assert_array_equal(got.semantic, expected.semantic)
    assert got.instances == expected.instances


class LargestTensor(TorchDispatchMode):
    """Records the number of elements of the largest tensor that any operation returns."""

    elements = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        self.elements = max([self.elements, *(t.numel() for t in tree_leaves(result) if isinstance(t, torch.Tensor))])
        return result


def test_memory_does_not_grow_with_queries_times_resolution():
    queries, placement = 64, Placement((512, 1024), (512, 1024), (512, 1024))
    output = scene(0, queries, TAXONOMY, (32, 64), dtype=torch.float32)
    with LargestTensor() as recorder:
        (got,) = merge(output, TAXONOMY, coco(), [placement], ALL)
    assert got.instances
    assert recorder.elements < queries * 512 * 1024 / 20


def test_a_count_of_instances_out_of_range_is_refused():
    with pytest.raises(UserError, match=r"merge\.instances is 0"):
        MaskMergeConfig(instances=0)


def _output(class_logits, mask_logits):
    none = torch.zeros(1, 1, 1)
    return MaskOutput(class_logits, mask_logits, none, none[..., None], none[..., None])
