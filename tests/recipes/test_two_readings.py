"""kMaX-DeepLab by its PyTorch port, ReMaX by deeplab2: each family's docstring says how to have the other's reading."""

import re
from dataclasses import replace

import pytest

from pantile.engine.config import override
from pantile.recipes import kmax, make_recipe, remax
from pantile.recipes import panoptic_deeplab as centers


def settings_in(docstring: str) -> list[str]:
    """Of the only ``--set`` that it shows."""
    (shown,) = re.findall(r"``--set (.*?)``", docstring, re.DOTALL)
    return shown.split()


def test_kmax_with_deeplab2s_reading_has_the_data_and_merge_of_remax() -> None:
    ours, theirs = make_recipe("kmax_r50_coco"), make_recipe("remax_b_coco")
    assert (ours.augment, ours.merge) != (theirs.augment, theirs.merge)
    changed = override(ours, settings_in(kmax.__doc__))
    assert (changed.augment, changed.merge) == (theirs.augment, theirs.merge)


def test_remax_with_the_ports_reading_has_the_data_and_merge_of_kmax() -> None:
    port = make_recipe("kmax_r50_coco")
    changed = override(make_recipe("remax_b_coco"), settings_in(remax.__doc__))
    assert changed.augment == replace(port.augment, scale_range=(0.3, 1.7))  # which the paper gives
    assert changed.merge == port.merge


@pytest.mark.parametrize("name", ["kmax_r50_coco", "kmax_r50_cityscapes", "kmax_convnext_large_ade20k_641"])
def test_kmax_pads_in_the_corner(name) -> None:
    assert make_recipe(name).augment.pad_position == "bottom_right"


@pytest.mark.parametrize(
    ("name", "magnitude"),
    [
        ("remax_b_coco", 1.0),
        ("remax_r50_ade20k_641", 1.0),
        ("remax_r50_cityscapes", 0.2),
        ("panoptic_deeplab_r50_coco", 0.2),
        ("panoptic_deeplab_wr41_coco", 0.0),
        ("kmax_r50_coco", 0.0),
    ],
)
def test_colours(name, magnitude) -> None:
    augment = make_recipe(name).augment
    assert augment.policy_magnitude == magnitude
    assert augment.ssd_jitter == name.startswith("kmax")


@pytest.mark.parametrize(
    ("name", "thing", "stuff"),
    [("remax_b_coco", 400, 6400), ("remax_m_coco", 100, 1600), ("remax_r50_cityscapes", 256, 2048)],
)
def test_area_limits_of_remax(name, thing, stuff) -> None:
    merge = make_recipe(name).merge
    assert (merge.thing_area_limit, merge.stuff_area_limit, merge.resize_order) == (thing, stuff, "ids_last")


def test_the_policy_of_panoptic_deeplab_is_the_papers() -> None:
    ours = make_recipe("panoptic_deeplab_r50_coco").augment
    assert ours == centers.panoptic_deeplab_coco(make_recipe("panoptic_deeplab_nano").model, autoaugment=True).augment
