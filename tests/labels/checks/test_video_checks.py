"""``data check`` on videos: a planted fault is one finding that names the video, and a clean video has none."""

from pathlib import Path

import numpy as np
import pytest

from data.official_folders import photo, save
from data.video_folders import write_cityscapes_vps, write_kitti_step, write_vipseg, write_vspw, write_youtube_vis
from pantile.contracts.errors import UserError
from pantile.contracts.panoptic import PanopticMap, Segment, ids_to_rgb
from pantile.contracts.taxonomy import plain_taxonomy
from pantile.data import AugmentConfig, open_dataset
from pantile.data.clip_config import ClipConfig
from pantile.data.clip_samples import ClipSamples
from pantile.labels.checks.check import CheckOptions, check

TAXONOMY = plain_taxonomy(["person", "car", "sky"], things=["person", "car"])
TRACKS = plain_taxonomy(["person", "car"], things=["person", "car"])
SIZE = (24, 32)
PERSON, CAR = Segment(900, 0), Segment(900, 1)


def frame(shift: int, thing: Segment | None = PERSON, sky: int = 7, size: tuple[int, int] = SIZE):
    ids = np.full(size, sky, dtype=np.int32)
    if thing:
        ids[4:16, 2 + shift : 14 + shift] = thing.id
    return PanopticMap(ids, ((Segment(sky, 2),) if sky else ()) + ((thing,) if thing else ()))


def told(root: Path, split: str = "val") -> list[str]:
    """All but that the folders' writers give frame k of every video the same photo."""
    found = check(root, CheckOptions((split,))).findings
    return [str(finding) for finding in found if finding.kind != "same-image-twice"]


CLASS_CHANGES = (
    "error: class-changes: val/0001 id 900: person in 2 frames ({0}, {1}), and car in 1 frame ({2}); an id is one "
    "thing in its whole video"
)


@pytest.mark.parametrize(
    ("write", "names"),
    [
        (write_vipseg, [f"{k:08}.jpg" for k in range(3)]),
        (write_cityscapes_vps, [f"0001_{5 * k:04}_frankfurt_000000_{k:06}_newImg8bit.png" for k in range(3)]),
    ],
)
def test_an_id_that_changes_its_class(tmp_path, write, names):
    videos = {"0001": [frame(0), frame(2), frame(4, CAR)], "0002": [frame(0, CAR), frame(6, CAR)]}
    write(tmp_path, "val", videos, TAXONOMY)
    assert told(tmp_path) == [CLASS_CHANGES.format(*names)]
    config = AugmentConfig(crop=(16, 16), copy_paste=0, clip=ClipConfig(frames=3, reach=3))
    clips = ClipSamples(open_dataset(tmp_path, "val"), config)
    with pytest.raises(UserError, match="another class"):  # so it is an error: training refuses the same
        clips[0, 0]


def test_an_id_that_is_crowd_in_some_frames(tmp_path):
    write_vipseg(tmp_path, "val", {"a": [frame(0), frame(2, Segment(900, 0, True))]}, TAXONOMY)
    (only,) = told(tmp_path)
    assert "id 900: person in 1 frame (00000000.jpg), and crowd of person in 1 frame (00000001.jpg)" in only


def test_frames_of_another_size(tmp_path):
    write_vipseg(tmp_path, "val", {"a": [frame(0), frame(2, size=(24, 40)), frame(4)], "b": [frame(1)]}, TAXONOMY)
    assert told(tmp_path) == [
        "error: frame-size: val/a: 1 frame (00000001.jpg) of 40x24 pixels, the others of 32x24",
    ]


def test_images_without_a_label(tmp_path):
    write_vipseg(tmp_path, "val", {"a": [frame(0), frame(2)], "b": [frame(3)]}, TAXONOMY)
    for name in ("00000007.jpg", "00000009.jpg"):
        save(photo(SIZE, 70), tmp_path / "images" / "a" / name)
    (tmp_path / "images" / "a" / "notes.txt").write_text("no image")
    assert told(tmp_path) == [
        "note: frames-unlabelled: val/a: 2 frames (00000007.jpg, 00000009.jpg) of 4 without a label",
    ]


def test_kitti_step_without_a_label(tmp_path):
    road = PanopticMap(np.full(SIZE, 1 << 16, np.int32), (Segment(1 << 16, 0),))
    write_kitti_step(tmp_path, "train", {"0000": [road, road]})
    (tmp_path / "panoptic_maps" / "train" / "0000" / "000001.png").unlink()
    assert [text for text in told(tmp_path, "train") if "frames" in text] == [
        "note: frames-unlabelled: train/0000: 1 frame (000001.png) of 2 without a label",
    ]


def test_null_in_some_frames_of_youtube_vis(tmp_path):
    whole = [Segment(1, 0)]
    full, empty = PanopticMap(np.full(SIZE, 1, np.int32), tuple(whole)), PanopticMap(np.zeros(SIZE, np.int32), ())
    write_youtube_vis(tmp_path, "train", {"a": [full, empty, full], "b": [full]}, TRACKS)
    assert told(tmp_path, "train") == [
        "note: frames-unlabelled: train/a: 1 frame (00005.jpg) of 3 without any segment",
    ]


def test_vspw_tells_a_missing_mask_once(tmp_path):
    values = np.ones(SIZE, np.uint8)
    write_vspw(tmp_path, "train", {"a": [values, values]}, ["wall"])
    (tmp_path / "data" / "a" / "mask" / "00000001.png").unlink()
    (only,) = told(tmp_path, "train")
    assert only.startswith("error: files-missing: train")


def test_a_clean_video_has_no_finding(tmp_path):
    videos = {"a": [frame(0), frame(2, None), frame(4)], "b": [frame(1, CAR)]}  # 900 is another thing in b
    write_vipseg(tmp_path, "val", videos, TAXONOMY)
    assert told(tmp_path) == []


def test_the_cut_names_a_frame_whose_map_is_broken_and_goes_on(tmp_path):
    write_vipseg(tmp_path, "val", {"a": [frame(0), frame(2, CAR), frame(4)]}, TAXONOMY)
    save(ids_to_rgb(np.full(SIZE, 5, np.int32)), tmp_path / "panomasksRGB" / "a" / "00000002.png")
    kinds = [text.split(": ")[1] for text in told(tmp_path)]
    assert kinds == ["class-changes", "label-broken"]
