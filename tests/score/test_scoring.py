"""Scores of files: equal to the recorded counts of the reference, whatever the number of workers and other fields."""

import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from score_files import edit, scored, write_maps

from pantile.contracts.errors import UserError
from pantile.contracts.panoptic import MAX_ID, PanopticMap, Segment
from pantile.contracts.taxonomy import Taxonomy, plain_taxonomy
from pantile.metrics import PanopticQuality
from pantile.score import CocoMaps, Job, score

TAXONOMY = plain_taxonomy(["cat", "dog", "sky", "road"], things=["cat", "dog"])


def random_map(seed: int, size: tuple[int, int] = (24, 40)) -> PanopticMap:
    """Blocks of up to seven segments and void."""
    blocks = np.random.default_rng(seed).integers(0, 8, (size[0] // 4, size[1] // 4))
    ids = np.kron(blocks, np.ones((4, 4), np.int32)).astype(np.int32)
    return PanopticMap(ids, tuple(Segment(int(i), int(i) % 4) for i in np.unique(ids) if i))


def moved(panoptic: PanopticMap) -> PanopticMap:
    return PanopticMap(np.roll(panoptic.ids, 1, axis=1), panoptic.segments)


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pair")
    maps = [random_map(seed) for seed in range(40)]
    gt = write_maps(folder, "gt", maps, TAXONOMY)
    return gt, write_maps(folder, "pred", [moved(m) for m in maps], TAXONOMY)


def test_the_recorded_pairs_through_files_equal_panopticapi(real_data, tmp_path):
    cases = json.loads((real_data / "pq_cases" / "cases.json").read_text())
    arrays = np.load(real_data / "pq_cases" / "maps.npz")
    taxonomy = Taxonomy.from_coco(cases["categories"])
    index = taxonomy.index_of_id
    gts, preds = [], []
    for gt_ids, pred_ids, case in zip(arrays["gt"], arrays["pred"], cases["cases"], strict=True):
        gts.append(PanopticMap(gt_ids, tuple(Segment(i, index[c], bool(crowd)) for i, c, crowd in case["gt"])))
        preds.append(PanopticMap(pred_ids, tuple(Segment(i, index[c]) for i, c in case["pred"])))
    gt, pred = write_maps(tmp_path, "gt", gts, taxonomy), write_maps(tmp_path, "pred", preds, taxonomy)
    truth = CocoMaps(gt)
    with pytest.warns(
        UserWarning, match=r"^In 2 images the rule for several crowd regions of one class changes the co"
    ):
        by_reference = Job(truth, CocoMaps(pred, taxonomy=truth.taxonomy), crowd="reference")
        found = score(by_reference, workers=2).quality.per_class
    with pytest.warns(UserWarning, match=r"\(--crowd reference\)"):
        assert scored(gt, pred).quality.per_class != found

    in_memory = PanopticQuality(taxonomy, crowd="reference")
    in_memory.update(preds, gts)
    for info, row in zip(taxonomy.classes, found.values(), strict=True):
        stats = [case["stat"].get(str(info.id), ["0x0.0p+0", 0, 0, 0]) for case in cases["cases"]]
        assert [row.tp, row.fp, row.fn] == [sum(s[k] for s in stats) for k in (1, 2, 3)]
    assert found == in_memory.compute().per_class
    for case, gt_map, pred_map in zip(cases["cases"], gts, preds, strict=True):  # image by image, against the record
        one = PanopticQuality(taxonomy, crowd="reference")
        one.update(pred_map, gt_map)
        recorded = [float.fromhex(case["stat"].get(str(c.id), ["0x0.0p+0"])[0]) for c in taxonomy.classes]
        for iou, wanted, tp in zip(one.iou, recorded, one.tp.tolist(), strict=True):
            assert abs(iou - wanted) <= max(0, tp - 2) * math.ulp(wanted)  # the record rounds each sum but the first


def test_neither_workers_nor_the_order_of_images_change_a_bit(pair, tmp_path):
    one, two, three = (scored(*pair, workers=n).to_dict() for n in (1, 2, 3))
    assert one == two == three
    shuffled = []
    for number, path in enumerate(pair):
        (tmp_path / path.stem).symlink_to(path.with_suffix(""))
        shuffled.append(tmp_path / path.name)
        content = json.loads(path.read_text())
        np.random.default_rng(number).shuffle(content["annotations"])
        shuffled[-1].write_text(json.dumps(content))
    assert scored(*shuffled, workers=2).to_dict() == one
    assert 0 < one["panoptic"]["all"]["pq"] < 1
    assert one["images"] == {"scored": 40, "without_prediction": 0, "unknown": 0}


def test_perfect_predictions_are_perfect_in_every_number(pair):
    gt, _ = pair
    content = scored(gt, gt).to_dict()
    for group in ("panoptic", "boundary_panoptic"):
        assert content[group]["all"] == {"pq": 1.0, "sq": 1.0, "rq": 1.0, "n": 4}
    assert content["thing_pixels"]["accuracy"] == content["thing_pixels"]["precision"] == 1
    assert set(content["thing_confusion"]["share_at_percent"].values()) == {0.0}
    assert content["class_confusion"] == []


def test_limit_takes_the_first_images(pair):
    assert scored(*pair, limit=3).images == 3
    assert scored(*pair, limit=99).images == 40


def test_json_has_the_layout_of_eval_and_more(pair):
    content = scored(*pair).to_dict()
    json.dumps(content, allow_nan=False)
    assert content["panoptic"].keys() == {"all", "things", "stuff", "per_class"}
    assert content["panoptic"]["per_class"].keys() == set(TAXONOMY.names)
    assert content["panoptic_by_size"].keys() == {"small", "medium", "large"}
    assert list(content["thing_confusion"]["share_at_percent"]) == [str(t) for t in range(5, 55, 5)]
    qualities = [row["pq"] for row in content["worst_images"]]
    assert qualities == sorted(qualities) and len(qualities) == 40


def test_the_first_broken_image_is_told_whatever_the_workers(pair, tmp_path):
    maps = [random_map(seed) for seed in range(40)]
    gt = write_maps(tmp_path, "gt", maps, TAXONOMY)
    pred = write_maps(tmp_path, "pred", maps, TAXONOMY)
    for number in (20, 35):
        (tmp_path / "pred" / f"{number:03}.png").write_bytes(b"no image")
    for workers in (1, 2):
        with pytest.raises(UserError, match=r"020\.png is not an intact PNG"):
            scored(gt, pred, workers)


class TestIncomplete:
    def test_missing_predictions_count_as_all_void_and_are_told(self, pair, tmp_path):
        gt, _ = pair
        half = write_maps(tmp_path, "half", [random_map(seed) for seed in range(20)], TAXONOMY)
        with pytest.warns(UserWarning, match=r"20 of 40 images have no prediction \(the first is 020\.png\)"):
            result = scored(gt, half)
        assert (result.images, result.missing) == (40, 20)
        missed = sum(len(random_map(seed).segments) for seed in range(20, 40))
        assert sum(c.fn for c in result.quality.per_class.values()) == missed
        assert result.quality.all.pq < 0.8

    def test_predictions_of_unknown_images_are_told_and_left_out(self, pair, tmp_path):
        gt = write_maps(tmp_path, "gt", [random_map(seed) for seed in range(5)], TAXONOMY)
        with pytest.warns(UserWarning, match="35 predictions belong to no image"):
            result = scored(gt, pair[1])
        assert (result.images, result.unknown) == (5, 35)

    def test_an_empty_data_set(self, tmp_path):
        gt = write_maps(tmp_path, "gt", [], TAXONOMY)
        with pytest.warns(UserWarning, match="nothing to score"):
            content = scored(gt, gt).to_dict()
        assert content["panoptic"]["all"] == {"pq": None, "sq": None, "rq": None, "n": 0}
        assert content["thing_pixels"]["accuracy"] is None

    def test_empty_images_and_classes_that_never_occur(self, tmp_path):
        void = PanopticMap(np.zeros((5, 6), np.int32), ())
        one = PanopticMap(np.ones((5, 6), np.int32), (Segment(1, 0),))
        gt = write_maps(tmp_path, "gt", [void, one], TAXONOMY)
        result = scored(gt, gt)
        assert (result.quality.all.pq, result.quality.all.n, result.quality.stuff.n) == (1, 1, 0)
        assert [name for _, name in result.worst] == ["001.png"]


fields = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3), st.lists, max_leaves=3
)


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_pq_lies_between_0_and_1_whatever_the_other_fields_say(data, tmp_path_factory):
    """Any maps, any ``area``, ``bbox`` and predicted ``iscrowd``: the score is that of the pixels."""
    folder = tmp_path_factory.mktemp("any")
    maps = []
    for _ in range(2):
        drawn = data.draw(
            st.lists(st.lists(st.sampled_from([0, 1, 2, MAX_ID]), min_size=3, max_size=3), min_size=3, max_size=3)
        )
        ids = np.array(drawn, np.int32)
        rows = [Segment(int(i), data.draw(st.integers(0, 3))) for i in np.unique(ids) if i]
        maps.append(PanopticMap(ids, tuple(rows)))
    gt, pred = write_maps(folder, "gt", maps[:1], TAXONOMY), write_maps(folder, "pred", maps[1:], TAXONOMY)
    honest = scored(gt, pred).to_dict()
    assert honest["panoptic"]["all"]["pq"] is None or 0 <= honest["panoptic"]["all"]["pq"] <= 1

    def scramble(content: dict, names: tuple[str, ...]) -> None:
        for segment in content["annotations"][0]["segments_info"]:
            for name in names:
                segment[name] = data.draw(fields)

    edit(gt, lambda content: scramble(content, ("area", "bbox", "score")))
    edit(pred, lambda content: scramble(content, ("area", "bbox", "iscrowd", "isthing")))
    assert scored(gt, pred).to_dict() == honest
