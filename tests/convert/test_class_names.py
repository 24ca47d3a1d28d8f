"""Classes of foreign checkpoints: a known list, their own labels, or numbers; and which are things."""

import pytest

from pantile.convert.class_names import KNOWN, name_classes
from pantile.data.classes import ade20k, cityscapes, coco, mapillary


def test_the_lists_have_the_published_sizes():
    sizes = {name: (len(t), len(t.thing_indices)) for name, t in (
        ("coco", coco.TAXONOMY), ("ade20k", ade20k.TAXONOMY), ("cityscapes", cityscapes.TAXONOMY),
        ("mapillary", mapillary.TAXONOMY),
    )}  # fmt: skip
    assert sizes == {"coco": (133, 80), "ade20k": (150, 100), "cityscapes": (19, 8), "mapillary": (65, 37)}
    semantic = {59, 60, 171, 847, 1284}
    assert set(KNOWN) == {133, 80, 150, 100, 19, 8, 65, 37} | semantic


def test_cocos_list_is_the_official_one(real_data):
    import json

    from pantile.contracts.taxonomy import Taxonomy

    path = real_data / "coco_sample" / "annotations" / "panoptic_coco_categories.json"
    assert Taxonomy.from_coco(json.loads(path.read_text())) == coco.TAXONOMY


def test_known_counts_take_the_data_sets_own_names():
    assert name_classes(133, None, "x") is coco.TAXONOMY
    assert name_classes(80, None, "x").names == coco.TAXONOMY.names[:80]
    assert name_classes(19, [f"LABEL_{k}" for k in range(19)], "x") is cityscapes.TAXONOMY
    spelt_otherwise = [f"{name.title()}, something; else " for name in cityscapes.TAXONOMY.names]
    assert name_classes(19, spelt_otherwise, "x") is cityscapes.TAXONOMY
    merged = [name.replace("-merged", "").replace("-other", "") for name in coco.TAXONOMY.names]
    assert name_classes(133, merged, "x") is coco.TAXONOMY


def test_other_labels_stay_and_things_are_looked_up():
    labels = ["Person", "wall-brick", "tree", "sofa", "sky", "road", "bus", "grass"]
    with pytest.warns(UserWarning, match="x: whether lichen, moss are things or stuff"):
        taxonomy = name_classes(10, [*labels, "lichen", "moss"], "x")
    assert taxonomy.names == (*labels, "lichen", "moss")
    assert [taxonomy.names[k] for k in taxonomy.thing_indices] == ["Person", "sofa", "bus", "lichen", "moss"]
    own = name_classes(8, labels, "x")  # as many as Cityscapes has things, but others
    assert own.names == tuple(labels)


def test_repeated_labels_are_told_apart():
    assert name_classes(3, ["car", "car", "sky"], "x").names == ("car", "car (2)", "sky")


def test_without_labels_they_are_numbered():
    with pytest.warns(UserWarning, match="x: its 3 classes have no names.*--categories"):
        taxonomy = name_classes(3, None, "x")
    assert taxonomy.names == ("class 0", "class 1", "class 2") and len(taxonomy.thing_indices) == 3
