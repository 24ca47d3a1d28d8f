"""Formats of one or two label PNGs per image, and data sets that the package reads already."""

import json

import numpy as np
import pytest

from labels.tiny_labels import (
    CATEGORIES,
    meaning,
    photo,
    pixels_of,
    result,
    run,
    save,
    write_ade20k_full,
    write_json,
    write_pairs,
    write_rgb_labels,
)
from pantile.contracts.errors import UserError
from pantile.data import CocoPanoptic

CLASSES = np.array([[3, 3, 3, 0], [3, 3, 7, 255], [7, 7, 7, 7]], dtype=np.uint8)
NUMBERS = np.array([[1, 1, 2, 9], [0, 0, 5, 9], [0, 0, 6, 6]], dtype=np.uint8)
GRASS = ("grass", False, pixels_of(CLASSES == 7))
CATS = {
    ("cat", False, (0, 1)),
    ("cat", False, (2,)),
    ("cat", True, (4, 5)),
}


@pytest.mark.parametrize("depth", [np.uint8, np.uint16, "rgb"])
def test_pairs(tmp_path, depth):
    numbers = NUMBERS.astype(np.uint16) * 200 if depth == np.uint16 else NUMBERS
    if depth == "rgb":
        numbers = np.stack([NUMBERS * 0, NUMBERS, NUMBERS * 3], -1)
    run(write_pairs(tmp_path / "src", CLASSES, numbers), tmp_path / "dst", "png-pairs")
    assert result(tmp_path / "dst") == CATS | {GRASS}


def test_semantic_alone_has_things_as_crowd(tmp_path):
    report = run(write_pairs(tmp_path / "src", CLASSES, None), tmp_path / "dst", "semantic")
    assert result(tmp_path / "dst") == {("cat", True, pixels_of(CLASSES == 3)), GRASS}
    assert any("crowd" in note for note in report.all_notes)


def test_255_is_a_class_where_the_list_has_it(tmp_path):
    src = write_pairs(tmp_path / "src", CLASSES, None)
    write_json([*CATEGORIES, {"id": 255, "name": "sky", "isthing": 0}], src / "classes.json")
    run(src, tmp_path / "dst", "semantic")
    assert ("sky", False, (7,)) in result(tmp_path / "dst")


def test_pairs_refuse_what_does_not_fit(tmp_path):
    src = write_pairs(tmp_path / "src", CLASSES, NUMBERS[:2])
    with pytest.raises(UserError, match="make both the same size"):
        run(src, tmp_path / "dst", "png-pairs")
    src = write_pairs(tmp_path / "unknown", np.where(CLASSES == 7, 8, CLASSES).astype(np.uint8), NUMBERS)
    with pytest.raises(UserError, match="5 pixels of class 8, which the list of classes lacks"):
        run(src, tmp_path / "dst", "png-pairs")
    (src / "images" / "train" / "a.png").unlink()
    with pytest.raises(UserError, match="has no image of that name"):
        run(src, tmp_path / "dst", "png-pairs")


def test_images_without_label_are_told(tmp_path):
    src = write_pairs(tmp_path / "src", CLASSES, NUMBERS)
    photo(src / "images" / "train" / "b.png")
    report = run(src, tmp_path / "dst", "png-pairs")
    assert report.notes == ["1 images beside those of split 'train' have no label and were left out."]


def test_two_channel(tmp_path):
    classes = np.where(CLASSES == 255, 0, CLASSES)
    numbers = np.where((CLASSES == 3) & (NUMBERS == 0), 255, NUMBERS)
    numbers[0, :2] = 0  # numbers count from 0 here
    src = write_rgb_labels(tmp_path / "src", "annotations/panoptic_2ch_train", classes, numbers)
    run(src, tmp_path / "dst", "two-channel")
    assert result(tmp_path / "dst") == CATS | {GRASS}


@pytest.mark.parametrize("folder", ["annotations/train", "annotation/train", "annotations"])
def test_three_channel(tmp_path, folder):
    classes = np.where(CLASSES == 255, 0, CLASSES)
    src = write_rgb_labels(tmp_path / "src", folder, classes, NUMBERS)
    (src / "classes.json").unlink()
    write_json({"0": "background", "3": "cat", "7": "grass"}, src / "id2label.json")
    report = run(src, tmp_path / "dst", "three-channel", stuff=("grass",))
    assert result(tmp_path / "dst") == CATS | {GRASS}
    assert report.taxonomy.names == ("cat", "grass")


def test_three_channel_class_0_may_be_a_class(tmp_path):
    classes = np.where(CLASSES == 255, 0, CLASSES)
    src = write_rgb_labels(tmp_path / "src", "annotations/train", classes, NUMBERS)
    write_json([*CATEGORIES, {"id": 0, "name": "wall", "isthing": 0}], src / "classes.json")
    run(src, tmp_path / "dst", "three-channel")
    assert ("wall", False, pixels_of(classes == 0)) in result(tmp_path / "dst")


@pytest.mark.parametrize("source", ["two-channel", "three-channel"])
def test_a_third_channel_is_refused(tmp_path, source):
    src = write_rgb_labels(tmp_path / "src", "annotations/panoptic_2ch/train", CLASSES, NUMBERS)
    for folder in ("annotations/panoptic_2ch/train", "annotations/train"):
        save(np.full((3, 4, 3), 3, dtype=np.uint8), src / folder / "a.png")
    with pytest.raises(UserError, match="channel, which"):
        run(src, tmp_path / "dst", source, splits=("train",))


def test_full_ade20k(tmp_path):
    classes = np.array([[0, 2420, 2420, 401], [401, 401, 312, 312]])
    numbers = np.array([[0, 1, 2, 3], [3, 4, 5, 5]])
    names = {2420: "sky", 401: "car, auto, automobile", 312: "building, edifice"}
    src = write_ade20k_full(tmp_path / "src", classes, numbers, names)
    label = next(src.rglob("*_seg.png"))
    save(np.zeros((2, 4, 3), dtype=np.uint8), label.with_name("ADE_train_00000001_parts_1.png"))
    report = run(src, tmp_path / "dst", "ade20k-full")
    assert result(tmp_path / "dst") == {
        ("sky", False, (1, 2)),
        ("car, auto, automobile", False, (3, 4)),
        ("car, auto, automobile", False, (5,)),
        ("building, edifice", False, (6, 7)),
    }
    assert [(c.id, c.is_thing) for c in report.taxonomy.classes] == [(312, False), (401, True), (2420, False)]
    assert "1 images have masks of parts, which a panoptic map cannot hold: left out." in report.notes
    save(np.full((2, 4, 3), 7, dtype=np.uint8), label)
    with pytest.raises(UserError, match="no multiples of 10"):
        run(src, tmp_path / "other", "ade20k-full")


def test_full_ade20k_with_the_847_classes_that_are_trained_on(tmp_path):
    classes = np.array([[0, 2420, 2420, 401], [401, 401, 312, 1]])  # 1 is no class of the 847
    numbers = np.array([[0, 1, 2, 3], [3, 4, 5, 5]])
    src = write_ade20k_full(tmp_path / "src", classes, numbers, {})
    report = run(src, tmp_path / "dst", "ade20k-847")
    cars = ("car, auto, automobile, machine, motorcar", False, (3, 4, 5))
    assert result(tmp_path / "dst") == {("sky", False, (1, 2)), cars, ("building, edifice", False, (6,))}
    assert len(report.taxonomy) == 847 and not report.taxonomy.thing_indices


def test_full_ade20k_without_names_asks_for_a_list(tmp_path):
    src = write_ade20k_full(tmp_path / "src", np.full((2, 2), 300), np.ones((2, 2), dtype=int), {})
    next(src.rglob("*.json")).unlink()
    with pytest.raises(UserError, match="--classes"):
        run(src, tmp_path / "dst", "ade20k-full")
    write_json([{"id": 300, "name": "bottle"}], tmp_path / "names.json")
    run(src, tmp_path / "dst", "ade20k-full", classes=tmp_path / "names.json")
    assert result(tmp_path / "dst") == {("bottle", False, (0, 1, 2, 3))}


def test_cityscapes(tmp_path):
    values = np.array([[26001, 26002, 26, 7], [23, 23, 0, 29000]], dtype=np.uint16)
    for split in ("train", "val"):
        key = f"{split}/ulm/ulm_000000_000019"
        photo(tmp_path / "src" / "leftImg8bit" / f"{key}_leftImg8bit.png", values.shape)
        save(values, tmp_path / "src" / "gtFine" / f"{key}_gtFine_instanceIds.png")
    report = run(tmp_path / "src", tmp_path / "dst", "cityscapes")
    assert report.images == {"train": 1, "val": 1}
    assert result(tmp_path / "dst", "val") == {
        ("car", False, (0,)),
        ("car", False, (1,)),
        ("car", True, (2,)),
        ("road", False, (3,)),
        ("sky", False, (4, 5)),
    }
    with pytest.raises(UserError, match="--stuff does not apply to cityscapes"):
        run(tmp_path / "src", tmp_path / "refused", "cityscapes", stuff=("sky",))


def test_ade20k_of_the_challenge(tmp_path):
    src = tmp_path / "src"
    photo(src / "images" / "training" / "x.jpg", (2, 2))
    save(np.array([[0, 1], [3, 13]], dtype=np.uint8), src / "annotations" / "training" / "x.png")
    instances = np.zeros((2, 2, 3), dtype=np.uint8)
    instances[1, 1] = (4, 1, 0)  # category 4 of the things is person
    save(instances, src / "annotations_instance" / "training" / "x.png")
    run(src, tmp_path / "dst", "ade20k")
    assert result(tmp_path / "dst") == {("wall", False, (1,)), ("sky", False, (2,)), ("person", False, (3,))}


def test_mapillary(tmp_path):
    src = tmp_path / "src"
    labels = [("car", True, True), ("sky", False, True), ("ego vehicle", False, False)]
    rows = [{"name": n, "readable": n, "instances": i, "evaluate": e, "color": [1, 2, 3]} for n, i, e in labels]
    write_json({"labels": rows}, src / "config_v1.2.json")
    photo(src / "training" / "images" / "x.jpg", (1, 4))
    save(np.array([[1, 2, 256, 512]], dtype=np.uint16), src / "training" / "instances" / "x.png")
    run(src, tmp_path / "dst", "mapillary")
    assert result(tmp_path / "dst") == {("car", False, (0,)), ("car", False, (1,)), ("sky", False, (2,))}


def test_the_coco_sample_in_two_channels(real_data, tmp_path):
    """Equal to the official panoptic annotation: same pixels, classes and crowd, for other ids."""
    sample = real_data / "coco_sample"
    report = run(sample, tmp_path / "dst", "two-channel", splits=("val2017",))
    official, ours = CocoPanoptic(sample, "val"), CocoPanoptic(tmp_path / "dst", "val")
    assert len(ours) == 2 and ours.taxonomy == official.taxonomy and not report.dropped and not report.notes
    for k in range(2):
        assert ours.image_id(k) == official.image_id(k)
        assert meaning(ours.load(k)[1], ours.taxonomy) == meaning(official.load(k)[1], official.taxonomy)
    table = json.loads((tmp_path / "dst" / "annotations" / "panoptic_val2017.json").read_text())
    wanted = json.loads((sample / "annotations" / "panoptic_val2017.json").read_text())
    for mine, theirs in zip(table["annotations"], wanted["annotations"], strict=True):
        assert sorted((s["category_id"], s["area"], s["bbox"]) for s in mine["segments_info"]) == sorted(
            (s["category_id"], s["area"], s["bbox"]) for s in theirs["segments_info"]
        )


def test_the_coco_sample_in_the_detection_format(real_data, tmp_path):
    """COCO's own conversion of the panoptic annotation to one annotation per segment, read back."""
    sample = real_data / "coco_sample"
    report = run(
        sample / "annotations" / "panoptic_coco_detection_format.json",
        tmp_path / "dst",
        "coco-instances",
        images=sample / "val2017",
        splits=("val2017",),
        classes=sample / "annotations" / "panoptic_coco_categories.json",
    )
    assert not report.dropped and not report.decided
    official, ours = CocoPanoptic(sample, "val"), CocoPanoptic(tmp_path / "dst", "val")
    for k in range(2):
        assert meaning(ours.load(k)[1], ours.taxonomy) == meaning(official.load(k)[1], official.taxonomy)
    images = ("000000142238.jpg", "000000439180.jpg")
    for name in images:
        copied = tmp_path / "dst" / "val2017" / name
        assert copied.read_bytes() == (sample / "val2017" / name).read_bytes()


@pytest.mark.parametrize("target", ["coco-instances", "png-pairs", "two-channel"])
def test_the_coco_sample_there_and_back(real_data, tmp_path, target):
    sample = real_data / "coco_sample"
    report = run(sample, tmp_path / "there", "coco-panoptic", target)
    run(tmp_path / "there", tmp_path / "back", target)
    official, ours = CocoPanoptic(sample, "val"), CocoPanoptic(tmp_path / "back", "val")
    assert not report.lost
    for k in range(2):
        assert meaning(ours.load(k)[1], ours.taxonomy) == meaning(official.load(k)[1], official.taxonomy)


def test_a_facade_there_and_back(real_data, tmp_path):
    """1024x1024 with many windows, through run lengths and 2-channel PNGs."""
    source = real_data / "facades"
    table = json.loads((source / "annotations" / "panoptic_val.json").read_text())
    table["images"] = table["images"][:1]
    chosen = {image["id"] for image in table["images"]}
    table["annotations"] = [a for a in table["annotations"] if a["image_id"] in chosen]
    src = tmp_path / "src"
    for folder in ("val", "annotations/panoptic_val"):
        (src / folder).parent.mkdir(parents=True, exist_ok=True)
        (src / folder).symlink_to(source / folder)
    write_json(table, src / "annotations" / "panoptic_val.json")
    run(src, tmp_path / "rle", "coco-panoptic", "coco-instances")
    run(tmp_path / "rle", tmp_path / "two", "coco-instances", "two-channel")
    run(tmp_path / "two", tmp_path / "back", "two-channel")
    official, ours = CocoPanoptic(src, "val"), CocoPanoptic(tmp_path / "back", "val")
    for k in range(len(official)):
        assert meaning(ours.load(k)[1], ours.taxonomy) == meaning(official.load(k)[1], official.taxonomy)
