"""Every kind of finding: planted alone in a clean folder, it is found alone, and the repaired copy is free of it."""

import copy
import json
import random
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage

from labels.checked_folder import (
    SIZE,
    clean_ids,
    clean_rows,
    edit,
    json_of,
    png_of,
    rows_of,
    tree_hash,
    write_folder,
    write_ids,
)
from labels.tiny_labels import photo, save, write_json
from pantile.contracts.errors import UserError
from pantile.data import CocoPanoptic
from pantile.labels.checks import check as check_module
from pantile.labels.checks.check import CheckOptions, CheckResult, check
from pantile.labels.checks.findings import KINDS
from pantile.labels.checks.pixels import measure
from pantile.labels.checks.repair import repair
from turned_photos import picture, save_turned

A, PNG, JSON = "train/a.png", "annotations/panoptic_train/a.png", "annotations/panoptic_train.json"


def with_rows(change: Callable[[list], object]) -> Callable[[Path], None]:
    return lambda root: edit(root, lambda data: change(rows_of(data)))


def with_data(change: Callable[[dict], object]) -> Callable[[Path], None]:
    return lambda root: edit(root, change)


def with_ids(change: Callable[[np.ndarray], object], rows: list | None = None) -> Callable[[Path], None]:
    def plant(root: Path) -> None:
        ids = clean_ids()
        change(ids)
        write_ids(root, ids)
        if rows is not None:
            edit(root, lambda data: data["annotations"][0].update(segments_info=rows))

    return plant


def put(where: tuple, value: int) -> Callable[[np.ndarray], object]:
    return lambda ids: ids.__setitem__(where, value)


def cut_short(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-40])


def thing(own: int, area: int, bbox: list, crowd: int = 0) -> dict:
    return {"id": own, "category_id": 3, "iscrowd": crowd, "area": area, "bbox": bbox}


def renumber_grass(data: dict) -> None:
    """Another category id of the same class."""
    data["categories"][1]["id"] = data["annotations"][0]["segments_info"][1]["category_id"] = 8


VAL = "annotations/panoptic_val.json"
NO_SIZE = {"height": None, "width": None}
GRASS = clean_rows()[1] | {"area": 60}
IN_TWO = [GRASS | {"bbox": [0, 6, 10, 6]}, GRASS | {"id": 301, "bbox": [10, 6, 10, 6]}]
#: name -> (plant, kind, file, id, images of train in the repaired copy)
FAULTS = {
    "area": (with_rows(lambda r: r[0].update(area=47)), "wrong-area", PNG, 5, 2),
    "no area": (with_rows(lambda r: r[0].pop("area")), "no-area", PNG, 5, 2),
    "no box": (with_rows(lambda r: r[0].update(bbox=None)), "no-box", PNG, 5, 2),
    "area as text": (with_rows(lambda r: r[1].update(area="120")), "wrong-area", PNG, 300, 2),
    "box": (with_rows(lambda r: r[0].update(bbox=[2, 0, 10, 6])), "wrong-box", PNG, 5, 2),
    "short box": (with_rows(lambda r: r[0].update(bbox=[2, 0, 8])), "wrong-box", PNG, 5, 2),
    "no crowd flag": (with_rows(lambda r: r[0].pop("iscrowd")), "crowd-form", PNG, 5, 2),
    "crowd flag as text": (with_rows(lambda r: r[0].update(iscrowd="1")), "crowd-form", PNG, 5, 2),
    "crowd flag is null": (with_rows(lambda r: r[1].update(iscrowd=None)), "crowd-form", PNG, 300, 2),
    "crowd flag is true": (with_rows(lambda r: r[1].update(iscrowd=False)), "crowd-form", PNG, 300, 2),
    "stuff is crowd": (with_rows(lambda r: r[1].update(iscrowd=1)), "stuff-crowd", PNG, 300, 2),
    "stuff in two segments": (
        with_ids(put(np.s_[6:, 10:], 301), [clean_rows()[0], *IN_TWO]),
        "stuff-in-segments",
        PNG,
        300,
        2,
    ),
    "senseless crowd flag": (with_rows(lambda r: r[0].update(iscrowd="maybe")), "crowd-flag", PNG, 5, 2),
    "category": (with_rows(lambda r: r[0].update(category_id=4)), "unknown-category", PNG, 5, 2),
    "category as text": (with_rows(lambda r: r[0].update(category_id="3")), "unknown-category", PNG, 5, 2),
    "id 0": (with_rows(lambda r: r.append(thing(0, 72, [0, 0, 20, 6]))), "id-zero", PNG, 0, 2),
    "id beyond 24 bits": (with_rows(lambda r: r.append(thing(2**24, 1, []))), "id-invalid", PNG, None, 2),
    "negative id": (with_rows(lambda r: r.append(thing(-1, 1, []))), "id-invalid", PNG, None, 2),
    "no object": (with_rows(lambda r: r.append([5])), "bad-row", PNG, None, 2),
    "id twice, agreeing": (with_rows(lambda r: r.append(dict(r[0]))), "id-repeated", PNG, 5, 2),
    "id twice, contradicting": (with_rows(lambda r: r.append(r[0] | {"category_id": 7})), "id-repeated", PNG, 5, 2),
    "row without pixels": (with_rows(lambda r: r.append(thing(9, 4, [0, 0, 2, 2]))), "row-without-pixels", PNG, 9, 2),
    "pixels without row": (with_ids(put(np.s_[0:4, 12:18], 77)), "id-unlisted", PNG, 77, 2),
    "height": (with_data(lambda d: d["images"][0].update(height=20, width=12)), "json-size", A, 0, 2),
    "no height": (with_data(lambda d: d["images"][0].update(NO_SIZE)), "no-size", A, 0, 2),
    "label of another size": (
        lambda root: write_ids(root, np.pad(clean_ids(), ((0, 0), (0, 2)))),
        "size-mismatch",
        A,
        0,
        1,
    ),
    "rotated photo": (
        lambda root: save_turned(picture((20, 12)), root / A, 6),
        "image-rotated",
        A,
        0,
        2,
    ),
    "photo of half a turn": (lambda root: save_turned(picture(SIZE), root / A, 3), "image-rotation-unclear", A, 0, 2),
    "missing image": (lambda root: (root / A).unlink(), "image-missing", A, None, 1),
    "broken image": (lambda root: cut_short(root / A), "image-broken", A, None, 1),
    "no image": (lambda root: (root / A).write_text("photo"), "image-broken", A, None, 1),
    "16 bits": (lambda root: save(clean_ids().astype(np.uint16), root / A), "image-unsaid", A, None, 1),
    "missing label": (lambda root: (root / PNG).unlink(), "label-missing", PNG, None, 1),
    "broken label": (lambda root: cut_short(root / PNG), "label-broken", PNG, None, 1),
    "grey label": (lambda root: save(clean_ids().astype(np.uint8), root / PNG), "label-broken", PNG, None, 1),
    "photo in two splits": (
        lambda root: shutil.copy(root / "val" / "c.png", root / A),
        "image-in-two-splits",
        A,
        None,
        1,
    ),
    "photo twice": (
        lambda root: shutil.copy(root / A, root / "train/b.png"),
        "same-image-twice",
        "train/b.png",
        None,
        2,
    ),
    "image id twice": (
        with_data(lambda d: d["images"].append(d["images"][0] | {"file_name": "b.png"})),
        "duplicate-image-id",
        JSON,
        0,
        1,
    ),
    "image entry twice": (with_data(lambda d: d["images"].append(d["images"][0])), "entry-repeated", JSON, 0, 2),
    "file name twice": (
        with_data(
            lambda d: (
                d["images"].append(d["images"][0] | {"id": 8}),
                d["annotations"].append(d["annotations"][0] | {"image_id": 8, "file_name": "b2.png"}),
            )
        ),
        "duplicate-file-name",
        JSON,
        8,
        2,
    ),
    "annotation twice": (
        with_data(lambda d: d["annotations"].append(d["annotations"][0])),
        "entry-repeated",
        JSON,
        0,
        2,
    ),
    "two annotations": (
        with_data(lambda d: d["annotations"].append(d["annotations"][0] | {"segments_info": []})),
        "duplicate-annotation",
        JSON,
        0,
        1,
    ),
    "image without annotation": (
        lambda root: (edit(root, lambda d: d["annotations"].pop(0)), (root / PNG).unlink()),
        "no-annotation",
        JSON,
        0,
        1,
    ),
    "annotation without image": (
        lambda root: (edit(root, lambda d: d["images"].pop(0)), (root / A).unlink()),
        "no-image-entry",
        JSON,
        0,
        1,
    ),
    "no file name": (
        lambda root: edit(root, lambda d: d["images"].append({"id": 8})),
        "bad-entry",
        JSON,
        8,
        2,
    ),
    "path outside": (
        with_data(lambda d: d["images"].append({"id": 8, "file_name": "../val/c.png"})),
        "bad-entry",
        JSON,
        8,
        2,
    ),
    "image id of a wrong type": (
        with_data(lambda d: d["images"].append({"id": [1], "file_name": "x.png"})),
        "bad-entry",
        JSON,
        None,
        2,
    ),
    "entry is no object": (with_data(lambda d: d["annotations"].append("a")), "bad-entry", JSON, None, 2),
    "no rows": (
        with_data(lambda d: d["annotations"].append({"image_id": 8, "file_name": "x.png"})),
        "bad-entry",
        JSON,
        8,
        2,
    ),
    "label is no PNG": (
        with_data(lambda d: d["annotations"].append({"image_id": 8, "file_name": "x.jpg", "segments_info": []})),
        "bad-entry",
        JSON,
        8,
        2,
    ),
    "unlisted image": (
        lambda root: photo(root / "train/z.png", SIZE, seed=99),
        "file-unlisted",
        "train/z.png",
        None,
        2,
    ),
    "JSON without PNGs": (
        lambda root: shutil.copy(root / JSON, root / "annotations" / "panoptic_test.json"),
        "split-skipped",
        "annotations/panoptic_test.json",
        "test",
        2,
    ),
    "empty image": (with_ids(put(np.s_[:], 0), []), "empty-image", PNG, None, 2),
    "tiny": (
        with_ids(put(np.s_[0:3, 12:17], 9), [*clean_rows(), thing(9, 15, [12, 0, 5, 3])]),
        "tiny-segment",
        PNG,
        9,
        2,
    ),
    "much void": (
        with_ids(put(np.s_[6:], 0), clean_rows()[:1]),
        "much-void",
        PNG,
        None,
        2,
    ),
    "names": (
        with_data(lambda d: [a.update(file_name=f"{n}.png") for a, n in zip(d["annotations"], "ba", strict=True)]),
        "names-crossed",
        JSON,
        None,
        2,
    ),
    "another class": (
        with_data(lambda d: d["categories"].append({"id": 9, "name": "dog", "isthing": 1})),
        "classes-differ",
        VAL,
        None,
        2,
    ),
    "a thing that is stuff": (
        with_data(lambda d: d["categories"][0].update(isthing=0)),
        "classes-differ",
        VAL,
        None,
        2,
    ),
    "order of classes": (with_data(lambda d: d["categories"].reverse()), "class-order", VAL, None, 2),
    "ids of classes": (lambda root: edit(root, renumber_grass, "val"), "class-ids", VAL, None, 2),
    "pieces": (
        with_ids(put(np.s_[0:2, 12:14], 5), [thing(5, 52, [2, 0, 12, 6]), clean_rows()[1]]),
        "thing-in-pieces",
        PNG,
        5,
        2,
    ),
}


@pytest.mark.parametrize("name", FAULTS)
def test_one_fault_is_one_finding(tmp_path: Path, name: str) -> None:
    plant, kind, file, own, kept = FAULTS[name]
    root = write_folder(tmp_path / "in")
    plant(root)
    before = tree_hash(root)
    result = check(root)
    assert [(f.kind, f.file, f.id) for f in result.findings] == [(kind, file, own)], result.findings
    assert "\n" not in str(result.findings[0])
    assert result.errors == (KINDS[kind].severity == "error")

    done = repair(result, tmp_path / "out")
    assert tree_hash(root) == before
    assert done.images == {"train": kept, "val": 1}
    assert [reason for _, reason in done.left_out] == ([kind] if KINDS[kind].leaves_out else [])
    again = check(tmp_path / "out")
    assert again.errors == (kind == "classes-differ"), again.findings  # which only a person can mend
    assert len(CocoPanoptic(tmp_path / "out", "train").load(0)) == 2  # the strict reader agrees


def test_every_kind_is_planted() -> None:
    elsewhere = {"class-only-crowd", "mostly-crowd", "files-missing", "no-images", "image-unsaid"}
    elsewhere |= {"several-crowds", "no-things", "class-changes", "frame-size", "frames-unlabelled"}
    assert {kind for _, kind, *_ in FAULTS.values()} | elsewhere == KINDS.keys()


def test_stuff_in_segments_becomes_the_first_of_them(tmp_path: Path) -> None:
    root = write_folder(tmp_path / "in")
    FAULTS["stuff in two segments"][0](root)
    repair(check(root), tmp_path / "out")
    panoptic = CocoPanoptic(tmp_path / "out", "train").load_map(0)
    assert np.array_equal(panoptic.ids, clean_ids())
    assert rows_of(json.loads(json_of(tmp_path / "out").read_text())) == clean_rows()


def test_crowd_regions_of_one_class_are_a_note(tmp_path: Path) -> None:
    root = write_folder(tmp_path)
    ids = clean_ids()
    ids[0:4, 12:15], ids[0:4, 16:19] = 6, 7
    write_ids(root, ids)
    rows = [*clean_rows(), thing(6, 12, [12, 0, 3, 4], crowd=1)]
    edit(root, lambda d: d["annotations"][0].update(segments_info=[*rows, thing(7, 12, [16, 0, 3, 4])]))
    assert [f.kind for f in check(root).findings] == ["tiny-segment"]
    edit(root, lambda d: d["annotations"][0].update(segments_info=[*rows, thing(7, 12, [16, 0, 3, 4], crowd=1)]))
    found = [f for f in check(root).findings if f.kind != "mostly-crowd"]
    assert [(f.kind, f.file, f.id, f.severity) for f in found] == [("several-crowds", PNG, 6, "note")]
    assert "2 crowd regions of category 3" in found[0].text


def test_no_thing_at_all_is_a_note_of_each_split(tmp_path: Path) -> None:
    root = write_folder(tmp_path)
    for split in ("train", "val"):
        edit(root, lambda data: data["categories"][0].update(isthing=0), split)
    assert [(f.kind, f.file, f.severity) for f in check(root).findings] == [
        ("no-things", "train", "note"),
        ("no-things", "val", "note"),
    ]


def test_a_split_of_nothing_but_crowd_is_an_error_that_no_copy_mends(tmp_path: Path) -> None:
    root = write_folder(tmp_path / "in")

    def flag(data: dict) -> None:
        for annotation in data["annotations"]:
            annotation["segments_info"][0]["iscrowd"] = 1

    edit(root, flag)
    result = check(root)
    assert [(f.kind, f.file, f.severity) for f in result.findings] == [
        ("class-only-crowd", "train", "error"),
        ("mostly-crowd", "train", "error"),
    ]
    assert "cat" in result.findings[0].text and "100% of the regions" in result.findings[1].text
    repair(result, tmp_path / "out")
    assert result.unmended == 2 == check(tmp_path / "out").errors
    edit(root, lambda data: rows_of(data)[0].update(iscrowd=0))  # half is not most
    assert check(root).findings == []


@pytest.mark.parametrize("name", [name for name in FAULTS if KINDS[FAULTS[name][1]].severity == "error"])
def test_mended_means_that_nothing_is_missing(name: str) -> None:
    """By what the copy has: every photo of the folder that is not in the other split too."""
    _, kind, _, _, kept = FAULTS[name]
    lacks = kept < 2 and kind != "image-in-two-splits"
    assert KINDS[kind].mended or lacks or kind in ("bad-entry", "duplicate-file-name"), kind
    assert not (KINDS[kind].mended and lacks)


def test_a_clean_folder_has_no_finding(tmp_path: Path) -> None:
    root = write_folder(tmp_path / "in")
    result = check(root)
    assert result.findings == [] and result.errors == 0
    assert result.totals() == {
        "train": {"images": 2, "segments": 4, "pixels": 480, "void_pixels": 144},
        "val": {"images": 1, "segments": 2, "pixels": 240, "void_pixels": 72},
    }
    assert list(check(root, CheckOptions(splits=("val",))).images) == ["val"]
    repair(result, tmp_path / "out")
    for path in (path for path in root.rglob("*") if path.is_file()):
        copy = tmp_path / "out" / path.relative_to(root)
        if path.suffix == ".json":
            assert json.loads(copy.read_text()) == json.loads(path.read_text())
        else:
            assert copy.read_bytes() == path.read_bytes()


def test_what_a_repair_does_to_rows_and_pixels(tmp_path: Path) -> None:
    root = write_folder(tmp_path / "in")
    ids = clean_ids()
    ids[0:4, 12:18] = 77
    write_ids(root, ids)
    rows = [{"id": 5, "category_id": 99}, {"id": 300, "category_id": 7, "iscrowd": "1", "note": "kept"}]
    edit(root, lambda d: d["annotations"][0].update(segments_info=rows))
    repair(check(root), tmp_path / "out")
    data = json.loads(json_of(tmp_path / "out").read_text())
    expected = {"id": 300, "category_id": 7, "iscrowd": 0, "note": "kept", "area": 120, "bbox": [0, 6, 20, 6]}
    assert rows_of(data) == [expected]
    assert data["info"] == {"year": 2024}
    panoptic = CocoPanoptic(tmp_path / "out", "train").load_map(0)
    assert np.array_equal(panoptic.ids, np.where(clean_ids() == 300, 300, 0))


def test_crowd_and_stuff_may_lie_in_pieces_and_touching_corners_are_one_piece(tmp_path: Path) -> None:
    root = write_folder(tmp_path)
    ids = clean_ids()
    ids[0, 0] = 300
    ids[0:2, 15:17], ids[0:2, 18:20], ids[:6, 10] = 6, 6, 0
    ids[5, 10] = 0
    ids[5, 9], ids[4, 10] = 0, 5  # only a corner holds them together
    write_ids(root, ids)
    found = measure(ids)
    rows = [
        thing(5, found.areas[5], found.boxes[5]),
        thing(6, 8, [15, 0, 5, 2], crowd=1),
        clean_rows()[1] | {"area": 121, "bbox": [0, 0, 20, 12]},
    ]
    edit(root, lambda d: d["annotations"][0].update(segments_info=rows))
    assert check(root).findings == []


@pytest.mark.parametrize("seed", range(3))
def test_measures_equal_a_naive_loop(seed: int) -> None:
    ids = np.random.default_rng(seed).choice([0, 1, 7, 2**24 - 1], (9, 13))
    measured = measure(ids)
    assert measured.void == (ids == 0).sum()
    assert measured.areas.keys() == set(ids.ravel().tolist()) - {0}
    for own, area in measured.areas.items():
        rows, columns = np.nonzero(ids == own)
        left, top = columns.min(), rows.min()
        assert area == len(rows)
        assert measured.boxes[own] == [left, top, columns.max() - left + 1, rows.max() - top + 1]
        assert measured.pieces(own) == ndimage.label(ids == own, np.ones((3, 3)))[1]


def test_forty_thousand_segments_are_measured() -> None:
    ids = np.arange(1, 40_001).reshape(200, 200)
    measured = measure(ids)
    assert len(measured.areas) == 40_000 and set(measured.areas.values()) == {1}
    assert measured.boxes[40_000] == [199, 199, 1, 1]


ODD = [
    None,
    True,
    -1,
    0,
    1,
    5,
    2**24,
    10**30,
    1.5,
    float("nan"),
    "",
    "3",
    "a.png",
    "../x.png",
    "a\0.png",
    "\ud800",
    [],
    {},
    [[5]],
]


def spoil(data: dict, rng: random.Random) -> None:
    """Walks to a random place of a JSON and puts something odd there, removes it, or repeats it."""
    place = data
    while True:
        key = rng.choice(list(place)) if isinstance(place, dict) else rng.randrange(len(place))
        if place[key] and isinstance(place[key], dict | list) and rng.random() < 0.85:
            place = place[key]
            continue
        deed = rng.random()
        if deed < 0.2:
            del place[key]
        elif deed < 0.4 and isinstance(place, list):
            place.append(copy.deepcopy(place[key]))
        else:
            place[key] = rng.choice(ODD)
        return


def test_no_json_breaks_the_check_and_every_repair_is_free_of_errors(tmp_path: Path) -> None:
    root, repaired = write_folder(tmp_path / "in"), 0
    original = json.loads(json_of(root).read_text())
    for seed in range(60):
        data, rng = copy.deepcopy(original), random.Random(seed)
        for _ in range(rng.randint(1, 4)):
            spoil(data, rng)
        json_of(root).write_text(json.dumps(data))
        try:
            result = check(root)
        except UserError as error:
            assert "\n" not in str(error)
            continue
        out = tmp_path / f"out{seed}"
        repair(result, out)
        left = {f.kind for f in check(out).findings if f.severity == "error"}
        assert left <= {"no-images", "classes-differ"}, (seed, result.findings)  # no entry could be used
        assert len(CocoPanoptic(out, "train").taxonomy) == 2
        repaired += 1
    assert repaired > 30


UNUSABLE = {
    "damaged": ('{"images": [', "is not valid JSON"),
    "nested": ("[" * 100_000, "is not valid JSON"),
    "list": ("[]", "is not an object"),
    "no lists": ("{}", "lacks the field 'images'"),
    "no categories": ('{"images": [], "annotations": [], "categories": []}', "names no class"),
    "no flag": (
        '{"images": [], "annotations": [], "categories": [{"id": 1, "name": "a"}]}',
        "lacks the field 'isthing'",
    ),
}


@pytest.mark.parametrize("name", UNUSABLE)
def test_an_unusable_json_is_one_sentence(tmp_path: Path, name: str) -> None:
    root = write_folder(tmp_path)
    text, told = UNUSABLE[name]
    json_of(root).write_text(text)
    with pytest.raises(UserError) as caught:
        check(root)
    message = str(caught.value)
    assert message.startswith(str(json_of(root))) and told in message and "\n" not in message


def test_the_copy_goes_nowhere_else(tmp_path: Path) -> None:
    root = write_folder(tmp_path / "in")
    result = check(root)
    for out, told in ((root / "out", "lies in the checked folder"), (tmp_path, "is not an empty folder")):
        with pytest.raises(UserError, match=told):
            repair(result, out)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in"]


def test_processes_find_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = write_folder(tmp_path)
    FAULTS["area"][0](root)
    monkeypatch.setattr(check_module, "_CHUNK", 1)
    assert check(root, CheckOptions(workers=2)).to_dict() == check(root).to_dict()


def counted(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the images that are read."""
    read, original = [], check_module.CocoImage.check

    def note(job: check_module.CocoImage) -> object:
        read.append(job.pair.image["file_name"])
        return original(job)

    monkeypatch.setattr(check_module.CocoImage, "check", note)
    return read


def test_only_what_changed_is_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root, options = write_folder(tmp_path / "in"), CheckOptions(cache=tmp_path / "cache" / "check.sqlite")
    read = counted(monkeypatch)
    FAULTS["area"][0](root)
    FAULTS["photo in two splits"][0](root)
    first = check(root, options).to_dict()
    assert check(root, options).to_dict() == first and first["errors"] == 2
    assert read == ["a.png", "b.png", "c.png"]
    write_ids(root, clean_ids() * 2, name="b")
    edit(root, lambda d: rows_of(d)[0].update(area=48))
    assert check(root, options).counts == {"image-in-two-splits": 1, "id-unlisted": 2, "row-without-pixels": 2}
    assert read[3:] == ["a.png", "b.png"]


def test_an_interrupted_check_resumes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root, options = write_folder(tmp_path / "in"), CheckOptions(cache=tmp_path / "check.sqlite")
    original = check_module.CocoImage.check

    def stop_at_b(job: check_module.CocoImage) -> object:
        if job.pair.image["file_name"] == "b.png":
            raise KeyboardInterrupt
        return original(job)

    with monkeypatch.context() as patch:
        patch.setattr(check_module.CocoImage, "check", stop_at_b)
        with pytest.raises(KeyboardInterrupt):
            check(root, options)
    read = counted(monkeypatch)
    assert check(root, options).findings == []
    assert read == ["b.png", "c.png"]


def test_a_damaged_cache_is_told_and_left(tmp_path: Path) -> None:
    root, cache = write_folder(tmp_path / "in"), tmp_path / "check.sqlite"
    cache.write_text("no database" * 100)
    with pytest.warns(UserWarning, match="cannot be used"):
        assert check(root, CheckOptions(cache=cache)).findings == []
    assert cache.read_text() == "no database" * 100


def described(root: Path) -> Path:
    (root).mkdir()
    (root / "dataset.yaml").write_text("classes: [{name: cat, thing: true}, {name: grass, thing: false}]")
    for split, name, seed in (("train", "a", 0), ("train", "b", 1), ("val", "c", 0)):
        photo(root / "images" / split / f"{name}.png", SIZE, seed)
        ids = clean_ids()
        save(np.select([ids == 5, ids == 300], [1, 2]).astype(np.uint8), root / "semantic" / split / f"{name}.png")
        save((ids == 5).astype(np.uint16), root / "instances" / split / f"{name}.png")
    return root


def test_other_layouts_are_looked_at(tmp_path: Path) -> None:
    root = described(tmp_path / "in")
    cut_short(root / "semantic" / "train" / "b.png")
    result = check(root)
    found = [(f.kind, f.file) for f in result.findings]
    assert found == [("image-in-two-splits", "train/a.png"), ("label-broken", "train/b.png")]
    assert isinstance(result, CheckResult) and result.totals()["val"]["segments"] == 2
    with pytest.raises(UserError, match="is not in COCO-panoptic layout: convert it"):
        repair(result, tmp_path / "out")


def test_a_layout_with_fixed_splits_may_lack_one(tmp_path: Path) -> None:
    city = tmp_path / "leftImg8bit" / "val" / "ulm"
    photo(city / "ulm_0_0_leftImg8bit.png", SIZE)
    codes = np.where(clean_ids() == 300, 7, 26001).astype(np.uint16)
    save(codes, tmp_path / "gtFine" / "val" / "ulm" / "ulm_0_0_gtFine_instanceIds.png")
    result = check(tmp_path)
    assert [(f.kind, f.id, f.severity) for f in result.findings] == [("split-skipped", "train", "note")]
    assert result.totals()["val"]["images"] == 1


def test_nothing_to_check(tmp_path: Path) -> None:
    write_json({}, tmp_path / "some" / "file.json")
    for folder, told in ((tmp_path / "nowhere", "is not a folder"), (tmp_path / "some", "holds no")):
        with pytest.raises(UserError, match=told):
            check(folder)
    with pytest.raises(UserError, match="has no split 'test'"):
        check(write_folder(tmp_path / "in"), CheckOptions(splits=("test",)))


def test_real_photos(real_data: Path, tmp_path: Path) -> None:
    """Two images of facades: their areas and boxes were counted by another program."""
    source = real_data / "facades"
    data = json.loads((source / "annotations" / "panoptic_val.json").read_text())
    data["images"], data["annotations"] = data["images"][:2], data["annotations"][:2]
    write_json(data, json_of(tmp_path, "val"))
    for image, annotation in zip(data["images"], data["annotations"], strict=True):
        (tmp_path / "val").mkdir(exist_ok=True)
        shutil.copyfile(source / "val" / image["file_name"], tmp_path / "val" / image["file_name"])
        png = png_of(tmp_path, "val", Path(annotation["file_name"]).stem)
        png.parent.mkdir(exist_ok=True)
        shutil.copyfile(source / "annotations" / "panoptic_val" / annotation["file_name"], png)
    result = check(tmp_path)
    assert result.errors == 0, result.findings
    assert result.totals()["val"]["segments"] == sum(len(a["segments_info"]) for a in data["annotations"])
