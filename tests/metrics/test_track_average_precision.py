"""AP of tracks equals the recording of YouTube-VIS' evaluation, and AP of the frames laid side by side."""

import json
import math
from dataclasses import astuple, replace

import numpy as np
import pytest
from average_precision_scenes import TAXONOMY, random_image
from pycocotools.mask import decode, encode, frPyObjects

from pantile.contracts.errors import UserError
from pantile.contracts.panoptic import PanopticMap, Segment
from pantile.contracts.taxonomy import ClassInfo, Taxonomy, plain_taxonomy
from pantile.metrics import MaskAveragePrecision, MaskTrack, TrackAveragePrecision, tracks_of

ONE_CLASS = plain_taxonomy(["cat"], things=["cat"])


def thing(class_index, masks, score=1.0, is_crowd=False) -> MaskTrack:
    return MaskTrack(class_index, score, tuple(masks), is_crowd)


def run_lengths(mask) -> dict:
    return encode(np.asfortranarray(mask, np.uint8))


def box(size=(8, 8), rows=slice(None), columns=slice(None)) -> dict:
    mask = np.zeros(size, np.uint8)
    mask[rows, columns] = 1
    return run_lengths(mask)


def test_the_recorded_results(real_data):
    folder = real_data / "rankseg_blocks"
    truth, results, values = (json.loads((folder / f"ytvis_ap{n}.json").read_text()) for n in ("_gt", "_results", ""))
    taxonomy = Taxonomy(tuple(ClassInfo(c["name"], True, c["id"], (0, 0, 0)) for c in truth["categories"]))

    def track(row):
        masks = [
            None if m is None
            else frPyObjects(m, *m["size"]) if isinstance(m["counts"], list)
            else m | {"counts": m["counts"].encode()}
            for m in row["segmentations"]
        ]  # fmt: skip
        return thing(taxonomy.index_of_id[row["category_id"]], masks, row.get("score", 1), bool(row.get("iscrowd")))

    metric = TrackAveragePrecision(taxonomy)
    for video in reversed(truth["videos"]):
        of_video = [[r for r in rows if r["video_id"] == video["id"]] for rows in (results, truth["annotations"])]
        metric.update(*(list(map(track, rows)) for rows in of_video), video["id"])
    *numbers, per_class = astuple(metric.compute())
    assert np.nan_to_num(numbers, nan=-1) == pytest.approx(values["stats"], abs=1e-9)
    assert list(per_class.values()) == pytest.approx(values["per_class_AP"], abs=1e-9)


def test_frames_side_by_side():
    """Without crowds and sizes, a video is an image of its frames."""
    images, videos = MaskAveragePrecision(TAXONOMY), TrackAveragePrecision(TAXONOMY)
    random = np.random.default_rng(0)
    for number in range(6):
        instances, target = random_image(random)
        target = PanopticMap(target.ids, tuple(replace(s, is_crowd=False) for s in target.segments))
        images.update([instances], [target], [number])
        halves = target.ids.shape[1] // 2
        things = [s for s in target.segments if TAXONOMY.classes[s.class_index].is_thing]

        def in_two(mask, halves=halves):
            parts = mask[:, :halves], mask[:, halves:]
            parts = [np.pad(part, ((0, 0), (0, halves + 1 - part.shape[1]))) for part in parts]
            return [run_lengths(part) if part.any() else None for part in parts]

        predictions = [thing(i.class_index, in_two(decode(i.mask)), i.score) for i in instances]
        truths = [thing(s.class_index, in_two(target.ids == s.id)) for s in things]
        videos.update(predictions, truths, number)
    wanted, got = images.compute(), videos.compute()
    assert 0 < got.ap < 1
    for field in ("ap", "ap50", "ap75", "ar1", "ar10", "ar100"):
        assert getattr(got, field) == pytest.approx(getattr(wanted, field), abs=1e-12)
    assert got.per_class == pytest.approx(wanted.per_class, abs=1e-12, nan_ok=True)


def test_absent_frames_widen_the_union():
    truth = thing(0, [box(), None, box()])
    metric = TrackAveragePrecision(ONE_CLASS)
    metric.update([thing(0, [box(), box(), None], 0.5)], [truth], 0)  # 64 shared of 192 pixels
    assert metric.compute().ap50 == 0
    metric.reset()
    metric.update([thing(0, [box(), None, box(rows=slice(4))], 0.5)], [truth], 0)  # 96 of 128: 0.75
    result = metric.compute()
    assert (result.ap50, result.ap75) == pytest.approx((1, 1)) and result.ar100 == pytest.approx(0.6)


def test_sizes_are_means_over_the_frames_with_pixels():
    big = (300, 300)
    truths = [thing(0, [box(big), None]), thing(0, [box(big, slice(10)), box(big, slice(20))])]
    metric = TrackAveragePrecision(ONE_CLASS)
    metric.update([replace(track, score=0.9) for track in truths], truths, 0)
    result = metric.compute()
    assert (result.ap_large, result.ap_small) == pytest.approx((1, 1)) and math.isnan(result.ap_medium)


def test_a_crowd_excuses_by_the_ordinary_iou():
    truths = [thing(0, [box(rows=slice(2))]), thing(0, [box(rows=slice(2, 8))], is_crowd=True)]
    right = thing(0, [box(rows=slice(2))], 0.5)
    for rows, precision in ((slice(2, 8), 1), (slice(2, 4), 0.5)):  # half of a crowd is not excused here, in COCO it is
        metric = TrackAveragePrecision(ONE_CLASS)
        metric.update([thing(0, [box(rows=rows)], 0.9), right], truths, 0)
        assert metric.compute().ap50 == pytest.approx(precision)


def test_tracks_of_panoptic_maps():
    taxonomy = plain_taxonomy(["sky", "cat", "dog"], things=["cat", "dog"])
    frames = [
        PanopticMap(np.array([[1, 2, 2]]), (Segment(1, 0), Segment(2, 1, score=0.5))),
        PanopticMap(np.array([[1, 1, 1]]), (Segment(1, 0),)),
        PanopticMap(np.array([[3, 2, 4]]), (Segment(2, 1), Segment(3, 1, is_crowd=True), Segment(4, 2))),
    ]
    cat, crowd, dog = tracks_of(frames, taxonomy)
    assert [None if m is None else decode(m).tolist() for m in cat.masks] == [[[0, 1, 1]], None, [[0, 1, 0]]]
    assert (cat.class_index, cat.score, cat.is_crowd, crowd.is_crowd, dog.class_index) == (1, 0.75, False, True, 2)
    assert dog.masks[:2] == (None, None)


def test_nothing_to_average():
    metric = TrackAveragePrecision(ONE_CLASS)
    metric.update([thing(0, [box()], 0.5)], [], 0)
    metric.update([], [], 1)
    assert math.isnan(metric.compute().ap)
    assert metric.compute().to_dict()["video_instance"]["ap"] is None


@pytest.mark.parametrize(
    ("track", "message"),
    [
        (thing(0, [box()], 0.5), "has 1 masks in a video of 2 frames"),
        (thing(0, [box((4, 4)), None], 0.5), "is 4 x 4 pixels in a video of 8 x 8"),
        (thing(1, [box(), None], 0.5), "class index 1, which is no thing class"),
        (thing(0, [box(), None], math.nan), "has the score nan"),
        (thing(0, [box() | {"counts": [0, 64]}, None], 0.5), "not in compressed run lengths"),
    ],
)
def test_bad_tracks(track, message):
    with pytest.raises(UserError, match=message):
        TrackAveragePrecision(ONE_CLASS).update([track], [thing(0, [box(), box()])], 0)


def test_a_video_twice():
    metric = TrackAveragePrecision(ONE_CLASS)
    for _ in range(2):
        metric.update([], [thing(0, [box()])], 3)
    with pytest.raises(UserError, match="Video 3 was given more than once"):
        metric.compute()
