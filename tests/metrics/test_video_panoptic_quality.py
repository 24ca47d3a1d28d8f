"""VPQ equals the recordings of VPSNet's evaluation, and PQ of the frames of a window laid side by side."""

import math

import numpy as np
import pytest
from test_segmentation_tracking_quality import recorded_panoptic

from pantile.contracts.errors import UserError
from pantile.contracts.panoptic import PanopticMap, Segment
from pantile.metrics import PanopticQuality, VideoPanopticQuality
from video_cases import TAXONOMY, drawn_video, maps_of, recorded

ROAD, SKY, PERSON, CAR = range(4)


def vpq(videos, taxonomy=TAXONOMY, **options):
    metric = VideoPanopticQuality(taxonomy, **options)
    for number, (predictions, truths) in enumerate(videos):
        for prediction, truth in zip(predictions, truths, strict=True):
            metric.update(prediction, truth, number)
    return metric.compute()


def check_recorded(result, taxonomy, values):
    for length, quality in result.windows.items():
        wanted = values[str(length)]
        for group in ("all", "things", "stuff"):
            got, of_group = getattr(quality, group), wanted[group]
            wanted_group = [of_group[key] for key in ("pq", "sq", "rq", "n")]
            assert [got.pq, got.sq, got.rq, got.n] == pytest.approx(wanted_group, abs=1e-9)
        for info in taxonomy.classes:
            row, of_class = quality.per_class[info.name], wanted["per_class"][str(info.id)]
            assert [row.tp, row.fp, row.fn] == [of_class[k] for k in ("tp", "fp", "fn")]
            if row.occurs:
                assert [row.pq, row.sq, row.rq] == pytest.approx([of_class[k] for k in ("pq", "sq", "rq")], abs=1e-9)


def test_the_recorded_sequences(real_data):
    by_index = type(TAXONOMY)(tuple(type(c)(c.name, c.is_thing, k, c.color) for k, c in enumerate(TAXONOMY.classes)))
    for name, sequences, values in recorded(real_data):
        result = vpq(map(maps_of, sequences), by_index)
        check_recorded(result, by_index, values["vpq"])
        assert result.all.pq == pytest.approx(values["vpq"]["mean_over_k_all"], abs=1e-9), name


def test_the_recorded_id_maps(real_data):
    taxonomy, videos, values = recorded_panoptic(real_data)
    check_recorded(vpq(videos, taxonomy), taxonomy, values["vpq"])


def side_by_side(maps):
    """A window as one image; a segment has the class and the flag of the first frame that has its id."""
    rows = {}
    for segment in (s for m in maps for s in m.segments):
        rows.setdefault(segment.id, segment)
    return PanopticMap(np.concatenate([m.ids for m in maps], axis=1), tuple(rows.values()))


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("id_of", [lambda k, i: (k + 1) << 16 | i, lambda k, i: 10 * (k < 2) * (k + 1) + i + 1])
def test_pq_of_windows_side_by_side(seed, id_of):
    """With ids that say the class, and with ids that several classes share."""
    videos = [maps_of(drawn_video(2 * seed + k), id_of) for k in range(2)]
    videos = [([only_first_rows(m) for m in p], [only_first_rows(m) for m in t]) for p, t in videos]
    result = vpq(videos, windows=(1, 3))
    for length in (1, 3):
        plain = PanopticQuality(TAXONOMY, crowd="reference")
        for video in videos:
            for first in range(len(video[0]) - length + 1):
                plain.update(*(side_by_side(maps[first : first + length]) for maps in video))
        wanted = plain.compute()
        assert 0 < wanted.all.pq < 1
        for name, row in wanted.per_class.items():
            got = result.windows[length].per_class[name]
            assert (got.tp, got.fp, got.fn) == (row.tp, row.fp, row.fn)
            assert got.pq == pytest.approx(row.pq, abs=1e-12, nan_ok=True)
    assert result.all.pq == pytest.approx(np.mean([r.all.pq for r in result.windows.values()]), abs=1e-12)


def only_first_rows(frame):
    rows = {}
    for segment in frame.segments:
        rows.setdefault(segment.id, segment)
    return PanopticMap(frame.ids, tuple(rows.values()))


def test_a_tube_has_the_class_of_its_first_frame():
    ids = np.ones((2, 2), np.int32)
    truths = [PanopticMap(ids, (Segment(1, PERSON),))] * 2
    flips = [PanopticMap(ids, (Segment(1, PERSON),)), PanopticMap(ids, (Segment(1, CAR),))]
    assert vpq([(flips, truths)], windows=(2,)).windows[2].per_class["person"].tp == 1
    assert vpq([(flips[::-1], truths)], windows=(2,)).windows[2].per_class["car"].fp == 1


def test_the_last_crowd_of_a_class_excuses_unless_all_do():
    truth = PanopticMap(np.array([[1, 1, 2, 2]]), (Segment(1, CAR, True), Segment(2, CAR, True)))
    prediction = PanopticMap(np.array([[1, 1, 0, 0]]), (Segment(1, CAR),))
    videos = [([prediction], [truth])]
    assert vpq(videos, windows=(1,)).windows[1].per_class["car"].fp == 1
    assert vpq(videos, windows=(1,), crowd="all").windows[1].per_class["car"].fp == 0


def test_windows_longer_than_every_video_are_undefined():
    result = vpq([maps_of(drawn_video(0, frames=2))], windows=(2, 3))
    assert result.windows[2].all.n > 0 and result.windows[3].all.n == 0 and math.isnan(result.all.pq)
    content = result.to_dict()["video_panoptic"]
    assert content["all"]["pq"] is None and content["windows"][2]["all"]["pq"] > 0


def test_windows_do_not_reach_over_videos_and_videos_come_in_one_go():
    predictions, truths = maps_of(drawn_video(0, frames=2))
    metric = VideoPanopticQuality(TAXONOMY, windows=(3,))
    for video in (0, 1):
        metric.update(predictions, truths, video)
    assert metric.compute().windows[3].all.n == 0
    with pytest.raises(UserError, match="Frames of video 0 come after those of video 1"):
        metric.update(predictions, truths, 0)
    metric.reset()
    metric.update(predictions, truths, 0)


@pytest.mark.parametrize("windows", [(), (0,), (1, 1), (1.5,), (True,)])
def test_other_lengths(windows):
    with pytest.raises(UserError, match=r"lengths of windows are .*: give whole numbers from 1, each once"):
        VideoPanopticQuality(TAXONOMY, windows=windows)


def test_another_rule_about_crowd():
    with pytest.raises(UserError, match="The rule about crowd is 'none'"):
        VideoPanopticQuality(TAXONOMY, crowd="none")


def test_the_order_of_videos_does_not_matter_to_the_bit():
    videos = [maps_of(drawn_video(seed, frames=4)) for seed in range(12)]
    whole = vpq(videos)
    assert sum(row.tp for row in whole.windows[1].per_class.values()) > 20
    assert vpq(videos[::-1]) == whole
    assert vpq(videos[5:] + videos[:5]) == whole
