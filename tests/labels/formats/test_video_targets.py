"""Videos of every layout to VIPSeg's: ids, classes, sizes, order and photos stay; what cannot be is one sentence."""

import json
from pathlib import Path

import numpy as np
import pytest

from data.official_folders import photo, save
from data.video_folders import write_cityscapes_vps, write_kitti_step, write_vipseg, write_vspw, write_youtube_vis
from labels.tiny_labels import MapData, assert_books_balance, random_map, run
from pantile.contracts.errors import UserError
from pantile.contracts.panoptic import PanopticMap, Segment
from pantile.contracts.taxonomy import plain_taxonomy
from pantile.data import open_dataset, write_coco_panoptic
from pantile.labels.suggestions import check_target

TAXONOMY = plain_taxonomy(["person", "car", "sky"], things=["person", "car"])
TRACKS = plain_taxonomy(["person", "car"], things=["person", "car"])
SIZE = (16, 24)
ROAD, CAR, CROWD = 1 << 16, (13 + 1 << 16) + 300, (11 + 1) << 16


def frame(shift: int, ground: Segment, thing: Segment, crowd: Segment | None = None) -> PanopticMap:
    ids = np.full(SIZE, ground.id, dtype=np.int32)
    ids[:2] = 0
    ids[4:10, 2 + shift : 9 + shift] = thing.id
    rows = [ground, thing]
    if crowd:
        ids[-3:, :9] = crowd.id
        rows.append(crowd)
    return PanopticMap(ids, tuple(s for s in rows if s.id))


def panoptic_videos() -> dict:
    sky, person, car, crowd = Segment(7, 2), Segment(900, 0), Segment(70000, 1), Segment(44, 1, True)
    return {"0001": [frame(0, sky, person), frame(3, sky, person, crowd)], "0007": [frame(5, sky, car)]}


def write_kitti(root: Path) -> None:
    road, car, crowd = Segment(ROAD, 0), Segment(CAR, 13), Segment(CROWD, 11, True)
    write_kitti_step(root, "val", {"0002": [frame(0, road, car, crowd), frame(4, road, car)], "0010": []})


def write_tracks(root: Path) -> None:
    void, person = Segment(0, 0), Segment(1, 0)
    frames = [frame(0, void, person), PanopticMap(np.zeros(SIZE, np.int32), ()), frame(6, void, person)]
    write_youtube_vis(root, "val", {"film": frames}, TRACKS)


SOURCES = {
    "kitti-step": write_kitti,
    "vipseg": lambda root: write_vipseg(root, "val", panoptic_videos(), TAXONOMY),
    "cityscapes-vps": lambda root: write_cityscapes_vps(root, "val", panoptic_videos(), TAXONOMY),
    "vspw": lambda root: write_vspw(root, "val", {"a": [np.eye(*SIZE, dtype=np.uint8)] * 2}, ["wall"]),
    "youtube-vis": write_tracks,
}


@pytest.mark.parametrize("name", SOURCES)
def test_videos_stay_as_they_are(tmp_path, name):
    SOURCES[name](tmp_path / "src")
    report = run(tmp_path / "src", tmp_path / "dst", "auto", "vipseg")
    before, after = open_dataset(tmp_path / "src", "val"), open_dataset(tmp_path / "dst", "val")
    assert [(v.name, tuple(v.frames)) for v in after.videos] == [(v.name, tuple(v.frames)) for v in before.videos]
    assert after.taxonomy == before.taxonomy
    for k in range(len(before)):
        assert after.name_of(k) == before.name_of(k)
        assert after.image_path(k).read_bytes() == before.image_path(k).read_bytes()
        (image, mine), (photo_, theirs) = after.load(k), before.load(k)
        assert np.array_equal(image, photo_) and np.array_equal(mine.ids, theirs.ids)
        assert {(s.id, s.class_index, s.is_crowd) for s in mine.segments} == {
            (s.id, s.class_index, s.is_crowd) for s in theirs.segments
        }
    assert_books_balance(report)
    assert report.images == {"val": len(before)} and not report.lost and not report.dropped
    assert report.segments_in == report.segments_out and report.pixels_in == report.pixels_out


def test_two_splits_share_the_folders_and_no_video(tmp_path):
    for split in ("train", "val"):
        videos = {f"{split}{k}": frames for k, frames in panoptic_videos().items()}
        write_vipseg(tmp_path / "src", split, videos, TAXONOMY)
    run(tmp_path / "src", tmp_path / "dst", "vipseg", "vipseg")
    for split in ("train", "val"):
        assert [v.name for v in open_dataset(tmp_path / "dst", split).videos] == [f"{split}0001", f"{split}0007"]
    for split in ("train", "val"):
        write_cityscapes_vps(tmp_path / "city", split, panoptic_videos(), TAXONOMY)
    with pytest.raises(UserError, match=r"video 0001 is in the split 'val' and in one before it.*--split"):
        run(tmp_path / "city", tmp_path / "not", "cityscapes-vps", "vipseg")
    assert not (tmp_path / "not").exists()


def test_images_are_no_videos(tmp_path):
    write_coco_panoptic(MapData([random_map(1)]), tmp_path / "src", "train")
    with pytest.raises(UserError, match="a layout of videos, but the source is of single images"):
        run(tmp_path / "src", tmp_path / "dst", "coco-panoptic", "vipseg")
    with pytest.raises(UserError, match="a layout of videos, but suggestions are for images"):
        check_target("vipseg", tmp_path / "new")


def test_what_fills_gaps_has_no_id_in_a_video(tmp_path):
    SOURCES["vipseg"](tmp_path / "src")
    with pytest.raises(UserError, match="--gap gives each frame ids of its own"):
        run(tmp_path / "src", tmp_path / "dst", "vipseg", "vipseg", gap="sky")


def test_videos_as_images_are_told(tmp_path):
    SOURCES["vipseg"](tmp_path / "src")
    report = run(tmp_path / "src", tmp_path / "dst", "vipseg", "coco-panoptic")
    assert any("written as single images" in note for note in report.notes)
    assert {s.id for s in open_dataset(tmp_path / "dst", "val").load_map(0).segments} == {7, 900}


def test_frames_out_of_the_order_of_their_names(tmp_path):
    SOURCES["youtube-vis"](tmp_path / "src")
    path = tmp_path / "src" / "val.json"
    path.write_text(path.read_text().replace("film/00005.jpg", "film/9.jpg"))
    save(photo(SIZE, 5), tmp_path / "src" / "val" / "JPEGImages" / "film" / "9.jpg")
    with pytest.raises(UserError, match=r"video film are not in the order of their names \(see 9\.png\)"):
        run(tmp_path / "src", tmp_path / "dst", "youtube-vis", "vipseg")


def test_the_form_is_the_official_one(tmp_path):
    SOURCES["cityscapes-vps"](tmp_path / "src")
    run(tmp_path / "src", tmp_path / "dst", "cityscapes-vps", "vipseg")
    content = json.loads((tmp_path / "dst" / "panoptic_gt_VIPSeg_val.json").read_text())
    first, rows = content["videos"][0], content["annotations"][0]
    assert first["video_id"] == rows["video_id"] == "0001"
    stem = "0001_0000_frankfurt_000000_000000_newImg8bit"
    assert first["images"][0] == {"id": stem, "width": 24, "height": 16, "file_name": f"{stem}.png"}
    assert rows["annotations"][0]["file_name"] == f"{stem}.png" and rows["annotations"][0]["image_id"] == stem
    row = rows["annotations"][0]["segments_info"][1]
    assert (row["id"], row["category_id"], row["iscrowd"], row["area"]) == (900, 1, 0, 42)
