"""Videos as YouTube-VIS has them: things as tracks, the same masks and ids when they are read back."""

import json
from pathlib import Path

import numpy as np
import pytest
from pycocotools import mask as coco_mask

from data.video_folders import write_vipseg, write_vspw, write_youtube_vis
from labels.tiny_labels import assert_books_balance, run
from pantile.contracts.errors import UserError
from pantile.contracts.panoptic import PanopticMap, Segment
from pantile.contracts.taxonomy import plain_taxonomy
from pantile.data import open_dataset
from pantile.data.video_scenes import VideoScenes

TAXONOMY = plain_taxonomy(["sky", "person", "car"], things=["person", "car"])
TRACKS = plain_taxonomy(["person", "car"], things=["person", "car"])
PERSON, CAR, CROWD, SKY = Segment(4, 1), Segment(9, 2), Segment(700, 2, True), Segment(2, 0)


def frame(*segments: Segment, size: tuple[int, int] = (8, 12)) -> PanopticMap:
    ids = np.zeros(size, np.int32)
    for number, segment in enumerate(segments):
        ids[number : number + 3, 2 * number :] = segment.id
    return PanopticMap(ids, segments)


@pytest.fixture(scope="module")
def converted(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, list[PanopticMap]], Path]:
    """Two videos of scenes with their ids over frames, and their copies."""
    root, scenes = tmp_path_factory.mktemp("vis"), VideoScenes(2, 4, size=(33, 33), seed=3)
    videos = {video.name: [scenes.load(index)[1] for index in video.frames] for video in scenes.videos}
    write_vipseg(root / "src", "val", videos, scenes.taxonomy)
    report = run(root / "src", root / "dst", "vipseg", "youtube-vis")
    assert_books_balance(report)
    assert {reason for _, reason in report.lost} == {"stuff, of which YouTube-VIS holds none"}
    return videos, root / "dst"


def test_masks_and_ids_of_things_come_back(converted):
    videos, folder = converted
    taxonomy, after = VideoScenes(1, 1).taxonomy, open_dataset(folder, "val")
    assert [video.name for video in after.videos] == list(videos)
    for video in after.videos:
        before = videos[video.name]
        things = {s.id: s for m in before for s in m.segments if taxonomy.classes[s.class_index].is_thing}
        number_of = {0: 0} | {own: k for k, own in enumerate(sorted(things), start=1)}
        for index, was in zip(video.frames, before, strict=True):
            now = after.load_map(index)
            kept = np.where(np.isin(was.ids, list(things)), was.ids, 0)
            assert np.array_equal(now.ids, np.vectorize(number_of.get)(kept))
            names = {s.id: after.taxonomy.names[s.class_index] for s in now.segments}
            seen = {number_of[i]: taxonomy.names[things[i].class_index] for i in np.unique(kept).tolist() if i}
            assert names == seen


def test_a_second_copy_is_the_first(converted, tmp_path):
    _, folder = converted
    report = run(folder, tmp_path / "again", "youtube-vis", "youtube-vis")
    assert not report.lost
    files = [root / "val" / "instances.json" for root in (folder, tmp_path / "again")]
    assert files[0].read_text() == files[1].read_text()
    photos = [sorted(p.relative_to(root) for p in root.rglob("*.jpg")) for root in (folder, tmp_path / "again")]
    assert photos[0] == photos[1] and len(photos[0]) == 8


def test_the_form_is_the_official_one(tmp_path):
    videos = {"a": [frame(SKY, PERSON), frame(SKY), frame(PERSON, CROWD)], "b": [frame(CAR)]}
    write_vipseg(tmp_path / "src", "val", videos, TAXONOMY)
    run(tmp_path / "src", tmp_path / "dst", "vipseg", "youtube-vis")
    content = json.loads((tmp_path / "dst" / "val" / "instances.json").read_text())
    names = [f"a/{k:08}.jpg" for k in range(3)]
    assert content["videos"][0] == {"id": 1, "file_names": names, "width": 12, "height": 8, "length": 3}
    assert [(c["id"], c["name"]) for c in content["categories"]] == [
        (TAXONOMY.classes[k].id, n) for k, n in ((1, "person"), (2, "car"))
    ]
    person, crowd, car = content["annotations"]
    assert [t["id"] for t in (person, crowd, car)] == [1, 2, 3]
    assert [t["video_id"] for t in (person, crowd, car)] == [1, 1, 2]
    assert (person["iscrowd"], crowd["iscrowd"], car["iscrowd"]) == (0, 1, 0)
    assert (person["width"], person["height"], person["length"]) == (12, 8, 3)
    assert person["segmentations"][1] is person["areas"][1] is person["bboxes"][1] is None
    assert crowd["segmentations"][:2] == [None, None] and person["bboxes"][0] == [2, 1, 10, 3]
    for number in (0, 2):
        mask = coco_mask.decode(person["segmentations"][number]).astype(bool)
        assert np.array_equal(mask, videos["a"][number].ids == PERSON.id)
        assert person["areas"][number] == mask.sum()
    assert open_dataset(tmp_path / "dst", "val").load_map(2).segments[1].is_crowd


def test_what_it_cannot_hold_is_one_sentence(tmp_path):
    other = Segment(PERSON.id, 2)
    cases = {
        "class": ([frame(PERSON), frame(other)], r"id 4 of the video a has another class or crowd flag in a/00000001"),
        "size": ([frame(PERSON), frame(PERSON, size=(8, 10))], "10 x 8 pixels, and its video a 12 x 8"),
    }
    for name, (frames, sentence) in cases.items():
        write_vipseg(tmp_path / name, "val", {"a": frames}, TAXONOMY)
        with pytest.raises(UserError, match=sentence):
            run(tmp_path / name, tmp_path / "dst", "vipseg", "youtube-vis")
        assert not (tmp_path / "dst").exists()
    write_vspw(tmp_path / "vspw", "val", {"a": [np.eye(8, dtype=np.uint8)]}, ["wall"])
    with pytest.raises(UserError, match="No class of the source is a thing"):
        run(tmp_path / "vspw", tmp_path / "dst", "vspw", "youtube-vis")


def test_a_track_stays_where_it_was_in_the_file(tmp_path):
    """Track ids of the source are numbers within a video; the order, and so the number, stays."""
    frames = [frame(Segment(1, 0), Segment(2, 1)), frame(Segment(2, 1))]
    write_youtube_vis(tmp_path / "src", "val", {"film": frames}, TRACKS)
    run(tmp_path / "src", tmp_path / "dst", "youtube-vis", "youtube-vis")
    before, after = open_dataset(tmp_path / "src", "val"), open_dataset(tmp_path / "dst", "val")
    for k in range(2):
        assert np.array_equal(before.load_map(k).ids, after.load_map(k).ids)
