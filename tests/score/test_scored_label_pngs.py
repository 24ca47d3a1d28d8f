"""Cityscapes-style instance PNGs and semantic with instance PNGs, against the same maps as COCO-panoptic files."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from score_files import scored, write_maps

from pantile.contracts.errors import UserError
from pantile.contracts.panoptic import PanopticMap, Segment
from pantile.contracts.taxonomy import plain_taxonomy
from pantile.score import Job, open_predictions, open_truth, score

TAXONOMY = plain_taxonomy(["sky", "road", "car", "person"], things=["car", "person"])  # ids 1..4
SKY, ROAD, CAR, PERSON = range(4)


def random_labels(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """(16, 24) label ids with void 0, and instance numbers 0..2 of the things."""
    random = np.random.default_rng(seed)
    labels, numbers = (np.kron(random.integers(0, n, (4, 6)), np.ones((4, 4), int)) for n in (5, 3))
    return labels, np.where(labels >= 3, numbers, 0)


def as_map(labels: np.ndarray, numbers: np.ndarray, is_truth: bool) -> PanopticMap:
    """By the definition of the format, one pixel after the other."""
    ids = np.zeros(labels.shape, np.int32)
    rows: dict[tuple[int, int], Segment] = {}
    for where in np.ndindex(labels.shape):
        label, number = int(labels[where]), int(numbers[where])
        if label:
            thing = label >= 3
            key = (label, number)
            if key not in rows:
                rows[key] = Segment(len(rows) + 1, label - 1, is_crowd=is_truth and thing and number == 0)
            ids[where] = rows[key].id
    return PanopticMap(ids, tuple(rows.values()))


def save(path: Path, values: np.ndarray, dtype: type) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(values.astype(dtype)).save(path)


@pytest.fixture
def scene(tmp_path):
    """Ground truth and predictions in all three forms; predictions are the truth moved by a pixel."""
    maps = {"gt": [], "pred": []}
    for seed in range(6):
        labels, numbers = random_labels(seed)
        for name in maps:
            if name == "pred":
                labels, numbers = np.roll(labels, 1, 1), np.roll(numbers, 1, 1)
            maps[name].append(as_map(labels, numbers, is_truth=name == "gt"))
            code = np.where(numbers > 0, labels * 1000 + numbers, labels)
            tail = "_gtFine_instanceIds" if name == "gt" else "_pred"
            save(
                tmp_path / "cityscapes" / name / "town" / f"town_{seed}{tail}.png".replace("_pred", ""), code, np.uint16
            )
            save(tmp_path / "semantic" / name / f"{seed}.png", labels, np.uint8)
            save(tmp_path / "instances" / name / f"{seed}.png", numbers, np.uint16 if seed % 2 else np.uint8)
    gt, pred = (write_maps(tmp_path, name, maps[name], TAXONOMY) for name in maps)
    (tmp_path / "categories.json").write_text(json.dumps(TAXONOMY.to_coco()))
    return tmp_path, scored(gt, pred).to_dict()


def without_names(content: dict) -> dict:
    return content | {"worst_images": [row["pq"] for row in content["worst_images"]]}


def test_cityscapes_style_pngs(scene):
    folder, wanted = scene
    save(folder / "cityscapes" / "gt" / "town" / "town_0_gtFine_color.png", np.zeros((3, 3)), np.uint8)  # not read
    truth = open_truth(folder / "cityscapes" / "gt", categories=folder / "categories.json")
    found = score(Job(truth, open_predictions(folder / "cityscapes" / "pred", truth.taxonomy))).to_dict()
    assert without_names(found) == without_names(wanted)
    assert 0 < found["panoptic"]["all"]["pq"] < 1


def test_semantic_with_instance_pngs(scene):
    folder, wanted = scene
    truth = open_truth(folder / "semantic" / "gt", None, folder / "instances" / "gt", folder / "gt.json")
    pred = open_predictions(folder / "semantic" / "pred", truth.taxonomy, None, folder / "instances" / "pred")
    assert without_names(score(Job(truth, pred)).to_dict()) == without_names(wanted)


def test_a_json_against_label_pngs_pairs_by_file_name(scene):
    folder, wanted = scene
    for number in range(6):
        for kind in ("semantic", "instances"):
            path = folder / kind / "pred" / f"{number}.png"
            path.rename(path.with_name(f"{number:03}.png"))
    truth = open_truth(folder / "gt.json")
    pred = open_predictions(folder / "semantic" / "pred", truth.taxonomy, None, folder / "instances" / "pred")
    assert score(Job(truth, pred)).to_dict() == wanted


def test_cityscapes_is_the_default_and_its_other_labels_are_void(tmp_path):
    values = np.array(
        [[7, 7, 26001, 26002, 29, 4, 0, 24]]
    )  # road, two cars, caravan, static, unlabelled, a crowd of people
    save(tmp_path / "gt" / "a_gtFine_instanceIds.png", values, np.uint16)
    truth = open_truth(tmp_path / "gt")
    found = truth.load(0)
    names = truth.taxonomy.names
    assert [(names[s.class_index], s.is_crowd) for s in found.segments] == [
        ("road", False),
        ("person", True),
        ("car", False),
        ("car", False),
    ]
    assert (found.ids[0] == 0).tolist() == [False] * 4 + [True] * 3 + [False]
    assert not any(s.is_crowd for s in open_predictions(tmp_path / "gt", truth.taxonomy).load(0).segments)


@pytest.mark.parametrize(
    ("arrange", "message"),
    [
        (lambda f: save(f / "semantic" / "gt" / "0.png", np.full((16, 24), 77), np.uint8), "label 77"),
        (lambda f: save(f / "instances" / "gt" / "0.png", np.zeros((4, 4)), np.uint8), "differ in size"),
        (lambda f: (f / "instances" / "gt" / "3.png").unlink(), r"has no file 3\.png"),
        (lambda f: Image.new("RGB", (24, 16)).save(f / "semantic" / "gt" / "1.png"), "needs 8-bit grey or 16"),
        (lambda f: (f / "semantic" / "gt" / "1.png").write_bytes(b""), "not an intact PNG"),
        (lambda f: save(f / "semantic" / "gt" / "x" / "1.png", np.zeros((4, 4)), np.uint8), "rename one of them"),
    ],
)
def test_refusals(scene, arrange, message):
    folder, _ = scene
    arrange(folder)
    with pytest.raises(UserError, match=message):
        truth = open_truth(folder / "semantic" / "gt", None, folder / "instances" / "gt", folder / "categories.json")
        pred = open_predictions(folder / "semantic" / "pred", truth.taxonomy, None, folder / "instances" / "pred")
        score(Job(truth, pred))


def test_options_that_do_not_go_together(scene, tmp_path):
    folder, _ = scene
    for arguments, message in (
        ((folder / "gt.json", None, folder), "--gt-instances does not go with"),
        ((folder / "semantic" / "gt", folder), "--gt-dir does not go with"),
        ((folder / "semantic" / "gt", None, folder / "instances" / "gt"), "by --categories"),
        ((tmp_path / "instances",), "town|would both be"),
    ):
        with pytest.raises(UserError, match=message):
            open_truth(*arguments)
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="holds no PNG"):
        open_truth(tmp_path / "empty")
