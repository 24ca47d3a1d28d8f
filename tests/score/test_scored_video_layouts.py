"""Videos in the layouts of five data sets: recognised, and scored as the metrics score them in memory."""

import json
import shutil

import numpy as np
import pytest
from PIL import Image
from pycocotools.mask import decode
from video_files import write_cityscapes_vps, write_class_pngs, write_step, write_vipseg

from pantile.cli.main import main
from pantile.contracts.taxonomy import ClassInfo, Taxonomy
from pantile.contracts.videos import TrackedInstance
from pantile.metrics import (
    SegmentationTrackingQuality,
    SemanticQuality,
    TrackAveragePrecision,
    VideoConsistency,
    VideoPanopticQuality,
    tracks_of,
)
from pantile.score.video import VIDEO_LAYOUTS, VideoOptions, score_videos, video_layout_of
from video_cases import drawn_video, maps_of

TAXONOMY = Taxonomy(
    (
        ClassInfo("road", False, 0, (1, 1, 1)),
        ClassInfo("sky", False, 10, (2, 2, 2)),
        ClassInfo("person", True, 11, (3, 3, 3)),
        ClassInfo("car", True, 13, (4, 4, 4)),
    )
)
ARRAYS = {"0002": drawn_video(0), "0006": drawn_video(1, frames=4)}
MAPS = {name: maps_of(frames) for name, frames in ARRAYS.items()}
PREDICTIONS, TRUTHS = ({name: maps[side] for name, maps in MAPS.items()} for side in (0, 1))
WRITERS = {"vipseg": write_vipseg, "cityscapes-vps": write_cityscapes_vps}


def scored(gt, pred, workers=1, **options):
    layout = video_layout_of(gt)
    return score_videos(layout.open(VideoOptions(gt, pred, **options)), layout.title, workers)


@pytest.fixture(scope="module")
def wanted() -> dict:
    """What the metrics say of the videos in memory."""
    stq, vpq = SegmentationTrackingQuality(TAXONOMY), VideoPanopticQuality(TAXONOMY, windows=(1, 3))
    for number, (predictions, truths) in enumerate(MAPS.values()):
        stq.update(predictions, truths, number)
        vpq.update(predictions, truths, number)
    return stq.compute().to_dict() | vpq.compute().to_dict()


def check_panoptic(score, wanted) -> None:
    got = score.to_dict()
    videos = got["segmentation_and_tracking"].pop("per_video")
    assert {name: values["tracks"] for name, values in videos.items()} == {
        name: values["tracks"]
        for name, values in zip(TRUTHS, wanted["segmentation_and_tracking"]["per_video"].values(), strict=True)
    }
    in_memory = {k: v for k, v in wanted["segmentation_and_tracking"].items() if k != "per_video"}
    assert got["segmentation_and_tracking"] == in_memory and 0 < in_memory["aq"] < 1
    assert got["video_panoptic"]["windows"] == wanted["video_panoptic"]["windows"]
    assert got["videos"] == {"scored": 2, "without_prediction": 0, "unknown": 0}
    assert got["frames"] == {"scored": 9, "without_prediction": 0, "unknown": 0}


@pytest.mark.parametrize("layout", sorted(WRITERS))
def test_json_with_id_pngs(layout, wanted, tmp_path):
    gt = WRITERS[layout](tmp_path / "gt", TRUTHS, TAXONOMY, True)
    pred = WRITERS[layout](tmp_path / "pred", PREDICTIONS, TAXONOMY, False)
    for truth, prediction, workers in ((gt, pred, 1), (gt.parent, pred.parent, 2)):
        assert video_layout_of(truth) is VIDEO_LAYOUTS[layout]
        check_panoptic(scored(truth, prediction, workers, windows=(1, 3)), wanted)
    windows = {"vipseg": [1, 2, 4, 6, 8], "cityscapes-vps": [1, 2, 3, 4]}[layout]
    assert [*scored(gt, pred, only=["vpq"]).results["vpq"].windows] == windows


def test_step_pngs(wanted, tmp_path):
    gt = write_step(tmp_path / "panoptic_maps" / "val", TRUTHS, TAXONOMY)
    pred = write_step(tmp_path / "pred", PREDICTIONS, TAXONOMY)
    categories = tmp_path / "categories.json"
    categories.write_text(json.dumps(TAXONOMY.to_coco()))
    for given in (gt, tmp_path):  # the split, and the root of the data set
        assert video_layout_of(given) is VIDEO_LAYOUTS["kitti-step"]
        check_panoptic(scored(given, pred, categories=categories, windows=(1, 3)), wanted)
    by_default = scored(gt, pred).results["stq"]  # Cityscapes' classes, of which only people and cars are tracked
    assert by_default.all.aq == wanted["segmentation_and_tracking"]["aq"]
    assert {"rider", "sky"} < set(by_default.per_class) and by_default.per_class["rider"] != 0


CLASSES = {
    name: tuple(np.stack([np.where(frame[side] == 255, -1, frame[side]) for frame in frames]) for side in (2, 0))
    for name, frames in ARRAYS.items()
}
CLASS_NAMES = {"road": 1, "sky": 2, "person": 3, "car": 4}


@pytest.fixture
def vspw(tmp_path):
    """Root of the data set and predictions."""
    root = tmp_path / "VSPW_480p"
    write_class_pngs(root / "data", {name: truth for name, (_, truth) in CLASSES.items()}, "mask", first=1)
    write_class_pngs(root / "data", {"0009": CLASSES["0002"][1]}, "mask", first=1)
    (root / "val.txt").write_text("0002\n0006\n")
    (root / "label_num_dic_final.json").write_text(json.dumps({"others": 0} | CLASS_NAMES))
    pred = write_class_pngs(tmp_path / "pred", {name: prediction for name, (prediction, _) in CLASSES.items()})
    return root, pred


def test_class_pngs(vspw, tmp_path):
    root, pred = vspw
    assert video_layout_of(root) is VIDEO_LAYOUTS["vspw"]
    result = scored(root, pred, windows=(2, 3))
    pixels, consistency = SemanticQuality(TAXONOMY), VideoConsistency(TAXONOMY, (2, 3))
    for number, name in enumerate(CLASSES):
        predictions = CLASSES[name][0]
        pixels.update(predictions, TRUTHS[name])
        consistency.update(predictions, TRUTHS[name], number)
    got = result.to_dict()
    assert got["semantic"] == pixels.compute().to_dict()["semantic"] and 0 < got["semantic"]["miou"] < 1
    in_memory = consistency.compute()
    assert result.results["vc"].vc == pytest.approx(in_memory.vc) and result.results["vc"].windows == in_memory.windows
    assert [*scored(root, pred).results["vc"].vc] == [8, 16]

    from_one = write_class_pngs(tmp_path / "ones", {name: p for name, (p, _) in CLASSES.items()}, first=1)
    assert scored(root, from_one, first_label=1, windows=(2, 3)).to_dict() == got
    only = scored(root, pred, only=["vc"], windows=(2,), corrections=["vc-last"])
    assert [*only.results] == ["vc"] and only.results["vc"].windows[2] == 7 > got["video_consistency"]["windows"][2]


def test_vspw_without_its_lists(vspw):
    root, pred = vspw
    for name in ("val.txt", "label_num_dic_final.json"):
        (root / name).unlink()
    shutil.rmtree(root / "data" / "0009")
    result = scored(root, pred)
    assert len(result.coverage.videos) == 2 and len(result.results["miou"].per_class) == 124


def youtube_vis() -> tuple[dict, list[dict]]:
    """Ground truth with a crowd, null masks, one given as a list of numbers; results with scores."""
    things = [info for info in TAXONOMY.classes if info.is_thing]
    truth: dict = {"videos": [], "annotations": [], "categories": [{"id": c.id, "name": c.name} for c in things]}
    results = []
    for number, name in enumerate(TRUTHS, start=7):
        frames = TRUTHS[name]
        files = [f"{name}/{5 * k:05}.jpg" for k in range(len(frames))]
        size = {"height": frames[0].size[0], "width": frames[0].size[1]}
        truth["videos"].append({"id": number, "length": len(files), "file_names": files} | size)
        for rows, maps in ((truth["annotations"], frames), (results, PREDICTIONS[name])):
            for position, track in enumerate(tracks_of(maps, TAXONOMY)):
                segmentations = [m and m | {"counts": m["counts"].decode()} for m in track.masks]
                row = {"video_id": number, "category_id": TAXONOMY.classes[track.class_index].id}
                extra = (
                    {"score": 0.9 - 0.1 * position}
                    if rows is results
                    else {"id": len(rows), "iscrowd": int(track.is_crowd)}
                )
                rows.append(row | extra | {"segmentations": segmentations})
    return truth, results


@pytest.fixture
def tracks(tmp_path):
    """The JSON files of ground truth and results."""
    paths = tmp_path / "valid.json", tmp_path / "results.json"
    for path, content in zip(paths, youtube_vis(), strict=True):
        path.write_text(json.dumps(content))
    return paths


def test_tracks(tracks):
    gt, pred = tracks
    assert video_layout_of(gt) is VIDEO_LAYOUTS["youtube-vis"]
    metric = TrackAveragePrecision(TAXONOMY)
    for number, (predictions, truths) in enumerate(MAPS.values()):
        of_predictions = tracks_of(predictions, TAXONOMY)
        ranked = [TrackedInstance(t.class_index, 0.9 - 0.1 * k, t.masks) for k, t in enumerate(of_predictions)]
        metric.update(ranked, tracks_of(truths, TAXONOMY), number)
    wanted = metric.compute()
    for given, workers in ((pred, 1), (pred.parent, 2)):
        result = scored(gt, given, workers)
        assert result.results["ap"] == wanted and wanted.ap50 > 0
    assert result.coverage.videos == ["0002", "0006"] and result.coverage.frames == 9


def test_run_lengths_and_polygons_in_any_form(tracks):
    gt, pred = tracks
    wanted = scored(gt, pred).results["ap"]
    content = json.loads(gt.read_text())
    for row in content["annotations"]:
        for frame, mask in enumerate(row["segmentations"]):
            if mask is not None:
                flat = decode(mask | {"counts": mask["counts"].encode()}).reshape(-1, order="F")
                borders = np.flatnonzero(np.diff(flat, prepend=0))
                row["segmentations"][frame]["counts"] = np.diff([0, *borders, flat.size]).tolist()
    gt.write_text(json.dumps(content))
    assert scored(gt, pred).results["ap"] == wanted

    square = [[2, 2, 6, 2, 6, 6, 2, 6]]
    row = {"video_id": 7, "category_id": 11, "segmentations": [square] * 5}
    gt.write_text(json.dumps(content | {"annotations": [row]}))
    pred.write_text(json.dumps([row | {"score": 0.5}]))
    with pytest.warns(UserWarning, match="1 of 2 videos have no prediction"):
        assert scored(gt, pred).results["ap"].ap == pytest.approx(1)


def test_images_are_no_videos(tmp_path):
    coco = tmp_path / "panoptic_val.json"
    rows = [{"id": 1, "category_id": 1}]
    coco.write_text(json.dumps({"annotations": [{"image_id": "frankfurt_000000_000294", "segments_info": rows}]}))
    (tmp_path / "gtFine" / "frankfurt").mkdir(parents=True)
    Image.new("I;16", (4, 4)).save(tmp_path / "gtFine" / "frankfurt" / "a_gtFine_instanceIds.png")
    for path in (coco, tmp_path / "gtFine", tmp_path / "nothing", tmp_path / "nothing.json"):
        assert video_layout_of(path) is None


def test_the_verb_prints_and_writes(tmp_path, tracks, vspw, capsys):
    gt = write_vipseg(tmp_path / "gt", TRUTHS, TAXONOMY, True)
    pred = write_vipseg(tmp_path / "p", PREDICTIONS, TAXONOMY, False)
    target = tmp_path / "score.json"
    cases = [
        (gt, pred, ("VIPSeg: 2 videos, 9 frames", "STQ ", "AQ ", "Worst videos", "VPQ ", "frames in a window")),
        (*vspw, ("VSPW: 2 videos", "mIoU", "VC2 ", "VC3 ")),
        (*tracks, ("YouTube-VIS: 2 videos", "AP ", "AR1", "medium (up to 256 x 256)")),
    ]
    for truth, prediction, parts in cases:
        more = ["--windows", "2", "3"] if "VC2 " in parts or "VPQ " in parts else []
        given = ["--gt", str(truth), "--pred", str(prediction), "--json", str(target), "--workers", "1", *more]
        assert main(["score", *given]) == 0
        printed = capsys.readouterr().out
        positions = [printed.index(part) for part in parts]
        assert positions == sorted(positions)
        assert json.loads(target.read_text())["videos"]["scored"] == 2
