"""Panoptic-DeepLab's target maps against loops over instances and pixels."""

import sys
from dataclasses import fields

import center_scenes
import naive_centers
import pytest
import torch
from center_scenes import IS_THING, painted, targets_of

from pantile.losses.center_targets import center_targets


def naive_maps(targets, **options):
    images = zip(targets.ids.tolist(), targets.classes.tolist(), targets.crowd.tolist(), strict=True)
    return [naive_centers.targets_of(*image, IS_THING.tolist(), **options) for image in images]


def stacked(maps, name):
    return torch.tensor([m[name] for m in maps], dtype=torch.float64)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"sigma": 1.0, "small_area": 12, "small_weight": 2.5},
        {"sigma": 2.0, "small_area": 1, "crowd_in_semantic": False},
    ],
    ids=["defaults", "small windows", "crowd is void"],
)
@pytest.mark.parametrize("case", center_scenes.CASES)
def test_maps_equal_loops(case, options):
    targets = center_scenes.CASES[case]()
    ours = center_targets(targets, IS_THING, **options)
    naive = naive_maps(targets, **options)

    assert torch.equal(ours.semantic, stacked(naive, "semantic").long())
    assert torch.equal(ours.semantic_weight.double(), stacked(naive, "semantic_weight"))
    assert torch.equal(ours.heatmap_weight[:, 0].double(), stacked(naive, "heatmap_weight"))
    assert torch.equal(ours.offset_weight[:, 0].double(), stacked(naive, "offset_weight"))
    assert torch.equal(ours.offset.double(), stacked(naive, "offset").permute(0, 3, 1, 2))
    torch.testing.assert_close(ours.heatmap[:, 0].double(), stacked(naive, "heatmap"), rtol=1e-6, atol=1e-7)
    for image, maps in enumerate(naive):
        assert ours.instances[image].nonzero().flatten().tolist() == sorted(maps["centers"])
        assert ours.present[image].nonzero().flatten().tolist() == sorted(maps["visible"])


@pytest.mark.parametrize("case", center_scenes.CASES)
def test_offsets_may_lead_to_the_mean_position(case):
    targets = center_scenes.CASES[case]()
    ours = center_targets(targets, IS_THING, offset_to="mean")
    expected = stacked(naive_maps(targets), "mean_offset").permute(0, 3, 1, 2)
    torch.testing.assert_close(ours.offset.double(), expected, rtol=0, atol=1e-6)
    assert torch.equal(ours.heatmap, center_targets(targets, IS_THING).heatmap)


def test_shapes_and_types():
    ours = center_targets(center_scenes.CASES["random"](), IS_THING)
    shapes = {f.name: tuple(getattr(ours, f.name).shape) for f in fields(ours)}
    maps = {"semantic": (2, 12, 14), "semantic_weight": (2, 12, 14), "offset": (2, 2, 12, 14)}
    maps |= dict.fromkeys(("heatmap", "heatmap_weight", "offset_weight"), (2, 1, 12, 14))
    assert shapes == maps | dict.fromkeys(("present", "instances"), (2, 11))
    assert ours.semantic.dtype == torch.int64
    assert {getattr(ours, name).dtype for name in maps if name != "semantic"} == {torch.float32}


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int16, torch.int32])
def test_any_integer_type_of_ids(dtype):
    ids, classes, crowd = center_scenes.random_image((14, 17), 6, 0)
    wide, narrow = targets_of((ids, classes, crowd)), targets_of((ids.to(dtype), classes, crowd))
    for field in fields(center_targets(wide, IS_THING)):
        assert torch.equal(
            getattr(center_targets(wide, IS_THING), field.name), getattr(center_targets(narrow, IS_THING), field.name)
        )


def test_a_gaussian_ends_at_its_window():
    """deeplab2's window of 6 * 8 + 3 = 51 pixels: the 25th pixel from the centre is the last with heat."""
    targets = targets_of(painted((61, 61), [(0, slice(30, 31), slice(30, 31))], [0]))
    heat = center_targets(targets, IS_THING).heatmap[0, 0]
    assert heat[30, 30] == 1
    assert int((heat > 0).sum()) == 51 * 51
    assert heat[5, 55] > 0
    assert heat[4, 30] == heat[30, 56] == 0


def test_small_is_strictly_below_the_area():
    regions = [(0, slice(0, 2), slice(0, 5)), (1, slice(3, 5), slice(0, 5)), (1, slice(5, 6), slice(0, 1))]
    weight = center_targets(targets_of(painted((9, 9), regions, [0, 0])), IS_THING, small_area=11).semantic_weight[0]
    assert weight[0, 0] == 3
    assert weight[3, 0] == 1  # 11 pixels
    assert weight[8, 8] == 0  # void


def test_a_centre_is_the_same_whatever_the_other_rows():
    """Padding of the table, as from a longer table in the batch, leaves no trace."""
    alone = targets_of(center_scenes.u_shape())
    batched = targets_of(center_scenes.u_shape(), center_scenes.random_image((13, 15), 40, 5))
    for field in fields(center_targets(alone, IS_THING))[:6]:
        a, b = (getattr(center_targets(t, IS_THING), field.name)[0] for t in (alone, batched))
        assert torch.equal(a, b)


def test_many_instances_in_several_portions(monkeypatch):
    targets = targets_of(center_scenes.random_image((14, 17), 11, 2))
    at_once = center_targets(targets, IS_THING).heatmap
    monkeypatch.setattr(sys.modules[center_targets.__module__], "_WINDOW_PIXELS", 2 * 51 * 51)
    assert torch.equal(center_targets(targets, IS_THING).heatmap, at_once)


def test_mean_positions_are_exact_on_large_maps():
    """A sum of positions above 2**24, which float32 would round: the mean 700.5 must round to the even 700."""
    targets = targets_of(painted((1402, 200), [(0, slice(0, 1402), slice(0, 200))], [0]))
    ours = center_targets(targets, IS_THING)
    assert ours.offset[0, :, 0, 0].tolist() == [700, 100]  # 99.5 rounds to 100
    assert ours.heatmap[0, 0, 700, 100] == 1
