"""Crowd is never silent: counted, warned of, taken from stuff, and made instances where a person says so."""

import json

import numpy as np
import pytest

from labels.checked_folder import edit, rows_of, write_folder
from labels.tiny_labels import (
    assert_books_balance,
    box,
    meaning,
    pixels_of,
    rectangle,
    result,
    run,
    save,
    write_instances,
    write_pairs,
    write_rgb_labels,
)
from pantile.cli.main import main
from pantile.contracts.errors import UserError
from pantile.contracts.panoptic import PanopticMap, Segment
from pantile.data import CocoPanoptic
from pantile.data.crowd import CrowdCounts, count_crowd
from pantile.labels.checks.check import check
from pantile.labels.crowd import settle_crowd
from pantile.labels.source import ImageLabels

CAT = rectangle(slice(1, 4), slice(2, 6))
OTHER = rectangle(slice(5, 7), slice(0, 3))
TWO = [{"segmentation": [box(2, 1, 6, 4)], "iscrowd": 1}, {"segmentation": [box(0, 5, 3, 7)], "iscrowd": 1}]


def columns(report) -> dict[str, tuple[int, int]]:
    return {row["name"]: (row["crowd"], row["crowd_pixels"]) for row in report.to_dict()["classes"]}


def test_a_file_whose_masks_are_all_flagged_is_told_and_can_be_read_as_meant(tmp_path):
    src = write_instances(tmp_path / "src", TWO)
    report = run(src, tmp_path / "crowd", "coco-instances")
    assert columns(report) == {"cat": (2, 18), "grass": (0, 0)}
    told = " ".join(report.warnings)
    assert "100% of the regions and 100% of the pixels of things are crowd" in told
    assert "nothing but crowd, so no training target: cat" in told and "--crowd-as-instances" in told
    assert json.loads((tmp_path / "crowd" / "convert_report.json").read_text())["warnings"] == report.warnings
    for k, classes in enumerate(((), ("cat",))):
        report = run(src, tmp_path / f"dst{k}", "coco-instances", crowd_as_instances=classes)
        assert result(tmp_path / f"dst{k}") == {("cat", False, pixels_of(m)) for m in (CAT, OTHER)}
        assert report.warnings == [] and report.made_instances == {"cat": 2}
        assert_books_balance(report)
    for classes, told in ((("cta",), "did you mean 'cat'"), (("grass",), "is stuff")):
        with pytest.raises(UserError, match=told):
            run(src, tmp_path / "no", "coco-instances", crowd_as_instances=classes, stuff=("grass",))
    assert not (tmp_path / "no").exists()


def test_a_few_crowd_regions_are_counted_and_no_warning(tmp_path):
    rows = [{"segmentation": [box(2, 1, 6, 4)]}, {"segmentation": [box(0, 5, 3, 7)], "iscrowd": 1}]
    report = run(write_instances(tmp_path / "src", rows), tmp_path / "dst", "coco-instances")
    assert columns(report)["cat"] == (1, 6) and report.warnings == []


def test_stuff_is_never_crowd(tmp_path):
    rows = [TWO[0] | {"category_id": 7}, {"segmentation": [box(0, 5, 3, 7)], "category_id": 7}]
    report = run(write_instances(tmp_path / "src", rows), tmp_path / "dst", "coco-instances", stuff=("grass",))
    assert result(tmp_path / "dst") == {("grass", False, pixels_of(CAT | OTHER))}
    assert report.flags_dropped == {"grass": 1} and any("flags dropped" in note for note in report.all_notes)
    folder = write_folder(tmp_path / "folder")  # and from a map that is painted already
    edit(folder, lambda data: rows_of(data)[1].update(iscrowd=1))
    report = run(folder, tmp_path / "copy", "coco-panoptic")
    assert report.flags_dropped == {"grass": 1} and not any(crowd for _, crowd, _ in result(tmp_path / "copy"))


CLASSES, NUMBERS = np.full((8, 10), 7, dtype=np.uint8), np.zeros((8, 10), dtype=np.uint8)
CLASSES[CAT | OTHER], CLASSES[4, 6], NUMBERS[CAT] = 3, 3, 0


@pytest.mark.parametrize("source", ["png-pairs", "semantic", "three-channel"])
def test_things_without_a_number(tmp_path, source):
    """They were crowd untold; as instances, each connected piece is one, corners touching."""
    if source == "three-channel":
        src = write_rgb_labels(tmp_path / "src", "annotations/train", CLASSES, NUMBERS)
    else:
        src = write_pairs(tmp_path / "src", CLASSES, NUMBERS if source == "png-pairs" else None)
    report = run(src, tmp_path / "crowd", source)
    assert columns(report)["cat"] == (1, 19) and report.unnumbered == {"cat": 1}
    assert any("what has no number is crowd" in note for note in report.all_notes) and len(report.warnings) == 2
    assert set(check(tmp_path / "crowd").counts) >= {"class-only-crowd", "mostly-crowd"}
    report = run(src, tmp_path / "dst", source, crowd_as_instances=("cat",))
    corner = CAT.copy()
    corner[4, 6] = True
    assert {m for m in result(tmp_path / "dst") if m[0] == "cat"} == {
        ("cat", False, pixels_of(m)) for m in (corner, OTHER)
    }
    assert report.made_instances == {"cat": 2} and report.warnings == [] and report.unnumbered == {}


def test_numbers_beside_crowd_are_left_alone(tmp_path):
    numbers = NUMBERS.copy()
    numbers[CAT] = 5
    src = write_pairs(tmp_path / "src", CLASSES, numbers)
    run(src, tmp_path / "dst", "png-pairs", crowd_as_instances=())
    spot = rectangle(slice(4, 5), slice(6, 7))
    cats = {m for m in result(tmp_path / "dst") if m[0] == "cat"}
    assert cats == {("cat", False, pixels_of(m)) for m in (CAT, OTHER, spot)}


def test_a_crowd_row_of_a_table_is_one_instance_in_several_pieces(tmp_path):
    folder = write_folder(tmp_path / "folder")
    edit(folder, lambda data: rows_of(data)[0].update(iscrowd=1))
    before = CocoPanoptic(folder, "train")
    report = run(folder, tmp_path / "dst", "coco-panoptic", crowd_as_instances=(), splits=("train",))
    after = CocoPanoptic(tmp_path / "dst", "train")
    pixels = {m[2] for m in meaning(before.load_map(0), before.taxonomy)}
    assert {m[2] for m in meaning(after.load_map(0), after.taxonomy)} == pixels and report.made_instances == {"cat": 1}


def test_pieces_of_a_pooled_region_by_flooding(tmp_path):
    """Against a flood fill pixel by pixel."""
    taxonomy = CocoPanoptic(write_folder(tmp_path / "f"), "train").taxonomy
    ids = np.random.default_rng(3).integers(0, 3, (9, 12)).astype(np.int32)
    labels = ImageLabels((9, 12), base=PanopticMap(ids, (Segment(1, 0, True), Segment(2, 1))), pooled_crowd=True)
    settled, _, made = settle_crowd(labels, taxonomy, frozenset({0}))
    left = {tuple(p) for p in np.argwhere(ids == 1).tolist()}
    pieces = set()
    while left:
        queue, piece = [left.pop()], []
        while queue:
            y, x = queue.pop()
            piece.append(y * 12 + x)
            near = {(y + dy, x + dx) for dy in (-1, 0, 1) for dx in (-1, 0, 1)} & left
            left -= near
            queue += near
        pieces.add(("cat", False, tuple(sorted(piece))))
    assert {m for m in meaning(settled.base, taxonomy) if m[0] == "cat"} == pieces and made == {0: len(pieces)}


def test_counting_reads_tables_or_looks_at_maps(tmp_path):
    folder = write_folder(tmp_path / "folder")
    edit(folder, lambda data: rows_of(data)[0].update(iscrowd=1))
    counts, images = count_crowd(CocoPanoptic(folder, "train"))
    assert images == 2 and counts.regions == {(0, True): 1, (0, False): 1, (1, False): 2}
    assert counts.mostly is None and counts.only_crowd == []  # half is not most
    described = tmp_path / "described"
    for name in "ab":
        save(np.zeros((8, 10, 3), dtype=np.uint8), described / "images" / "train" / f"{name}.png")
        save(CLASSES, described / "semantic" / "train" / f"{name}.png")
        save(np.zeros((8, 10), dtype=np.uint16), described / "instances" / "train" / f"{name}.png")
    (described / "dataset.yaml").write_text(
        "classes:\n- {name: cat, thing: true, id: 3}\n- {name: grass, thing: false, id: 7}\n"
    )
    from pantile.data import first_images, open_dataset

    found = [f for f in check(described).findings if f.severity == "error"]
    assert [(f.kind, f.file) for f in found] == [("class-only-crowd", "train"), ("mostly-crowd", "train")]
    counts, images = count_crowd(first_images(open_dataset(described, "train"), 1))
    assert images == 1 and counts.only_crowd == ["cat"]
    assert counts.mostly == "100% of the regions and 100% of the pixels of things are crowd"


def test_train_warns_before_it_begins(tmp_path, capsys, monkeypatch, recwarn):
    run(write_instances(tmp_path / "src", TWO), tmp_path / "dst", "coco-instances")
    monkeypatch.setattr("pantile.engine.train.train", lambda *_, **__: None)
    split = ["--train-split", "train", "--val-split", "train"]
    assert main(["train", "remax_nano", "--data", str(tmp_path / "dst"), *split, "--out", str(tmp_path / "run")]) == 0
    told = [str(warning.message) for warning in recwarn]
    assert any(text.startswith("train: nothing but crowd, so no training target: cat") for text in told), told


def test_counts_without_things():
    from pantile.contracts.taxonomy import plain_taxonomy

    assert CrowdCounts(plain_taxonomy(["sky"], [])).warnings("") == []
