"""A mask PNG for each object."""

import numpy as np
import pytest

from labels.recordings import masks_by_class
from labels.tiny_labels import assert_books_balance, photo, rectangle, run, save
from pantile.contracts.errors import UserError

FIRST, SECOND = rectangle(slice(1, 4), slice(2, 6)), rectangle(slice(5, 7), slice(7, 9))
RING = rectangle(slice(4, 8), slice(0, 4)) & ~rectangle(slice(5, 7), slice(1, 3))


def bowl(root, masks):
    photo(root / "x1" / "images" / "x1.png")
    for number, mask in enumerate(masks):
        save(mask, root / "x1" / "masks" / f"{number}.png")
    return root


def test_a_folder_for_each_image(tmp_path):
    masks = [FIRST.astype(np.uint8) * 255, SECOND.astype(np.uint8), np.zeros((8, 10), dtype=np.uint8)]
    alpha = np.dstack([np.full((8, 10, 3), 255, dtype=np.uint8), RING.astype(np.uint8) * 255])
    report = run(bowl(tmp_path / "src", [*masks, alpha]), tmp_path / "dst", "object-masks")
    assert_books_balance(report)
    assert report.dropped == {("object", "covers no pixel"): 1}
    found = masks_by_class(tmp_path / "dst", 0)["object"]
    assert [mask.tolist() for mask in found] == [mask.tolist() for mask in (FIRST, SECOND, RING)]


def test_classes_are_folders_and_splits_too(tmp_path):
    src = tmp_path / "src"
    for split, name in (("train", "a"), ("val", "b")):
        photo(src / "images" / split / f"{name}.JPG")
        save(FIRST, src / "masks" / split / name / "nucleus" / "0.png")
        save(SECOND, src / "masks" / split / name / "tissue" / "0.png")
    report = run(src, tmp_path / "dst", "object-masks", stuff=("tissue",))
    assert report.images == {"train": 1, "val": 1}
    assert report.segments_out == {"nucleus": 2, "tissue": 2}


def test_the_class_may_be_named(tmp_path):
    (tmp_path / "names.txt").write_text("nucleus\n")
    src = bowl(tmp_path / "src", [FIRST])
    report = run(src, tmp_path / "dst", "object-masks", classes=tmp_path / "names.txt")
    assert report.segments_out == {"nucleus": 1}
    (tmp_path / "names.txt").write_text("nucleus\ncell\n")
    with pytest.raises(UserError, match="--classes names several"):
        run(src, tmp_path / "again", "object-masks", classes=tmp_path / "names.txt")


def test_overlaps_are_decided_like_others(tmp_path):
    src = bowl(tmp_path / "src", [FIRST, rectangle(slice(0, 2), slice(0, 5))])
    with pytest.raises(UserError, match="overlap"):
        run(src, tmp_path / "dst", "object-masks")
    report = run(src, tmp_path / "dst", "object-masks", overlap="last-on-top")
    assert report.decided == {("object", "object"): 3}


def test_what_is_wrong_is_named(tmp_path):
    photo(tmp_path / "none" / "a.png")
    with pytest.raises(UserError, match="neither <image>/masks"):
        run(tmp_path / "none", tmp_path / "dst", "object-masks")
    src = bowl(tmp_path / "src", [FIRST[:5]])
    with pytest.raises(UserError, match=r"0\.png is 10x5 pixels but its image is 10x8"):
        run(src, tmp_path / "dst", "object-masks")
    (src / "x1" / "images" / "x1.png").unlink()
    with pytest.raises(UserError, match=r"x1\.png"):
        run(src, tmp_path / "dst", "object-masks")
