"""Data sets of videos in their official folders: known maps come back, ids stay, and one sentence for every fault."""

import json
import warnings
from pathlib import Path

import numpy as np
import pytest
from layout_contract import LayoutContract
from official_folders import save
from video_folders import (
    run_lengths,
    write_cityscapes_vps,
    write_kitti_step,
    write_vipseg,
    write_vspw,
    write_youtube_vis,
)

from pantile.contracts.errors import NoSplit, UserError
from pantile.contracts.panoptic import PanopticMap, Segment
from pantile.contracts.taxonomy import plain_taxonomy
from pantile.data import AugmentConfig, open_dataset
from pantile.data.clip_config import ClipConfig
from pantile.data.clip_samples import ClipSamples
from pantile.data.kitti_step import TAXONOMY as KITTI
from pantile.data.missing import MissingFiles
from pantile.data.videos import videos_of

TAXONOMY = plain_taxonomy(["person", "car", "sky"], things=["person", "car"])
TRACKS = plain_taxonomy(["person", "car"], things=["person", "car"])
SIZE = (48, 64)
ROAD, CAR, PERSON = 1 << 16, (13 + 1 << 16) + 300, (11 + 1) << 16


def frame(shift, sky=7, thing=900, crowd=None, thing_class=0):
    """A square that moves over the sky; some crowd and some void."""
    ids = np.full(SIZE, sky, dtype=np.int32)
    ids[-4:] = 0
    rows = [Segment(sky, 2)] if sky else []
    if thing:
        ids[10:30, 4 + shift : 24 + shift] = thing
        rows.append(Segment(thing, thing_class))
    if crowd:
        ids[:5, :9] = crowd
        rows.append(Segment(crowd, 1, True))
    return PanopticMap(ids, tuple(rows))


def kitti_frame(shift):
    ids = frame(shift, ROAD, CAR, PERSON).ids
    return PanopticMap(ids, (Segment(ROAD, 0), Segment(CAR, 13), Segment(PERSON, 11, True)))


VIDEOS = {"0001": [frame(0), frame(3, thing=None), frame(6, crowd=44)], "0007": [frame(9)]}


def by_id(panoptic):
    return sorted(panoptic.segments, key=lambda s: s.id)


def check(dataset, videos, names):
    """All maps come back, videos are those that were written, and clips can be drawn."""
    assert [(v.name, len(v)) for v in videos_of(dataset)] == [(name, len(frames)) for name, frames in videos.items()]
    for video, frames in zip(videos_of(dataset), videos.values(), strict=True):
        for index, expected in zip(video.frames, frames, strict=True):
            image, panoptic = dataset.load(index)
            assert image.shape == (*SIZE, 3)
            assert np.array_equal(panoptic.ids, expected.ids)
            assert by_id(panoptic) == by_id(expected)
    assert [dataset.name_of(k) for k in range(2)] == names
    assert len({dataset.image_id(k) for k in range(len(dataset))}) == len(dataset)
    config = AugmentConfig(crop=(32, 32), copy_paste=0, clip=ClipConfig(frames=2))
    assert len(ClipSamples(dataset, config)[0, 0]) == 2


def test_kitti_step(tmp_path):
    videos = {"0002": [kitti_frame(0), kitti_frame(2)], "0010": [kitti_frame(4)]}
    write_kitti_step(tmp_path, "train", videos)
    dataset = open_dataset(tmp_path, "train")
    check(dataset, videos, ["0002/000000.png", "0002/000001.png"])
    assert [c.name for c in dataset.taxonomy.classes if c.is_thing] == ["person", "car"]
    stored = np.zeros((*SIZE, 3), np.uint8)
    for values, what in (((19, 0, 0), "class 19"), ((0, 0, 5), "number 5 on road")):
        stored[:] = values
        save(stored, tmp_path / "panoptic_maps/train/0002/000000.png")
        with pytest.raises(UserError, match=what):
            dataset.load(0)


@pytest.mark.parametrize(
    ("write", "first"),
    [
        (write_vipseg, "0001/00000000.jpg"),
        (write_cityscapes_vps, "0001/0001_0000_frankfurt_000000_000000_newImg8bit.png"),
    ],
)
def test_ids_with_tables(tmp_path, write, first):
    write(tmp_path, "val", VIDEOS, TAXONOMY)
    dataset = open_dataset(tmp_path, "val")
    second = first.replace("00000000.jpg", "00000001.jpg").replace("_0000_f", "_0005_f").replace("000000_n", "000001_n")
    check(dataset, VIDEOS, [first, second])
    assert dataset.segment_counts() == [2, 1, 2, 2]
    with pytest.raises(NoSplit, match="no split 'train'"):
        open_dataset(tmp_path, "train")
    dataset.image_path(1).unlink()
    with pytest.raises(UserError, match="--skip-missing"):
        open_dataset(tmp_path, "val")
    with pytest.warns(MissingFiles):
        assert [len(v) for v in open_dataset(tmp_path, "val", skip_missing=True).videos] == [2, 1]
    source = next(tmp_path.glob("*.json"))
    content = source.read_text()
    for old, new, told in (
        ('"category_id": 3', '"category_id": 99', "category_id 99"),
        ('"segments_info"', '"segments"', "segments_info"),
        ("{", "[", "is not"),
    ):
        source.write_text(content.replace(old, new))
        with pytest.raises(UserError, match=told), warnings.catch_warnings(action="ignore"):
            open_dataset(tmp_path, "val", skip_missing=True)


def test_vspw(tmp_path):
    names = ["wall", "sky", "train"]
    values = [np.zeros(SIZE, int) for _ in range(3)]
    for k, own in enumerate(values):
        own[k : k + 9], own[20:30], own[30:, 2:4] = 1, 3, 255
    write_vspw(tmp_path, "train", {"9_x": values[:2], "10_y": values[2:]}, names)
    write_vspw(tmp_path, "test", {"11_z": values[:1]}, names, masks=False)
    dataset = open_dataset(tmp_path, "train")
    expected = [
        PanopticMap(np.where(own == 255, 0, own).astype(np.int32), (Segment(1, 0), Segment(3, 2))) for own in values
    ]
    check(dataset, {"9_x": expected[:2], "10_y": expected[2:]}, ["9_x/00000000.jpg", "9_x/00000001.jpg"])
    assert [(c.name, c.id, c.is_thing) for c in dataset.taxonomy.classes][1] == ("sky", 2, False)
    with pytest.raises(NoSplit, match="no split 'test'"):
        open_dataset(tmp_path, "test")
    save(np.full(SIZE, 77, np.uint8), tmp_path / "data/9_x/mask/00000000.png")
    with pytest.raises(UserError, match="value 77"):
        dataset.load(0)
    (tmp_path / "label_num_dic_final.json").write_text('{"wall": 1, "sky": 3}')
    with pytest.raises(UserError, match=r"not 1, 2, \.\.\."):
        open_dataset(tmp_path, "train")


@pytest.mark.parametrize("beside", [True, False])
def test_youtube_vis(tmp_path, beside):
    videos = {
        "ff25": [frame(0, sky=0, thing=1), frame(0, sky=0, thing=None, crowd=2), frame(4, sky=0, thing=1)],
        "a001": [frame(2, sky=0, thing=1, thing_class=1)],
    }
    write_youtube_vis(tmp_path, "train", videos, TRACKS, beside)
    dataset = open_dataset(tmp_path, "train")
    check(dataset, videos, ["ff25/00000.jpg", "ff25/00005.jpg"])
    assert dataset.load(1)[1].segments == (Segment(2, 1, True),)
    (tmp_path / "valid" / "JPEGImages").mkdir(parents=True)
    (tmp_path / "valid.json").write_text(json.dumps({"videos": [], "categories": []}))
    with pytest.raises(NoSplit, match="no split 'valid'"):
        open_dataset(tmp_path, "valid")


def test_masks_that_overlap_and_masks_that_cannot_be(tmp_path):
    """The smaller is in front, a covered one is gone; polygons are masks, too."""
    write_youtube_vis(tmp_path, "train", {"v": [frame(0, sky=0, thing=1)]}, TRACKS)
    path = tmp_path / "train.json"
    content = json.loads(path.read_text())
    large, small = np.zeros(SIZE, bool), np.zeros(SIZE, bool)
    large[5:40, 5:40], small[10:20, 10:20] = True, True
    box = [[8.0, 8.0, 32.0, 8.0, 32.0, 24.0, 8.0, 24.0]]

    def opened(*masks):
        content["annotations"] = [
            {"id": 50 + k, "video_id": 1, "category_id": 1, "segmentations": [mask]} for k, mask in enumerate(masks)
        ]
        path.write_text(json.dumps(content))
        return open_dataset(tmp_path, "train").load(0)[1]

    both = opened(run_lengths(small, 0), run_lengths(large, 1))
    assert (both.ids == 1).sum() == 100 and (both.ids == 2).sum() == 35 * 35 - 100
    assert [s.id for s in opened(run_lengths(small, 0), run_lengths(small, 1)).segments] == [2]
    polygon = opened(box)
    assert abs((polygon.ids == 1).sum() - 24 * 16) < 60
    with pytest.raises(UserError, match="track 50 in frame 0 is of"):
        opened(run_lengths(np.ones((3, 4), bool), 1))
    with pytest.raises(UserError, match="neither run lengths nor polygons"):
        opened({"size": list(SIZE)})
    content["videos"][0]["file_names"] *= 2
    with pytest.raises(UserError, match="has 1 masks, but its video 2 frames"):
        opened(run_lengths(small, 0))


class TestKittiStep(LayoutContract):
    name, classes = "kitti-step", 19

    def write(self, root: Path) -> None:
        write_kitti_step(root, "val", {"0002": [kitti_frame(0)]})

    def test_train_ids_are_those_of_cityscapes(self):
        assert KITTI.names[11] == "person" and KITTI.classes[11].id == 11


class TestVipseg(LayoutContract):
    name, classes = "vipseg", 3

    def write(self, root: Path) -> None:
        write_vipseg(root, "val", {"v": [frame(0)]}, TAXONOMY)


class TestCityscapesVps(LayoutContract):
    name, classes = "cityscapes-vps", 3

    def write(self, root: Path) -> None:
        write_cityscapes_vps(root, "val", {"0001": [frame(0)]}, TAXONOMY)


class TestVspw(LayoutContract):
    name, classes = "vspw", 2

    def write(self, root: Path) -> None:
        values = np.ones(SIZE, int)
        values[20:] = 2
        write_vspw(root, "val", {"v": [values]}, ["wall", "sky"])


class TestYoutubeVis(LayoutContract):
    name, classes = "youtube-vis", 2

    def write(self, root: Path) -> None:
        write_youtube_vis(root, "val", {"v": [frame(0, sky=0, thing=1)]}, TRACKS)
