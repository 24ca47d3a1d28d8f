"""Cityscapes in its official folders: known maps come back, groups are crowd, and one sentence for every fault."""

import pickle
from pathlib import Path

import numpy as np
import pytest
from official_folders import photo, png_header, save, write_cityscapes

from pantile.contracts.errors import UserError
from pantile.contracts.panoptic import Segment
from pantile.data.cityscapes import Cityscapes
from pantile.data.dataset import PanopticDataset, open_dataset

OFFICIAL = {
    "road": 7, "sidewalk": 8, "building": 11, "wall": 12, "fence": 13, "pole": 17, "traffic light": 19,
    "traffic sign": 20, "vegetation": 21, "terrain": 22, "sky": 23, "person": 24, "rider": 25, "car": 26, "truck": 27,
    "bus": 28, "train": 31, "motorcycle": 32, "bicycle": 33,
}  # fmt: skip
THINGS = {"person", "rider", "car", "truck", "bus", "train", "motorcycle", "bicycle"}
KEYS = ("bochum_000000_000313", "aachen_000001_000019", "aachen_000000_000019")
VALUES = (7, 23, 24, 33, 24000, 24001, 24999, 26000, 26001, 33012, 0, 1, 4, 6, 10, 29, 29000, 30003, 18, 31)


def map_of(seed: int, size: tuple[int, int] = (24, 40)) -> np.ndarray:
    """Every value occurs."""
    values = np.random.default_rng(seed).choice(VALUES, size)
    values.flat[: len(VALUES)] = VALUES
    return values


@pytest.fixture
def maps() -> dict[str, np.ndarray]:
    return {key: map_of(seed) for seed, key in enumerate(KEYS)}


@pytest.fixture
def root(tmp_path: Path, maps: dict[str, np.ndarray]) -> Path:
    write_cityscapes(tmp_path, "val", maps)
    return tmp_path


def naive(values: np.ndarray) -> tuple[np.ndarray, list[tuple]]:
    """The official rule, pixel by pixel: ids and rows (id, label id, crowd)."""
    ids, rows = np.zeros_like(values), set()
    for y, x in np.ndindex(values.shape):
        value = int(values[y, x])
        label = value if value < 1000 else value // 1000
        name = {number: name for name, number in OFFICIAL.items()}.get(label)
        if name is not None:
            ids[y, x] = value
            rows.add((value, label, value < 1000 and name in THINGS))
    return ids, sorted(rows)


def instance_png(root: Path, key: str) -> Path:
    return root / "gtFine" / "val" / key.split("_")[0] / f"{key}_gtFine_instanceIds.png"


def test_classes_are_the_official_nineteen(root: Path) -> None:
    taxonomy = Cityscapes(root, "val").taxonomy
    assert {info.name: info.id for info in taxonomy.classes} == OFFICIAL
    assert {info.name for info in taxonomy.classes if info.is_thing} == THINGS
    assert (taxonomy.num_classes, len(taxonomy.thing_indices)) == (19, 8)
    assert taxonomy.names == tuple(OFFICIAL)  # the order of the train ids


def test_known_maps_come_back(root: Path, maps: dict[str, np.ndarray]) -> None:
    dataset = Cityscapes(root, "val")
    assert isinstance(dataset, PanopticDataset)
    assert png_header(instance_png(root, KEYS[0])) == (16, 0)
    assert [dataset.image_id(k) for k in range(3)] == sorted(KEYS)
    assert dataset.name_of(0) == "aachen_000000_000019_leftImg8bit.png"
    assert dataset.segment_counts() == []
    for index in range(len(dataset)):
        image, panoptic = dataset.load(index)
        ids, rows = naive(maps[dataset.image_id(index)])
        assert np.array_equal(image, photo((24, 40)))
        assert np.array_equal(panoptic.ids, ids)
        assert panoptic.ids.dtype == np.int32
        found = [(s.id, dataset.taxonomy.classes[s.class_index].id, s.is_crowd) for s in panoptic.segments]
        assert found == rows


def test_groups_are_crowd_and_the_rest_is_void(root: Path) -> None:
    values = np.array([[26, 26000, 26001, 29, 29000, 11, 0, 3]])
    write_cityscapes(root, "train", {"ulm_000000_000001": values})
    panoptic = Cityscapes(root, "train").load_map(0)
    car, building = (Cityscapes(root, "val").taxonomy.names.index(name) for name in ("car", "building"))
    expected = (Segment(11, building), Segment(26, car, is_crowd=True), Segment(26000, car), Segment(26001, car))
    assert panoptic.segments == expected
    assert panoptic.ids.tolist() == [[26, 26000, 26001, 0, 0, 11, 0, 0]]


def test_missing_files_are_named_at_opening(root: Path) -> None:
    instance_png(root, KEYS[1]).unlink()
    message = rf"{KEYS[1]}_gtFine_instanceIds.png does not exist \(1 of the 3 labels of the images in .*val are missing"
    with pytest.raises(UserError, match=message):
        Cityscapes(root, "val")
    (root / "leftImg8bit" / "val" / "aachen" / f"{KEYS[1]}_leftImg8bit.png").unlink()
    assert len(Cityscapes(root, "val")) == 2
    (root / "leftImg8bit" / "val" / "aachen" / f"{KEYS[2]}_leftImg8bit.png").unlink()
    with pytest.raises(UserError, match=rf"{KEYS[2]}_leftImg8bit.png does not exist \(1 of the 2 images of the labels"):
        Cityscapes(root, "val")


def test_splits(root: Path) -> None:
    with pytest.raises(UserError, match=r"has no split 'train' .*: choose train or val"):
        Cityscapes(root, "train")
    save(photo((4, 4)), root / "leftImg8bit" / "test" / "berlin" / "berlin_000000_000019_leftImg8bit.png")
    with pytest.raises(UserError, match="the split 'test' has no labels"):
        open_dataset(root, "test")
    placeholder = {"berlin_000000_000019": np.array([[0, 1, 3], [4, 4, 4]])}  # what the archive ships
    write_cityscapes(root, "test", placeholder)
    with pytest.raises(UserError, match=r"the split 'test' has no labels \(gtFine/test holds placeholders\)"):
        open_dataset(root, "test")
    write_cityscapes(root, "test", {"berlin_000000_000019": np.array([[7, 1, 3], [4, 4, 4]])})
    assert len(open_dataset(root, "test")) == 1
    (root / "leftImg8bit" / "empty").mkdir()
    (root / "gtFine" / "empty").mkdir()
    with pytest.raises(UserError, match=r"empty has no image \*/\*_leftImg8bit.png"):
        Cityscapes(root, "empty")


def test_other_depths_are_refused(root: Path) -> None:
    path = instance_png(root, KEYS[2])
    for pixels, mode in ((np.full((24, 40), 26, np.uint8), "grey"), (photo((24, 40)), "RGB")):
        save(pixels, path)
        with pytest.raises(UserError, match=f"8-bit {mode}, but this label needs 16-bit grey") as caught:
            Cityscapes(root, "val").load(0)
        assert str(path) in str(caught.value)


@pytest.mark.parametrize("value", [34, 999, 7000, 34000, 65535])
def test_unknown_values_are_told(root: Path, maps: dict[str, np.ndarray], value: int) -> None:
    values = maps[KEYS[2]].copy()
    values[5, 3:9], values[20, 2] = value, value
    save(values.astype(np.uint16), instance_png(root, KEYS[2]))
    message = rf"aachen_000000_000019_gtFine_instanceIds.png has 7 pixels of value {value}, which"
    with pytest.raises(UserError, match=message):
        Cityscapes(root, "val").load(0)


def test_sizes_that_differ_and_broken_files(root: Path) -> None:
    path = instance_png(root, KEYS[2])
    dataset = Cityscapes(root, "val")
    save(map_of(0, (24, 41)).astype(np.uint16), path)
    with pytest.raises(UserError, match="is 40x24 pixels but its label is 41x24"):
        dataset.load(0)
    path.write_bytes(path.read_bytes()[:60])
    with pytest.raises(UserError, match="does not decode"):
        dataset.load(0)
    path.unlink()
    with pytest.raises(UserError, match=r"instanceIds.png does not exist"):
        dataset.load(0)


def test_workers_get_the_same(root: Path) -> None:
    dataset = Cityscapes(root, "val")
    assert np.array_equal(pickle.loads(pickle.dumps(dataset)).load_map(1).ids, dataset.load_map(1).ids)
