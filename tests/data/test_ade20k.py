"""ADE20K in its three forms: one taxonomy, the same map from folders and JSON, and one sentence for every fault."""

import json
import pickle
from pathlib import Path

import numpy as np
import pytest
from official_folders import photo, png_header, save, save_palette, write_ade20k, write_json

from pantile.contracts.errors import UserError
from pantile.contracts.panoptic import PanopticMap, ids_to_rgb
from pantile.data.ade20k import Ade20k, open_ade20k
from pantile.data.classes.ade20k import TAXONOMY
from pantile.data.dataset import PanopticDataset, open_dataset

# SceneParse150 class of each of the 100 instance categories, as published with the instance annotations
CLASS_OF_CATEGORY = [
    8, 9, 11, 13, 15, 16, 19, 20, 21, 23, 24, 25, 28, 31, 32, 33, 34, 36, 37, 38, 39, 40, 42, 43, 44, 45, 46,
    48, 50, 51, 54, 56, 57, 58, 59, 63, 65, 66, 67, 68, 70, 71, 72, 73, 74, 75, 76, 77, 79, 81, 82, 83, 84, 86,
    87, 88, 89, 90, 91, 93, 94, 96, 98, 99, 103, 104, 105, 108, 109, 111, 112, 113, 116, 117, 119, 120, 121,
    122, 124, 125, 126, 127, 128, 130, 131, 133, 134, 135, 136, 137, 138, 139, 140, 143, 144, 145, 147, 148,
    149, 150,
]  # fmt: skip
KEYS = ("ADE_val_00000002", "ADE_val_00000001")
SIZE = (20, 30)


def labels_of(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Every class, and instances 1..255 of all categories which do not always lie on their class."""
    rng = np.random.default_rng(seed)
    semantic = rng.integers(0, 151, SIZE)
    semantic.flat[:151] = np.arange(151)
    number = rng.integers(0, 256, SIZE) * (rng.random(SIZE) < 0.5)
    category_of_number = rng.integers(1, 101, 256)
    category_of_number[:5] = [0, 1, 100, 5, 5]
    number.flat[200:205] = [1, 2, 3, 4, 255]
    return semantic, np.stack([category_of_number[number] * (number > 0), number], axis=-1)


@pytest.fixture
def labels() -> dict[str, tuple[np.ndarray, np.ndarray]]:
    return {key: labels_of(seed) for seed, key in enumerate(KEYS)}


@pytest.fixture
def root(tmp_path: Path, labels: dict) -> Path:
    write_ade20k(tmp_path, "validation", {k: v[0] for k, v in labels.items()}, {k: v[1] for k, v in labels.items()})
    return tmp_path


def naive(semantic: np.ndarray, instances: np.ndarray) -> dict[tuple, set]:
    """The published preparation, pixel by pixel: (class, instance number or None) to its pixels."""
    segments: dict[tuple, set] = {}
    for y, x in np.ndindex(semantic.shape):
        label, (category, number) = int(semantic[y, x]), instances[y, x].tolist()
        if number:
            segments.setdefault((CLASS_OF_CATEGORY[category - 1], number), set()).add((y, x))
        elif label and label not in CLASS_OF_CATEGORY:
            segments.setdefault((label, None), set()).add((y, x))
    return segments


def pixels_of(panoptic: PanopticMap, segment_id: int) -> set:
    return set(zip(*(axis.tolist() for axis in np.nonzero(panoptic.ids == segment_id)), strict=True))


def found(dataset: PanopticDataset, panoptic: PanopticMap, first_id: int = 1) -> list[tuple]:
    """Class (1..150), crowd and pixels of each segment, in an order of their own."""
    classes = [dataset.taxonomy.classes[s.class_index].id + 1 - first_id for s in panoptic.segments]
    rows = zip(classes, panoptic.segments, strict=True)
    return sorted((label, segment.is_crowd, sorted(pixels_of(panoptic, segment.id))) for label, segment in rows)


def expected(segments: dict[tuple, set]) -> list[tuple]:
    return sorted((label, False, sorted(pixels)) for (label, _), pixels in segments.items())


def test_classes_are_the_published_150() -> None:
    assert (TAXONOMY.num_classes, len(TAXONOMY.thing_indices)) == (150, 100)
    assert [info.id for info in TAXONOMY.classes] == list(range(1, 151))
    assert [info.id for info in TAXONOMY.classes if info.is_thing] == CLASS_OF_CATEGORY
    # first synonyms of objectInfo150.txt, here and there, and colours of the palette
    names = {
        1: "wall",
        9: "windowpane",
        13: "person",
        38: "bathtub",
        45: "chest of drawers",
        90: "television",
        150: "flag",
    }
    assert {k: TAXONOMY.names[k - 1] for k in names} == names
    assert [TAXONOMY.classes[k].color for k in (0, 12, 149)] == [(120, 120, 120), (150, 5, 61), (92, 0, 255)]


def test_folders_give_the_panoptic_map(root: Path, labels: dict) -> None:
    dataset = open_ade20k(root, "val")
    assert isinstance(dataset, PanopticDataset)
    assert dataset.taxonomy == TAXONOMY
    assert [dataset.image_id(k) for k in range(2)] == sorted(KEYS)
    assert dataset.name_of(0) == "ADE_val_00000001.jpg"
    assert png_header(root / "annotations_instance" / "validation" / f"{KEYS[0]}.png") == (8, 2)
    for index in range(2):
        image, panoptic = dataset.load(index)
        assert np.abs(image.astype(int) - photo(SIZE)).mean() < 60  # a JPEG of noise
        assert found(dataset, panoptic) == expected(naive(*labels[dataset.image_id(index)]))
        assert {s.id for s in panoptic.segments} | {0} == set(np.unique(panoptic.ids).tolist())


def test_without_instances_things_are_crowd(root: Path, labels: dict) -> None:
    (root / "annotations_instance").rename(root / "elsewhere")
    dataset = open_dataset(root, "validation")
    panoptic = dataset.load(1)[1]
    semantic = labels[dataset.image_id(1)][0]
    assert np.array_equal(panoptic.ids, semantic)
    classes = dataset.taxonomy.classes
    assert [(s.id, classes[s.class_index].id) for s in panoptic.segments] == [(k, k) for k in range(1, 151)]
    assert [s.id for s in panoptic.segments if s.is_crowd] == CLASS_OF_CATEGORY


def test_palette_and_grey_annotations_read_alike(root: Path) -> None:
    before = open_ade20k(root, "val").load_map(0)
    path = root / "annotations" / "validation" / f"{KEYS[1]}.png"
    save_palette(labels_of(1)[0].astype(np.uint8), path)
    assert png_header(path)[1] == 3
    after = open_ade20k(root, "val").load_map(0)
    assert np.array_equal(before.ids, after.ids)


def write_panoptic(root: Path, labels: dict, name: str = "val") -> Path:
    """What Mask2Former's preparation leaves behind: ids from 0, names of its own."""
    images, annotations = [], []
    for key, label in labels.items():
        ids, rows = np.zeros(SIZE, int), []
        for segment_id, ((number, _), pixels) in enumerate(naive(*label).items(), start=300):
            ids[tuple(np.array(sorted(pixels)).T)] = segment_id
            row = {"id": segment_id, "category_id": number - 1, "area": len(pixels), "bbox": [0, 0, 1, 1]}
            rows.append(row | {"iscrowd": 0})
        save(ids_to_rgb(ids), root / f"ade20k_panoptic_{name}" / f"{key}.png")
        images.append({"id": key, "file_name": f"{key}.jpg", "height": SIZE[0], "width": SIZE[1]})
        annotations.append({"image_id": key, "file_name": f"{key}.png", "segments_info": rows})
    things = {k - 1 for k in CLASS_OF_CATEGORY}
    categories = [
        {"name": f"shortened {k}", "id": k, "isthing": int(k in things), "color": [k, 0, 0]} for k in range(150)
    ]
    return write_json(root / f"ade20k_panoptic_{name}.json", images, annotations, categories)


@pytest.mark.parametrize("name", ["val", "validation"])
def test_the_json_gives_the_same_maps_and_classes(root: Path, labels: dict, name: str) -> None:
    folders = open_ade20k(root, "val")
    write_panoptic(root, labels, name)
    dataset = open_dataset(root, "val")
    assert isinstance(dataset, PanopticDataset)
    assert not isinstance(dataset, Ade20k)
    assert dataset.taxonomy.fingerprint == folders.taxonomy.fingerprint
    assert [info.id for info in dataset.taxonomy.classes] == list(range(150))
    counts = dataset.segment_counts()
    for index, key in enumerate(KEYS):
        assert (dataset.image_id(index), dataset.name_of(index)) == (key, f"{key}.jpg")
        panoptic = dataset.load(index)[1]
        assert found(dataset, panoptic, first_id=0) == expected(naive(*labels[key]))
        assert counts[index] == len(panoptic.segments)


def test_the_order_of_the_json_does_not_matter_and_swapped_names_are_refused(root: Path, labels: dict) -> None:
    path = write_panoptic(root, labels)
    ordered = open_dataset(root, "val")
    data = json.loads(path.read_text())
    path.write_text(json.dumps(data | {"categories": data["categories"][::-1]}))
    turned = open_dataset(root, "val")
    assert turned.taxonomy == ordered.taxonomy
    for index in range(len(ordered)):
        assert turned.load_map(index).segments == ordered.load_map(index).segments
    data["categories"][0]["name"], data["categories"][1]["name"] = "building, edifice", "wall"  # both are stuff
    path.write_text(json.dumps(data))
    with pytest.raises(UserError, match="gives the id 0 to 'building', but in ADE20K that is 'wall'"):
        open_dataset(root, "val")


def test_faults_of_the_json(root: Path, labels: dict) -> None:
    path = write_panoptic(root, labels)
    data = json.loads(path.read_text())
    data["categories"][12]["isthing"] = 0
    path.write_text(json.dumps(data))
    with pytest.raises(UserError, match=r"ade20k_panoptic_val.json: its categories are not the 150 classes"):
        open_ade20k(root, "val")
    write_panoptic(root, labels)
    (root / "ade20k_panoptic_val" / f"{KEYS[0]}.png").unlink()
    with pytest.raises(UserError, match=rf"{KEYS[0]}.png does not exist \(1 of the 2 PNGs that .*val.json names"):
        open_ade20k(root, "val")


def test_object_info_gives_the_names(root: Path) -> None:
    rows = [f"{k}\t0.1\t9\t1\tname {k}, synonym of {k} " for k in range(1, 151)]
    rows[21] = rows[21].replace("22\t", "22 \t", 1)  # the official file has stray blanks
    (root / "objectInfo150.txt").write_text("\n".join(["Idx\tRatio\tTrain\tVal\tName", *rows, ""]))
    taxonomy = open_ade20k(root, "val").taxonomy
    assert taxonomy.names == tuple(f"name {k}" for k in range(1, 151))
    assert taxonomy.thing_indices == TAXONOMY.thing_indices
    (root / "objectInfo150.txt").write_text("\n".join(["Idx\tRatio\tTrain\tVal\tName", *rows[:-1]]))
    with pytest.raises(UserError, match=r"objectInfo150.txt does not list the classes 1..150"):
        open_ade20k(root, "val")


def test_splits(root: Path, labels: dict) -> None:
    for split in ("val", "validation"):
        assert len(open_dataset(root, split)) == len(Ade20k(root, split)) == 2
    with pytest.raises(UserError, match=r"has no split 'training' .*: choose train or val"):
        open_dataset(root, "train")
    (root / "images" / "testing").mkdir()
    with pytest.raises(UserError, match="the split 'testing' has no labels"):
        open_dataset(root, "test")
    write_ade20k(root, "training", {"ADE_train_00000001": labels[KEYS[0]][0]})
    assert not Ade20k(root, "train").has_instances  # this split has classes only


def test_missing_files(root: Path) -> None:
    path = root / "annotations_instance" / "validation" / f"{KEYS[0]}.png"
    path.unlink()
    with pytest.raises(UserError, match=rf"{path} does not exist \(1 of the 2 labels"):
        open_ade20k(root, "val")
    path = root / "annotations" / "validation" / f"{KEYS[1]}.png"
    path.unlink()
    with pytest.raises(UserError, match=rf"{path} does not exist \(1 of the 2 labels"):
        open_ade20k(root, "val")


def test_depths_sizes_and_unknown_values(root: Path, labels: dict) -> None:
    dataset = open_ade20k(root, "val")
    semantic, instances = (
        root / folder / "validation" / f"{KEYS[1]}.png" for folder in ("annotations", "annotations_instance")
    )
    good_semantic, good_instances = semantic.read_bytes(), instances.read_bytes()
    save(np.ones(SIZE, np.uint16), semantic)
    with pytest.raises(UserError, match=r"annotations/validation/.*16-bit grey, but this label needs 8-bit grey"):
        dataset.load(0)
    semantic.write_bytes(good_semantic)
    save(np.ones(SIZE, np.uint8), instances)
    with pytest.raises(UserError, match=r"annotations_instance/.*8-bit grey, but this label needs 8-bit RGB"):
        dataset.load(0)
    save(np.ones((20, 31, 3), np.uint8), instances)
    with pytest.raises(UserError, match="is 31x20 pixels but the label in annotations is 30x20"):
        dataset.load(0)
    rgb = np.zeros((*SIZE, 3), np.uint8)
    for category in (0, 101, 255):
        rgb[3, 4:6] = (category, 9, 0)
        save(rgb, instances)
        with pytest.raises(UserError, match=rf"has 2 pixels of instance 9 \(G\) of category {category} \(R\), which"):
            dataset.load(0)
    instances.write_bytes(good_instances)
    (root / "annotations_instance").rename(root / "elsewhere")
    bad = labels[KEYS[1]][0].astype(np.uint8)
    bad[0, :4] = 151
    save(bad, semantic)
    with pytest.raises(UserError, match="has 4 pixels of class 151, which the data set does not define"):
        open_ade20k(root, "val").load(0)
    save(bad[:, :-1], semantic)
    bad[0, :4] = 1
    save(bad[:, :-1], semantic)
    with pytest.raises(UserError, match="is 30x20 pixels but its label is 29x20"):
        open_ade20k(root, "val").load(0)


def test_workers_get_the_same(root: Path) -> None:
    dataset = open_ade20k(root, "val")
    assert np.array_equal(pickle.loads(pickle.dumps(dataset)).load_map(1).ids, dataset.load_map(1).ids)
