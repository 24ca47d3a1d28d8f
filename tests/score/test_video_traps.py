"""What goes wrong with files of videos: told in one sentence, or counted as missing with a warning."""

import json
import re
import shutil
import warnings

import numpy as np
import pytest
from PIL import Image
from video_files import edit, write_cityscapes_vps, write_class_pngs, write_step, write_vipseg

from pantile.cli.main import main
from pantile.contracts.errors import UserError
from pantile.contracts.panoptic import PanopticMap, Segment
from pantile.contracts.taxonomy import plain_taxonomy
from pantile.score.video import VideoOptions, score_videos, video_layout_of

TAXONOMY = plain_taxonomy(["person", "road", "car"], things=["person", "car"])
PERSON, ROAD, CAR = range(3)
IDS = np.repeat([[1, 1, 2, 2]], 3, axis=0).astype(np.int32)
ROWS = (Segment(1, PERSON), Segment(2, ROAD))
FRAME = PanopticMap(IDS, ROWS)
VIDEOS = {"0001": [FRAME] * 3, "0002": [FRAME] * 2}


def scored(gt, pred, told="error", **options):
    with warnings.catch_warnings():
        warnings.simplefilter(told)
        layout = video_layout_of(gt)
        return score_videos(layout.open(VideoOptions(gt, pred, **({"windows": (1,)} | options))), layout.title)


def warned(gt, pred, *messages, **options):
    layout = video_layout_of(gt)
    with pytest.warns(UserWarning) as caught:
        result = score_videos(layout.open(VideoOptions(gt, pred, **options)), layout.title)
    told = [str(warning.message) for warning in caught]
    assert len(told) == len(messages)
    for message, sentence in zip(messages, told, strict=True):
        assert re.search(message, sentence), sentence
    return result


def refused(gt, pred, message, **options):
    with pytest.raises(UserError, match=message) as error:
        scored(gt, pred, told="ignore", **options)
    assert "\n" not in str(error.value)


def written(write, folder):
    """Ground truth and the same as prediction."""
    return write(folder / "gt", VIDEOS, TAXONOMY, True), write(folder / "pred", VIDEOS, TAXONOMY, False)


@pytest.fixture(params=[write_vipseg, write_cityscapes_vps])
def pair(request, tmp_path):
    return written(request.param, tmp_path)


@pytest.fixture
def vipseg(tmp_path):
    return written(write_vipseg, tmp_path)


@pytest.fixture
def step(tmp_path):
    person, road = 1 << 16 | 300, 2 << 16
    frame = PanopticMap(np.where(IDS == 1, person, road), (Segment(person, PERSON), Segment(road, ROAD)))
    videos = {name: [frame] * len(frames) for name, frames in VIDEOS.items()}
    (tmp_path / "categories.json").write_text(json.dumps(TAXONOMY.to_coco()))
    return write_step(tmp_path / "gt", videos, TAXONOMY), write_step(tmp_path / "pred", videos, TAXONOMY)


@pytest.fixture
def vspw(tmp_path):
    classes = {name: np.repeat([[[0, 0, 1]]], 10, axis=0) for name in VIDEOS}
    return (
        write_class_pngs(tmp_path / "gt" / "data", classes, "mask", first=1).parent,
        write_class_pngs(tmp_path / "pred", classes),
    )


def test_perfect(pair):
    result = scored(*pair)
    assert result.results["stq"].all.stq == 1 and result.results["vpq"].all.pq == 1


def frames_of(content: dict) -> list[dict]:
    rows = content["annotations"]
    return rows[0].get("annotations", rows)


def test_a_prediction_that_lacks_frames(pair):
    edit(pair[1], lambda content: frames_of(content).pop(1))
    result = warned(
        *pair, r"1 of 5 frames have no prediction \(the first is 0001/\S+\): they count as all void", windows=(1,)
    )
    assert result.results["vpq"].windows[1].per_class["person"].fn == 1
    assert result.results["stq"].all.aq == pytest.approx(((2 / 3) ** 2 + 1) / 2)
    assert result.to_dict()["frames"]["without_prediction"] == 1


def test_videos_missing_on_either_side(pair):
    gt, pred = pair
    without_first = {"0002": VIDEOS["0002"], "0003": VIDEOS["0002"]}
    shutil.rmtree(pred.parent)
    writer = write_vipseg if "VIPSeg" in gt.name else write_cityscapes_vps
    writer(pred.parent, without_first, TAXONOMY, False)
    result = warned(
        gt,
        pred,
        r"1 of 2 videos have no prediction \(the first is 0001\): they count as all void",
        r"predictions of 1 videos that the ground truth lacks \(the first is 0003\): they are left out",
    )
    assert result.results["stq"].all.aq == 0.5
    edit(pred, lambda content: content["annotations"].clear())
    refused(gt, pred, "No video of the ground truth .* has a prediction, the predictions have none")


def test_frames_of_other_names(vipseg):
    gt, pred = vipseg
    for file in (pred.parent / "pan_pred").rglob("*.png"):
        file.rename(file.with_stem(file.stem[-4:]))

    def rename(content):
        for frame in (frame for video in content["annotations"] for frame in video["annotations"]):
            frame["file_name"] = frame["file_name"][-8:]

    edit(pred, rename)
    message = r"No frame of the ground truth \(0001/00000000, \.\.\.\) has a prediction; .* begin with 0001/0000"
    refused(gt, pred, message)


def test_frames_of_another_size(pair):
    path = min((pair[1].parent / "pan_pred").rglob("*.png"))
    Image.new("RGB", (5, 3), (1, 0, 0)).save(path)
    refused(*pair, re.escape(path.name) + r" against .*: The ground truth is 3 x 4 pixels but the prediction is 3 x 5")


def test_an_id_that_changes_its_class(pair):
    def change(content):
        frames_of(content)[1]["segments_info"][0]["category_id"] = TAXONOMY.classes[CAR].id

    edit(pair[1], change)
    message = (
        r"In 1 of 2 videos predicted ids change their class \(id 1 of 0001 is person, then car\): STQ counts another "
        "track from there, VPQ the class of the first frame in each window"
    )
    result = warned(*pair, message, windows=(2,))
    assert result.results["stq"].all.aq == pytest.approx(((2 * 2 / 3 + 1 / 3) / 3 + 1) / 2)
    edit(pair[0], change)
    warned(*pair, message, "ids of the ground truth change their class", windows=(2,))


def test_tables_that_contradict_their_pixels(pair):
    edit(pair[1], lambda content: frames_of(content)[0]["segments_info"].pop(0))
    refused(*pair, "has pixels with id 1, but its table of segments lacks that id")


def test_categories_and_ids_that_are_none(pair):
    gt, pred = pair
    edit(pred, lambda content: content.update(categories=[{"id": 1, "name": "car", "isthing": 1}]))
    refused(gt, pred, "calls category 1 'car', but the ground truth calls it 'person'")
    edit(pred, lambda content: content.pop("categories"))
    edit(pred, lambda content: frames_of(content)[0]["segments_info"][0].update(category_id=77))
    refused(gt, pred, "and category_id 77, which the ground truth's categories do not list")
    edit(pred, lambda content: frames_of(content)[0].pop("segments_info"))
    refused(gt, pred, r"lacks the field 'segments_info'")
    pred.write_text("{")
    refused(gt, pred, "is not valid JSON")
    pred.unlink()
    refused(gt, pred, r"cannot be read \(No such file")


def test_a_frame_and_a_video_twice(pair):
    gt, pred = pair
    edit(pred, lambda content: frames_of(content).append(frames_of(content)[0]))
    refused(gt, pred, "two annotations for image_id|frame '00000000' of video '0001' twice")
    if "VIPSeg" in gt.name:
        edit(gt, lambda content: content["annotations"].append(content["annotations"][0]))
        refused(gt, pred, "has the video '0001' twice")


def test_image_ids_without_their_numbers(tmp_path):
    gt, pred = (write_cityscapes_vps(tmp_path / n, VIDEOS, TAXONOMY, n == "gt") for n in ("gt", "pred"))
    edit(pred, lambda content: content["annotations"][0].update(image_id="frankfurt_000000"))
    refused(gt, pred, "image_id frankfurt_000000, which does not begin with the numbers of its video and frame")


def test_folders_and_files_that_are_missing(pair):
    gt, pred = pair
    refused(gt.parent, pred, r"panoptic_gt_\S*test\S*json cannot be read", split="test")
    path = min((pred.parent / "pan_pred").rglob("*.png"))
    path.unlink()
    refused(gt, pred, re.escape(path.name) + " cannot be read")
    shutil.rmtree(pred.parent / "pan_pred")
    refused(gt, pred, "is not a folder: name the folder of the PNGs of .* with --gt-dir or --pred-dir")


def test_step_pngs_of_unknown_classes(step, tmp_path):
    gt, pred = step
    categories = tmp_path / "categories.json"
    assert scored(gt, pred, categories=categories).results["stq"].all.stq == 1
    path = pred / "0001" / "000001.png"
    Image.new("RGB", (4, 3), (77, 0, 0)).save(path)
    refused(
        gt, pred, r"000001\.png has pixels of class 77 \(red\), which is none of the 3 classes", categories=categories
    )
    path.unlink()
    warned(gt, pred, "1 of 5 frames have no prediction", categories=categories)
    (pred / "0002" / "000009.png").write_bytes((gt / "0002" / "000000.png").read_bytes())
    warned(gt, pred, "1 of 5 frames", "predictions of 1 frames that the ground truth lacks", categories=categories)
    refused(gt, tmp_path / "nothing", "nothing is not a folder", categories=categories)
    (tmp_path / "empty" / "0001").mkdir(parents=True)
    refused(gt, tmp_path / "empty", "empty has no folder with PNGs in it", categories=categories)


def test_step_crowds_are_things_without_instance(step, tmp_path):
    gt, pred = step
    for file in (gt / "0001").glob("*.png"):
        colours = np.asarray(Image.open(file)).copy()
        colours[..., 1:] = 0
        Image.fromarray(colours).save(file)
    result = scored(gt, pred, categories=tmp_path / "categories.json").results
    assert result["stq"].all.tracks == 1 and result["stq"].all.stq == 1
    assert result["vpq"].windows[1].per_class["person"].tp == 2


def test_class_pngs_that_count_from_one(vspw, tmp_path):
    gt, _ = vspw
    classes = {name: np.repeat([[[0, 0, 1]]], 10, axis=0) for name in VIDEOS}
    ones = write_class_pngs(tmp_path / "ones", classes, first=1)
    result = warned(
        gt, ones, "No first frame of a predicted video has the value 0, which is class 1: .* --first-label 1"
    )
    assert result.results["miou"].miou_labelled < 0.5
    assert scored(gt, ones, first_label=1).results["miou"].miou_labelled == 1
    highest = write_class_pngs(
        tmp_path / "highest", {name: k * 0 + np.array([0, 0, 124]) for name, k in classes.items()}
    )
    refused(gt, highest, "has the value 124, where classes are 0 to 123 and 255 is void: say --first-label 1 where")


def test_class_pngs_that_lack_frames_are_consistent_with_nothing(vspw):
    gt, pred = vspw
    (pred / "0001" / "00000004.png").unlink()
    result = warned(gt, pred, r"1 of 20 frames have no prediction \(the first is 0001/00000004\)", windows=(2,))
    assert result.results["vc"].vc == {2: 14 / 16}  # of 8 windows a video, the last left out, two reach over the gap


def test_splits_of_class_pngs(vspw):
    gt, pred = vspw
    refused(gt, pred, r"test\.txt is missing, which lists the videos of the split", split="test")
    (gt / "val.txt").write_text("0002\n0007\n")
    refused(gt, pred, r"val\.txt lists 1 videos without masks \(the first is 0007\)")
    (gt / "label_num_dic_final.json").write_text("[]")
    refused(gt, pred, "is no list of names and values")


def run_lengths(*counts: int, size=(3, 4)) -> dict:
    return {"size": list(size), "counts": list(counts)}


@pytest.fixture
def tracks(tmp_path):
    """A track that is not seen in the second of three frames, and in a second video none; the same as a result."""
    video = {"width": 4, "height": 3, "length": 3, "file_names": ["a/0.jpg", "a/5.jpg", "a/10.jpg"]}
    row = {"video_id": 1, "category_id": 4, "segmentations": [run_lengths(0, 6, 6), None, run_lengths(3, 6, 3)]}
    truth = {
        "videos": [video | {"id": 1}, video | {"id": 2, "file_names": ["b/0.jpg"], "length": 1}],
        "categories": [{"id": 4, "name": "cat"}],
        "annotations": [row | {"id": 1, "iscrowd": 0, "areas": [6, None, 6], "bboxes": [[0, 0, 2, 3], None, None]}],
    }
    paths = tmp_path / "valid.json", tmp_path / "results.json"
    for path, content in zip(paths, (truth, [row | {"score": 0.5}]), strict=True):
        path.write_text(json.dumps(content))
    return paths


ONE_WITHOUT = r"1 of 2 videos have no prediction \(the first is b\): all their tracks count as missed"


def test_frames_without_labels(tracks):
    result = warned(*tracks, ONE_WITHOUT)
    assert result.results["ap"].ap == pytest.approx(1)
    edit(tracks[1], lambda rows: rows[0]["segmentations"].__setitem__(1, run_lengths(0, 12)))  # where there is no label
    assert warned(*tracks, ONE_WITHOUT).results["ap"].ap == pytest.approx(0.1)  # an IoU of 12 / 24
    edit(tracks[0], lambda content: content["annotations"][0].update(segmentations=[None] * 3))  # nowhere at all
    assert warned(*tracks, ONE_WITHOUT).results["ap"].ap == 0


@pytest.mark.parametrize("annotations", [None, [], "missing"])
def test_ground_truth_without_annotations(tracks, annotations):
    edit(
        tracks[0],
        lambda content: (
            content.pop("annotations") if annotations == "missing" else content.update(annotations=annotations)
        ),
    )
    refused(*tracks, "has no annotations, as the files of validation and test", windows=None)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"segmentations": [None]}, "track 0 has 1 masks, but video 1 has 3 frames: give one for each frame, null"),
        (
            {"segmentations": [run_lengths(0, 6, 6, size=(4, 3)), None, None]},
            "mask of 4 x 3 pixels, but its video is 3 x 4",
        ),
        ({"segmentations": [run_lengths(0, 6), None, None]}, "run lengths that do not fill the 12 pixels of a frame"),
        ({"segmentations": [{"size": [3, 4], "counts": "0h"}, None, None]}, "track 0 has run lengths that do not fill"),
        (
            {"category_id": 9},
            r"category_id 9, which .* do not list: .*\(YouTube-VIS 2019 and 2021 number them differently",
        ),
        ({"score": "high"}, r"\[0\]\.score is 'high', but it should be a valid number"),
        ({"video_id": 9}, "No video of .* has a result in .*, whose first track is of video 9"),
    ],
)
def test_results_that_do_not_fit(tracks, change, message):
    edit(tracks[1], lambda rows: rows[0].update(change))
    refused(*tracks, message, windows=None)


def test_results_of_other_videos(tracks):
    edit(tracks[1], lambda rows: rows.append(rows[0] | {"video_id": 9}))
    warned(*tracks, ONE_WITHOUT, r"predictions of 1 videos that the ground truth lacks \(the first is video 9\)")
    tracks[1].write_text("{}")
    refused(*tracks, "is not a YouTube-VIS JSON of results", windows=None)


def test_a_track_of_a_video_that_is_not_listed(tracks):
    edit(tracks[0], lambda content: content["annotations"][0].update(video_id=5))
    refused(*tracks, "has a track of video 5, which its videos do not list", windows=None)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"only": ["vc"]}, "--only names vc, which this ground truth does not have: choose stq or vpq"),
        ({"corrections": ["void"]}, "no correction 'void': choose of aq-void, sq-void, vc-last"),
        ({"windows": [0]}, r"lengths of windows are \[0\]"),
        ({"first_label": 1}, "--first-label means nothing for VIPSeg: leave it out"),
    ],
)
def test_options_that_mean_nothing(vipseg, options, message):
    refused(*vipseg, message, **options)


def test_options_of_the_verb(vipseg, tracks, tmp_path, capsys):
    (tmp_path / "images.json").write_text("{}")
    given = [
        (vipseg, ["--pair-by", "id"], "--pair-by means nothing for"),
        (vipseg, ["--gt-instances", str(tmp_path)], "--gt-instances means nothing for"),
        (tracks, ["--windows", "2"], "--windows means nothing for YouTube-VIS"),
        ((tmp_path / "images.json",) * 2, ["--only", "stq"], "--only names 'stq': of images there are"),
    ]
    for (gt, pred), more, message in given:
        assert main(["score", "--gt", str(gt), "--pred", str(pred), *more]) == 2
        error = capsys.readouterr().err
        assert message in error and error.count("\n") == 1


def test_only_the_first_videos(vipseg):
    assert scored(*vipseg, limit=1).coverage.videos == ["0001"]
