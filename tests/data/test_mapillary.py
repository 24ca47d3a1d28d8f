"""Mapillary Vistas 1.2 and 2.0: the config's classes, instance PNGs and panoptic JSON alike, a sentence per fault."""

import json
import pickle
from pathlib import Path

import numpy as np
import pytest
from mapillary_labels import categories_of, config_of
from official_folders import photo, png_header, save, write_json, write_mapillary

from pantile.contracts.errors import UserError
from pantile.contracts.panoptic import PanopticMap, ids_to_rgb
from pantile.data.dataset import PanopticDataset, open_dataset
from pantile.data.mapillary import MapillaryInstances, open_mapillary
from pantile.data.paired_files import PairedFiles
from pantile.labels.checks.check import check

KEYS = ("zM3_5Do7DOHTg8E7znzzZA", "--jRsD9anHdGxv4ZOCQktA")
SIZE = (18, 26)
JSON_NAME = {"v1.2": "panoptic_2018.json", "v2.0": "panoptic_2020.json"}


def codes_of(version: str, seed: int) -> np.ndarray:
    """Every label; instances 0, 1 and 255 of things, number 0 of stuff, as in the archive."""
    labels = config_of(version)["labels"]
    values = [256 * k + n for k, label in enumerate(labels) for n in ((0, 1, 255) if label["instances"] else (0,))]
    codes = np.random.default_rng(seed).choice(values, SIZE)
    codes.flat[: len(values)] = values
    return codes


def write(root: Path, version: str, nested: bool) -> dict[str, np.ndarray]:
    codes = {key: codes_of(version, seed) for seed, key in enumerate(KEYS)}
    write_mapillary(root, version, "validation", codes, nested)
    return codes


def naive(version: str, codes: np.ndarray) -> dict[tuple, set]:
    """The published encoding, pixel by pixel: (label, instance number or None) to its pixels."""
    labels, segments = config_of(version)["labels"], {}
    for y, x in np.ndindex(codes.shape):
        label, number = divmod(int(codes[y, x]), 256)
        if labels[label]["evaluate"]:
            key = (label, number if labels[label]["instances"] else None)
            segments.setdefault(key, set()).add((y, x))
    return segments


def pixels_of(panoptic: PanopticMap, segment_id: int) -> list:
    return sorted(zip(*(axis.tolist() for axis in np.nonzero(panoptic.ids == segment_id)), strict=True))


def found(dataset: PairedFiles, panoptic: PanopticMap) -> list[tuple]:
    """Label id, crowd and pixels of each segment."""
    rows = [(dataset.taxonomy.classes[s.class_index].id - 1, s.is_crowd, s.id) for s in panoptic.segments]
    return sorted((label, crowd, pixels_of(panoptic, segment_id)) for label, crowd, segment_id in rows)


def expected(version: str, codes: np.ndarray) -> list[tuple]:
    return sorted((label, False, sorted(pixels)) for (label, _), pixels in naive(version, codes).items())


def test_classes_of_version_one(tmp_path: Path) -> None:
    write(tmp_path, "v1.2", nested=False)
    taxonomy = open_dataset(tmp_path, "val").taxonomy
    assert (taxonomy.num_classes, len(taxonomy.thing_indices), len(taxonomy.stuff_indices)) == (65, 37, 28)
    assert [info.id for info in taxonomy.classes] == list(range(1, 66))
    assert (taxonomy.names[0], taxonomy.names[55], taxonomy.names[64]) == ("Bird", "Car", "Ego Vehicle")
    assert taxonomy.classes[19].color == (19, 236, 7)


def test_classes_of_version_two(tmp_path: Path) -> None:
    write(tmp_path, "v2.0", nested=True)
    taxonomy = open_dataset(tmp_path, "val").taxonomy
    assert taxonomy.names == ("Bird", "Curb", "Road", "Person", "Car", "Dynamic")
    assert [info.id for info in taxonomy.classes] == [1, 3, 4, 5, 8, 9]
    assert [info.name for info in taxonomy.classes if info.is_thing] == ["Bird", "Person", "Car"]


@pytest.mark.parametrize(("version", "nested"), [("v1.2", False), ("v1.2", True), ("v2.0", True)])
def test_instances_give_the_panoptic_map(tmp_path: Path, version: str, nested: bool) -> None:
    codes = write(tmp_path, version, nested)
    dataset = open_mapillary(tmp_path, "val")
    assert isinstance(dataset, PanopticDataset)
    assert isinstance(dataset, MapillaryInstances)
    assert png_header(next(tmp_path.rglob("instances/*.png"))) == (16, 0)
    assert png_header(next(tmp_path.rglob("labels/*.png"))) == (8, 3)
    assert [dataset.image_id(k) for k in range(2)] == sorted(KEYS)
    for index in range(2):
        image, panoptic = dataset.load(index)
        assert image.shape == (*SIZE, 3)
        assert found(dataset, panoptic) == expected(version, codes[dataset.image_id(index)])
        assert {s.id for s in panoptic.segments} | {0} == set(np.unique(panoptic.ids).tolist())


def write_panoptic(root: Path, version: str, codes: dict[str, np.ndarray], nested: bool) -> Path:
    """As in the archive: id PNGs beside their JSON; groups and ambiguous labels of 2.0 have segments too."""
    folder = (root / "validation" / version if nested else root / "validation") / "panoptic"
    categories = categories_of(version)
    listed = {category["id"] - 1 for category in categories}
    images, annotations = [], []
    for key, values in codes.items():
        present = [value for value in np.unique(values).tolist() if value // 256 in listed]
        ids, rows = np.zeros(SIZE, int), []
        for segment_id, value in enumerate(present, start=8_000_000):
            ids[values == value] = segment_id
            area = int((values == value).sum())
            row = {"id": segment_id, "category_id": value // 256 + 1, "area": area, "bbox": [0, 0, 1, 1]}
            rows.append(row | {"iscrowd": int(value % 256 == 255)})
        save(ids_to_rgb(ids), folder / f"{key}.png")
        images.append({"id": key, "file_name": f"{key}.jpg", "height": SIZE[0], "width": SIZE[1]})
        annotations.append({"image_id": key, "file_name": f"{key}.png", "segments_info": rows})
    return write_json(folder / JSON_NAME[version], images, annotations, categories)


@pytest.mark.parametrize(("version", "nested"), [("v1.2", False), ("v1.2", True), ("v2.0", True)])
def test_the_json_gives_the_same_maps_and_classes(tmp_path: Path, version: str, nested: bool) -> None:
    codes = write(tmp_path, version, nested)
    instances = open_mapillary(tmp_path, "val")
    write_panoptic(tmp_path, version, codes, nested)
    dataset = open_dataset(tmp_path, "validation")
    assert not isinstance(dataset, MapillaryInstances)
    assert dataset.taxonomy == instances.taxonomy
    counts = dataset.segment_counts()
    for index, key in enumerate(KEYS):
        panoptic = dataset.load(index)[1]
        segments = naive(version, codes[key])
        rows = [(label, number == 255, sorted(pixels)) for (label, number), pixels in segments.items()]
        assert found(dataset, panoptic) == sorted(rows)
        assert {s.id for s in panoptic.segments} | {0} == set(np.unique(panoptic.ids).tolist())
        assert counts[index] == sum(not s.is_crowd for s in panoptic.segments)
        assert (dataset.image_id(index), dataset.name_of(index)) == (key, f"{key}.jpg")


def test_both_versions_in_one_folder(tmp_path: Path) -> None:
    for version in ("v1.2", "v2.0"):
        write(tmp_path, version, nested=True)
    with pytest.raises(UserError, match=r"several versions of Mapillary Vistas: name .*_v1.2.json or .*_v2.0.json"):
        open_dataset(tmp_path, "val")
    assert open_dataset(tmp_path / "config_v1.2.json", "val").taxonomy.num_classes == 65
    assert open_dataset(tmp_path / "config_v2.0.json", "val").taxonomy.num_classes == 6
    result = check(tmp_path / "config_v2.0.json")  # what the message says to name
    assert len(result.taxonomies["val"]) == 6 and len(result.images["val"]) == len(KEYS)


def test_splits(tmp_path: Path) -> None:
    write(tmp_path, "v1.2", nested=False)
    with pytest.raises(UserError, match=r"has no split 'train' .*: choose train or val"):
        open_dataset(tmp_path, "train")
    save(photo(SIZE), tmp_path / "testing" / "images" / "a.jpg")
    with pytest.raises(UserError, match="the split 'test' has no labels"):
        open_dataset(tmp_path, "test")


def test_faults_of_the_config(tmp_path: Path) -> None:
    write(tmp_path, "v1.2", nested=False)
    path = tmp_path / "config.json"
    config = config_of("v1.2")
    del config["labels"][3]["evaluate"]
    for content in (json.dumps(config), "{", "[]", '{"labels": [1]}'):
        path.write_text(content)
        with pytest.raises(UserError, match=r"config.json is not a config of Mapillary Vistas .*needs a list 'labels'"):
            open_dataset(tmp_path, "val")
    path.unlink()
    with pytest.raises(UserError, match=r"has no config_v1.2.json or config.json or config_v2.0.json"):
        open_mapillary(tmp_path, "val")


def test_a_json_of_another_version(tmp_path: Path) -> None:
    codes = write(tmp_path, "v1.2", nested=False)
    path = write_panoptic(tmp_path, "v1.2", codes, nested=False)
    data = json.loads(path.read_text())
    data["categories"][4]["name"] = "human--person--individual"
    path.write_text(json.dumps(data))
    with pytest.raises(UserError, match=r"category 'human--person--individual', which .*config.json lacks"):
        open_dataset(tmp_path, "val")


def test_missing_files_depths_sizes_and_unknown_values(tmp_path: Path) -> None:
    codes = write(tmp_path, "v1.2", nested=False)
    dataset = open_dataset(tmp_path, "val")
    path = tmp_path / "validation" / "instances" / f"{KEYS[1]}.png"
    save(np.zeros(SIZE, np.uint8), path)
    with pytest.raises(UserError, match="8-bit grey, but this label needs 16-bit grey"):
        dataset.load(0)
    save(np.zeros((18, 27), np.uint16), path)
    with pytest.raises(UserError, match="is 26x18 pixels but its label is 27x18"):
        dataset.load(0)
    bad = codes[KEYS[1]].astype(np.uint16)
    bad[2, 3:6] = 66 * 256 + 2
    save(bad, path)
    with pytest.raises(UserError, match="has 3 pixels of value 16898, which the data set does not define"):
        dataset.load(0)
    path.unlink()
    with pytest.raises(UserError, match=rf"{path} does not exist \(1 of the 2 labels of the images in .*images are"):
        open_dataset(tmp_path, "val")


def test_workers_get_the_same(tmp_path: Path) -> None:
    codes = write(tmp_path, "v1.2", nested=False)
    dataset = open_dataset(tmp_path, "val")
    assert np.array_equal(pickle.loads(pickle.dumps(dataset)).load_map(1).ids, dataset.load_map(1).ids)
    write_panoptic(tmp_path, "v1.2", codes, nested=False)
    dataset = open_dataset(tmp_path, "val")
    assert np.array_equal(pickle.loads(pickle.dumps(dataset)).load_map(1).ids, dataset.load_map(1).ids)
