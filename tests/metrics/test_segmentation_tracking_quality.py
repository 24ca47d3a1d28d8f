"""STQ equals the recordings of deeplab2 and a plain statement of its definition, whatever the order of frames."""

import json
import math

import numpy as np
import pytest
import torch

from pantile.contracts.errors import UserError
from pantile.contracts.panoptic import PanopticMap, Segment
from pantile.contracts.taxonomy import ClassInfo, Taxonomy
from pantile.metrics import SegmentationTrackingQuality
from video_cases import TAXONOMY, THINGS, VOID, drawn_video, maps_of, plain_stq_module, recorded

ROAD, SKY, PERSON, CAR = range(4)


def stq(videos, corrections=(), taxonomy=TAXONOMY):
    metric = SegmentationTrackingQuality(taxonomy, corrections)
    for number, (predictions, truths) in enumerate(videos):
        metric.update(predictions, truths, number)
    return metric.compute()


def test_the_recorded_sequences(real_data):
    names = []
    for name, sequences, values in recorded(real_data):
        result, wanted = stq(map(maps_of, sequences)), values["stq"]
        got = (result.all.stq, result.all.aq, result.all.sq)
        assert got == pytest.approx((wanted["STQ"], wanted["AQ"], wanted["IoU"]), abs=1e-9), name
        for key, field in (("STQ_per_seq", "stq"), ("AQ_per_seq", "aq"), ("IoU_per_seq", "sq")):
            assert [getattr(v, field) for v in result.per_video.values()] == pytest.approx(wanted[key], abs=1e-9), name
        names.append(name)
    assert len(names) == 10


def recorded_panoptic(folder):
    """Taxonomy, videos (predictions, truths) and values of the second recording: id maps with tables."""
    values = json.loads((folder / "rankseg_blocks" / "video_panoptic_metrics.json").read_text())
    arrays = np.load(folder / "rankseg_blocks" / "video_panoptic_metrics.npz")
    classes = [ClassInfo(f"c{c['id']}", bool(c["isthing"]), c["id"], (0, 0, 0)) for c in values["categories"]]

    def frame(ids, table, crowd=()):
        rows = (Segment(int(i), table[str(i)], is_crowd=i in crowd) for i in np.unique(ids) if i)
        return PanopticMap(ids, tuple(rows))

    videos = [
        (
            [frame(ids, video["pred_segments"]) for ids in arrays[f"pred{k}"]],
            [frame(ids, video["gt_segments"], video["crowd"]) for ids in arrays[f"gt{k}"]],
        )
        for k, video in enumerate(values["videos"])
    ]
    return Taxonomy(tuple(classes)), videos, values


def test_the_recorded_id_maps(real_data):
    """AQ was recorded with the precision of float32."""
    taxonomy, videos, values = recorded_panoptic(real_data)
    result, wanted = stq(videos, taxonomy=taxonomy), values["stq"]
    assert result.all.sq == pytest.approx(wanted["IoU"], abs=1e-9)
    assert (result.all.stq, result.all.aq) == pytest.approx((wanted["STQ"], wanted["AQ"]), abs=3e-8)
    assert [v.aq for v in result.per_video.values()] == pytest.approx(wanted["AQ_per_seq"], abs=3e-8)
    assert [v.sq for v in result.per_video.values()] == pytest.approx(wanted["IoU_per_seq"], abs=1e-9)


@pytest.mark.parametrize("seed", range(8))
def test_the_plain_statement(seed):
    videos = [drawn_video(3 * seed + k, frames=3 + k) for k in range(3)]
    wanted = plain_stq_module().plain_stq(videos, len(TAXONOMY), THINGS)
    got = stq(map(maps_of, videos)).all
    assert 0.1 < got.stq < 0.9
    assert (got.stq, got.aq, got.sq) == pytest.approx((wanted["STQ"], wanted["AQ"], wanted["SQ"]), abs=1e-12)


def test_any_order_of_frames_gives_the_same_bits():
    videos = [maps_of(drawn_video(k)) for k in range(3)]
    wanted = stq(videos)
    frames = [(pred, gt, k) for k, video in enumerate(videos) for pred, gt in zip(*video, strict=True)]
    one_by_one = SegmentationTrackingQuality(TAXONOMY)
    for position in np.random.default_rng(0).permutation(len(frames)):
        one_by_one.update(*frames[position])
    assert one_by_one.compute() == wanted


def test_long_films_are_held_in_little_memory():
    predictions, truths = maps_of(drawn_video(0, frames=2))
    metric, held = SegmentationTrackingQuality(TAXONOMY), []
    for _ in range(200):
        metric.update(predictions, truths, 0)
        held.append(sum(map(len, metric.pairs)))
    assert max(held) <= 1024 + held[0]
    assert metric.compute().all.sq == pytest.approx(stq([(predictions, truths)]).all.sq, abs=1e-12)


def one_frame(gt_class, gt_instance, pred_class, pred_instance):
    return maps_of([tuple(np.array([row]) for row in (gt_class, gt_instance, pred_class, pred_instance))])


def test_what_corrections_change():
    video = one_frame(
        (PERSON, PERSON, VOID, VOID, ROAD, ROAD), (1, 1, 0, 0, 0, 0), (PERSON, PERSON, PERSON, PERSON, ROAD, VOID),
        (1, 1, 1, 1, 0, 0),
    )  # fmt: skip
    as_original, corrected = stq([video]).all, stq([video], ["aq-void", "sq-void"]).all
    assert (as_original.aq, as_original.sq) == (0.5, (1 + 0.5 + 0) / 3)
    assert (corrected.aq, corrected.sq) == (1, (1 + 0.5) / 2)
    assert stq([video], ["aq-void"]).all.sq == as_original.sq


def test_the_class_is_part_of_a_predicted_track_but_need_not_be_right():
    same_class = one_frame((PERSON,) * 4, (1,) * 4, (CAR,) * 4, (7,) * 4)
    assert stq([same_class]).all.aq == 1
    flips = one_frame((PERSON,) * 4, (1,) * 4, (PERSON, PERSON, PERSON, CAR), (7,) * 4)
    assert stq([flips]).all.aq == pytest.approx((3 * 3 / 4 + 1 * 1 / 4) / 4)


@pytest.mark.filterwarnings("ignore:The ``compute`` method")
def test_without_tracks_and_without_anything():
    stuff = stq([one_frame((ROAD, SKY), (0, 0), (ROAD, PERSON), (0, 1))])
    assert math.isnan(stuff.all.aq) and math.isnan(stuff.all.stq) and stuff.all.sq == pytest.approx(1 / 3)
    nothing = stq([])
    assert math.isnan(nothing.all.stq) and nothing.per_video == {} and nothing.all.tracks == 0
    content = nothing.to_dict()["segmentation_and_tracking"]
    assert content["stq"] is None and content["per_class"]["road"] is None
    json.dumps(content, allow_nan=False)


def test_tensors_and_reset():
    predictions, truths = maps_of(drawn_video(1))
    wanted = stq([(predictions, truths)])
    metric = SegmentationTrackingQuality(TAXONOMY)
    tensors = [[PanopticMap(torch.from_numpy(m.ids), m.segments) for m in maps] for maps in (predictions, truths)]
    for _ in range(2):
        metric.reset()
        metric.update(*tensors, video=0)
        assert metric.compute() == wanted


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (lambda p, t: (p[:1], t, 0), "1 predictions for 5 frames"),
        (lambda p, t: (p, t, -1), "The video is -1: number the videos from 0"),
        (lambda p, t: (p, t, "a"), "The video is 'a'"),
        (
            lambda p, t: (PanopticMap(p[0].ids[:4], p[0].segments[:0]), t[0], 0),
            "the prediction is 4 x 14",
        ),
        (lambda p, t: (PanopticMap(np.ones((10, 14), int), (Segment(1, 9),)), t[0], 0), "class index 9"),
    ],
)
def test_bad_input(arguments, message):
    with pytest.raises(UserError, match=message):
        SegmentationTrackingQuality(TAXONOMY).update(*arguments(*maps_of(drawn_video(0))))


def test_an_unknown_correction():
    with pytest.raises(UserError, match="no correction 'void': choose of aq-void, sq-void"):
        SegmentationTrackingQuality(TAXONOMY, ["void"])
