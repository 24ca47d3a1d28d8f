"""COCO+LVIS from two JSONs: the naive merge as oracle, the fault of the published labels, and JSONs of other kinds."""

import json
from pathlib import Path

import numpy as np
import pytest
from pycocotools import mask as coco_mask

from labels.tiny_labels import photo, run, write_json
from pantile.contracts.errors import UserError
from pantile.data import open_dataset
from pantile.data.classes.coco_lvis import TAXONOMY
from pantile.data.classes.coco_stuff import STUFF_IDS, STUFF_NAMES
from pantile.data.classes.lvis import NAMES
from pantile.labels.formats.coco_lvis import ID_AS_PUBLISHED

SIZE = (12, 16)
# the published map in its published order: ten ids of LVIS, the other 81 ids of stuff in ascending order, then none
TO_LVIS = {165: 1050, 98: 181, 93: 110, 168: 1108, 92: 50, 141: 804, 153: 904, 109: 350, 137: 713, 108: 346}
PUBLISHED = TO_LVIS | {own: 1204 + k for k, own in enumerate(own for own in range(92, 183) if own not in TO_LVIS)}
PUBLISHED |= {183: 0}


def lvis_json(images: list[dict], annotations: list[dict], names: tuple[str, ...] = NAMES) -> dict:
    rows = [{"id": k + 1, "name": name, "frequency": "r", "synset": "x"} for k, name in enumerate(names)]
    return {"images": images, "annotations": annotations, "categories": rows}


def image(number: int, split: str) -> dict:
    url = f"http://images.cocodataset.org/{split}/{number:012d}.jpg"
    return {"id": number, "coco_url": url, "height": SIZE[0], "width": SIZE[1], "neg_category_ids": []}


def annotation(image_id: int, category: int, mask: np.ndarray) -> dict:
    rle = coco_mask.encode(np.asfortranarray(mask, dtype=np.uint8))
    return {
        "image_id": image_id,
        "category_id": category,
        "segmentation": {"size": list(SIZE), "counts": rle["counts"].decode()},
    }


def boxes(seed: int, categories: list[int], image_id: int) -> list[tuple[dict, np.ndarray]]:
    """Overlapping boxes in random places."""
    rng, found = np.random.default_rng(seed), []
    for category in categories:
        mask = np.zeros(SIZE, bool)
        top, left = rng.integers(0, SIZE[0] - 4), rng.integers(0, SIZE[1] - 4)
        mask[top : top + rng.integers(3, 7), left : left + rng.integers(3, 8)] = True
        found.append((annotation(image_id, category, mask), mask))
    return found


def naive(things: list[tuple[dict, np.ndarray]], stuff: list[tuple[dict, np.ndarray]], in_place: bool) -> np.ndarray:
    """Pixel by pixel, annotation by annotation, and the map of stuff as the published script applies it."""
    maps = []
    for rows in (things, stuff):
        values = np.zeros(SIZE, int)
        for entry, mask in rows:
            values[mask & (values == 0)] = entry["category_id"]
        maps.append(values)
    own, ground = maps
    before = ground.copy()
    for coco, lvis in PUBLISHED.items():
        ground[(ground if in_place else before) == coco] = lvis
    return np.where(own > 0, own, ground)


@pytest.fixture
def rows() -> dict[int, tuple[list, list]]:
    stuff = [98, 183, 93, 181, 110, 94, 182, 165, 92, 168]
    return {
        9: (boxes(1, [1203, 1, 77, 50, 1202], 9), boxes(2, stuff, 9)),
        25: (boxes(3, [4], 25), boxes(4, stuff[::-1], 25)),
        30: ([], boxes(5, [98, 93], 30)),
    }


@pytest.fixture
def root(tmp_path: Path, rows: dict) -> Path:
    """Image 9 is of train2017; LVIS validates on 25 of val2017 and 30 of train2017; 7 is in no file of stuff."""
    src, stuff_rows = tmp_path / "coco", list(zip(STUFF_IDS, STUFF_NAMES, strict=True))
    for number, split in ((9, "train2017"), (25, "val2017"), (30, "train2017"), (429995, "train2017")):
        photo(src / "images" / split / f"{number:012d}.jpg", SIZE)

    def things(*numbers: int) -> list[dict]:
        return [entry for k in numbers for entry, _ in rows[k][0]]

    def stuff(*numbers: int) -> dict:
        categories = [{"id": own, "name": name} for own, name in stuff_rows] + [{"id": 183, "name": "other"}]
        images = [{"id": k} for k in (*numbers, 429995)]
        annotations = [entry for k in numbers for entry, _ in rows[k][1]]
        return {"images": images, "annotations": annotations, "categories": categories}

    folder = src / "annotations"
    train = [image(9, "train2017"), image(429995, "train2017"), image(7, "train2017")]
    write_json(lvis_json(train, things(9)), folder / "lvis_v1_train.json")
    val = [image(30, "train2017"), image(25, "val2017")]
    write_json(lvis_json(val, things(25, 30)), folder / "lvis_v1_val.json")
    write_json(stuff(9, 30), folder / "stuff_train2017.json")
    write_json(stuff(25), folder / "stuff_val2017.json")
    return src


def values_of(folder: Path, split: str) -> dict[str, np.ndarray]:
    dataset = open_dataset(folder, split)
    found = {}
    for k in range(len(dataset)):
        panoptic = dataset.load(k)[1]
        values = np.zeros(panoptic.size, int)
        for segment in panoptic.segments:
            values[panoptic.ids == segment.id] = dataset.taxonomy.classes[segment.class_index].id
        found[dataset.name_of(k)] = values
    return found


def test_the_published_fault() -> None:
    assert {k: v for k, v in PUBLISHED.items() if k < 183} != ID_AS_PUBLISHED
    ground = np.arange(184)
    for coco, lvis in PUBLISHED.items():
        ground[ground == coco] = lvis
    assert {k: int(ground[k]) for k in range(92, 183)} == ID_AS_PUBLISHED


@pytest.mark.parametrize("source", ["coco-lvis", "coco-lvis-as-published"])
def test_merge_is_the_naive_one(root: Path, rows: dict, tmp_path: Path, source: str) -> None:
    report = run(root, tmp_path / "dst", source)
    found = values_of(tmp_path / "dst", "train") | values_of(tmp_path / "dst", "val")
    assert sorted(found) == ["000000000009.jpg", "000000000025.jpg", "000000000030.jpg"]
    as_published = source != "coco-lvis"
    expected = {number: naive(*own, in_place=as_published) for number, own in rows.items()}
    assert all(np.array_equal(found[f"{number:012d}.jpg"], own) for number, own in expected.items())
    assert any((naive(*own, in_place=not as_published) != expected[number]).any() for number, own in rows.items())
    assert any("1 images of train2017 are not in COCO's stuff" in note for note in report.notes)
    assert open_dataset(tmp_path / "dst", "val").taxonomy.names == TAXONOMY.names


def test_official_folders_hold_the_same(root: Path, tmp_path: Path) -> None:
    run(root, tmp_path / "a", "coco-lvis")
    run(root, tmp_path / "b", "coco-lvis", target="coco-lvis")
    assert (tmp_path / "b" / "lvis_mask" / "val2017" / "000000000030.png").is_file()
    assert open_dataset(tmp_path / "b", "val").taxonomy == TAXONOMY
    for split in ("train", "val"):
        before, after = values_of(tmp_path / "a", split), values_of(tmp_path / "b", split)
        assert before.keys() == after.keys()
        assert all(np.array_equal(before[name], after[name]) for name in before)


def test_one_split_needs_one_file_of_stuff(root: Path, tmp_path: Path) -> None:
    (root / "annotations" / "stuff_val2017.json").unlink()
    run(root, tmp_path / "dst", "coco-lvis", splits=("train2017",))
    with pytest.raises(UserError, match=r"has no annotations/stuff_val2017.json: .* come from both splits"):
        run(root, tmp_path / "other", "coco-lvis", splits=("val2017",))


def change(path: Path, edit) -> None:
    data = json.loads(path.read_text())
    edit(data)
    path.write_text(json.dumps(data))


def test_jsons_of_another_version(root: Path, tmp_path: Path) -> None:
    path = root / "annotations" / "lvis_v1_val.json"
    original = path.read_text()
    change(path, lambda data: data["categories"].append({"id": 1204, "name": "acorn"}))
    with pytest.raises(UserError, match=r"lvis_v1_val.json has 1204 categories, but LVIS v1 has 1203"):
        run(root, tmp_path / "dst", "coco-lvis")
    path.write_text(original)
    change(path, lambda data: data["categories"][49].update(name="bandanna"))
    with pytest.raises(UserError, match="calls category 50 'bandanna', but in LVIS v1 it is 'banner'"):
        run(root, tmp_path / "dst", "coco-lvis")
    path.write_text(original)
    change(path, lambda data: data["annotations"][0].update(category_id=1204))
    with pytest.raises(UserError, match="annotation 0 has the category_id 1204, which its data set does not define"):
        run(root, tmp_path / "dst", "coco-lvis")
    path.write_text(original)
    change(path, lambda data: data["images"][0].update(coco_url="http://x/COCO_val2014_000000000030.jpg"))
    with pytest.raises(UserError, match=r"does not end like train2017/000000000009.jpg"):
        run(root, tmp_path / "dst", "coco-lvis")
    with pytest.raises(UserError, match=r"has no annotations/lvis_v1_train.json"):
        run(tmp_path, tmp_path / "dst", "coco-lvis")


def test_other_classes_do_not_fit_the_official_folders(root: Path, tmp_path: Path) -> None:
    run(root, tmp_path / "a", "coco-lvis")
    change(
        tmp_path / "a" / "annotations" / "panoptic_val2017.json",
        lambda data: data["categories"][0].update(id=9000),
    )
    with pytest.raises(UserError, match="takes the 1284 classes"):
        run(tmp_path / "a", tmp_path / "b", "coco-panoptic", target="coco-lvis", splits=("val2017",))
