"""COCO instances: every kind of segmentation, stuff beside it, crowd, and what is dropped."""

import json

import numpy as np
import pytest
from pycocotools import mask as coco_mask

from labels.tiny_labels import (
    assert_books_balance,
    box,
    instances_json,
    photo,
    pixels_of,
    rectangle,
    result,
    run,
    save,
    write_instances,
    write_json,
)
from pantile.contracts.errors import UserError

CAT = rectangle(slice(1, 4), slice(2, 6))
LOW = rectangle(slice(5, 8), slice(0, 10))


def counts_of(mask: np.ndarray) -> list[int]:
    flat = mask.T.ravel()
    changes = np.flatnonzero(np.diff(flat)) + 1
    return ([0] if flat[0] else []) + np.diff([0, *changes, flat.size]).tolist()


def test_polygons_and_both_kinds_of_run_lengths_say_the_same(tmp_path):
    compressed = coco_mask.encode(np.asfortranarray(CAT, dtype=np.uint8))["counts"].decode()
    kinds = [
        [box(2, 1, 6, 4)],
        [box(2, 1, 4, 4), box(4, 1, 6, 4)],
        {"size": [8, 10], "counts": counts_of(CAT)},
        {"size": [8, 10], "counts": compressed},
    ]
    for k, segmentation in enumerate(kinds):
        run(
            write_instances(tmp_path / f"src{k}", [{"segmentation": segmentation}]),
            tmp_path / f"dst{k}",
            "coco-instances",
        )
        assert result(tmp_path / f"dst{k}") == {("cat", False, pixels_of(CAT))}


def test_a_crowd_is_decided_by_the_rule(tmp_path):
    crowd = rectangle(slice(0, 8), slice(0, 10))
    annotations = [
        {"segmentation": [box(2, 1, 6, 4)]},
        {"segmentation": {"size": [8, 10], "counts": counts_of(crowd)}, "iscrowd": 1},
    ]
    src = write_instances(tmp_path / "src", annotations)
    with pytest.raises(UserError, match=r"annotation 0 \(cat\) and annotation 1 \(cat\) overlap in 12 pixels"):
        run(src, tmp_path / "dst", "coco-instances")
    report = run(src, tmp_path / "dst", "coco-instances", overlap="smaller-on-top")
    assert result(tmp_path / "dst") == {("cat", False, pixels_of(CAT)), ("cat", True, pixels_of(crowd & ~CAT))}
    assert report.decided == {("cat", "cat"): 12}
    assert_books_balance(report)
    report = run(src, tmp_path / "last", "coco-instances", overlap="last-on-top")
    assert result(tmp_path / "last") == {("cat", True, pixels_of(crowd))}


def test_overlapping_instances_stop_unless_told_who_wins(tmp_path):
    annotations = [{"segmentation": [box(2, 1, 6, 4)]}, {"segmentation": [box(4, 1, 10, 4)], "category_id": 7}]
    src = write_instances(tmp_path / "src", annotations)
    with pytest.raises(UserError, match=r"annotation 0 \(cat\) and annotation 1 \(grass\) overlap in 6 pixels"):
        run(src, tmp_path / "dst", "coco-instances")
    assert not (tmp_path / "dst").exists()
    report = run(src, tmp_path / "dst", "coco-instances", overlap="smaller-on-top")
    assert report.decided == {("cat", "grass"): 6}
    written = json.loads((tmp_path / "dst" / "convert_report.json").read_text())
    assert written["overlaps"] == [{"on_top": "cat", "below": "grass", "pixels": 6}]


def test_what_is_dropped(tmp_path):
    annotations = [
        {"segmentation": []},
        {"segmentation": [[1, 1, 2, 2]]},
        {"segmentation": [box(30, 1, 34, 4)]},
        {"bbox": [1, 1, 2, 2]},
        {"segmentation": [box(2, 1, 6, 4)], "category_id": 99},
        {"segmentation": {"size": [8, 10], "counts": [80]}},
        {"segmentation": [box(2, 1, 6, 4)]},
    ]
    report = run(write_instances(tmp_path / "src", annotations), tmp_path / "dst", "coco-instances")
    assert report.dropped == {
        ("cat", "empty polygon"): 1,
        ("cat", "polygon with fewer than three points"): 1,
        ("cat", "outside of the image"): 1,
        ("cat", "no segmentation, only a box"): 1,
        ("category 99", "unknown category"): 1,
        ("cat", "covers no pixel"): 1,
    }
    assert report.segments_out == {"cat": 1}


def test_stuff_pngs_lie_below_and_other_is_void(tmp_path):
    src = write_instances(tmp_path / "src", [{"segmentation": [box(2, 1, 6, 4)]}])
    categories = [{"id": 105, "name": "sand"}, {"id": 183, "name": "other"}]
    stuff = instances_json([]) | {"categories": categories}
    write_json(stuff, src / "annotations" / "stuff_train.json")
    values = np.full((8, 10), 105, dtype=np.uint8)
    values[0], values[1:4] = 0, 183
    save(values, src / "annotations" / "stuff_train_pixelmaps" / "a.png")
    report = run(src, tmp_path / "dst", "coco-instances")
    assert result(tmp_path / "dst") == {
        ("cat", False, pixels_of(CAT)),
        ("sand", False, pixels_of(rectangle(slice(4, 8), slice(0, 10)))),
    }
    assert [c.is_thing for c in report.taxonomy.classes] == [True, True, False]
    values[7, 7] = 9
    save(values, src / "annotations" / "stuff_train_pixelmaps" / "a.png")
    with pytest.raises(UserError, match="value 9"):
        run(src, tmp_path / "other", "coco-instances")


def test_stuff_annotations_lie_below(tmp_path):
    src = write_instances(tmp_path / "src", [{"segmentation": [box(2, 1, 6, 4)]}])
    stuff = instances_json([{"segmentation": [box(0, 0, 10, 8)], "category_id": 105}])
    write_json(stuff | {"categories": [{"id": 105, "name": "sand"}]}, src / "annotations" / "stuff_train.json")
    report = run(src, tmp_path / "dst", "coco-instances")
    assert result(tmp_path / "dst") == {("cat", False, pixels_of(CAT)), ("sand", False, pixels_of(~CAT))}
    assert report.decided == {("cat", "sand"): 12}


def test_gap(tmp_path):
    src = write_instances(tmp_path / "src", [{"segmentation": [box(2, 1, 6, 4)]}])
    report = run(src, tmp_path / "dst", "coco-instances", gap="background")
    assert result(tmp_path / "dst") == {("cat", False, pixels_of(CAT)), ("background", False, pixels_of(~CAT))}
    assert report.gap == {"background": 68} and report.void_pixels == 0
    run(src, tmp_path / "known", "coco-instances", gap="grass", stuff=("grass",))
    assert result(tmp_path / "known") == {("cat", False, pixels_of(CAT)), ("grass", False, pixels_of(~CAT))}
    for gap, problem in (("cat", "is a thing"), ("gras", "did you mean 'grass'")):
        with pytest.raises(UserError, match=problem):
            run(src, tmp_path / "refused", "coco-instances", gap=gap)


def test_one_json_and_several_splits(tmp_path):
    photo(tmp_path / "photos" / "a.png")
    one = write_json(instances_json([{"segmentation": [box(2, 1, 6, 4)]}]), tmp_path / "labels.json")
    run(one, tmp_path / "dst", "coco-instances", images=tmp_path / "photos", splits=("train",))
    assert result(tmp_path / "dst") == {("cat", False, pixels_of(CAT))}

    src = write_instances(tmp_path / "src", [{"segmentation": [box(2, 1, 6, 4)]}])
    photo(src / "images" / "val" / "a.png")
    write_json(instances_json([{"segmentation": [box(0, 5, 10, 8)]}]), src / "annotations" / "instances_val.json")
    report = run(src, tmp_path / "both", "coco-instances")
    assert report.images == {"train": 1, "val": 1}
    assert result(tmp_path / "both", "val") == {("cat", False, pixels_of(LOW))}
    assert run(src, tmp_path / "val", "coco-instances", splits=("val",)).images == {"val": 1}


def test_kinds_of_classes(tmp_path):
    src = write_instances(tmp_path / "src", [])
    for k, (things, stuff, expected) in enumerate(
        [((), (), [1, 1]), (("cat",), (), [1, 0]), ((), ("cat",), [0, 1]), (("cat",), ("grass",), [1, 0])]
    ):
        report = run(src, tmp_path / f"dst{k}", "coco-instances", things=things, stuff=stuff)
        assert [c.is_thing for c in report.taxonomy.classes] == expected
    for things, stuff, problem in ((("cta",), (), "did you mean 'cat'"), (("cat",), ("cat",), "both name 'cat'")):
        with pytest.raises(UserError, match=problem):
            run(src, tmp_path / "refused", "coco-instances", things=things, stuff=stuff)


def test_a_stuff_file_whose_ids_mean_other_images_is_refused(tmp_path):
    src = write_instances(tmp_path / "src", [{"segmentation": [box(2, 1, 6, 4)]}])
    stuff = instances_json([], names=("b.png",)) | {"categories": [{"id": 105, "name": "sand"}]}
    write_json(stuff, src / "annotations" / "stuff_train.json")
    with pytest.raises(
        UserError, match=r"calls the image with the id 1 'b\.png', but .*instances_train.json calls it 'a"
    ):
        run(src, tmp_path / "dst", "coco-instances")


def test_splits_that_disagree_on_what_is_a_thing(tmp_path):
    src = write_instances(tmp_path / "src", [{"segmentation": [box(2, 1, 6, 4)]}])
    photo(src / "val" / "a.png", (8, 10), seed=1)
    for split, flag in (("train", 1), ("val", 0)):
        data = instances_json([{"segmentation": [box(2, 1, 6, 4)]}])
        data["categories"][0]["isthing"] = flag
        write_json(data, src / "annotations" / f"instances_{split}.json")
    with pytest.raises(UserError, match=r"disagree on whether 'cat' is a thing: say it by --things or --stuff\.$"):
        run(src, tmp_path / "dst", "coco-instances")
    run(src, tmp_path / "dst", "coco-instances", things=("cat",))
