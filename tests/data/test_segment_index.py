"""The index of images by class: against a loop over loaded maps, and never out of date."""

import os
from pathlib import Path

import numpy as np
import pytest
import torch
from official_folders import write_ade20k, write_cityscapes

from pantile.contracts.errors import UserError
from pantile.contracts.panoptic import PanopticMap, Segment
from pantile.contracts.taxonomy import plain_taxonomy
from pantile.data import segment_index as module
from pantile.data.ade20k import Ade20k
from pantile.data.cityscapes import Cityscapes
from pantile.data.coco_panoptic import CocoPanoptic
from pantile.data.scenes import Scenes
from pantile.data.segment_index import segment_index
from pantile.data.subset import Subset
from pantile.data.write_coco import write_coco_panoptic

VALUES = (7, 11, 21, 23, 24, 24000, 24001, 26, 26000, 26001, 33, 0, 4)  # of Cityscapes: stuff, groups, things, void


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(module, "SMALL", 1)
    return tmp_path / "cache" / "pantile" / "segments"


def naive(dataset) -> dict[int, list[int]]:
    """Image by image, pixel by pixel."""
    found: dict[int, set[int]] = {}
    for index in range(len(dataset)):
        panoptic = dataset.load(index)[1]
        seen = set(panoptic.ids.ravel().tolist())
        for segment in panoptic.segments:
            if segment.id in seen and not segment.is_crowd:
                found.setdefault(segment.class_index, set()).add(index)
    return {k: sorted(found[k]) for k in sorted(found)}


def as_dict(index: module.SegmentIndex) -> dict[int, list[int]]:
    return {k: images.tolist() for k, images in zip(index.classes, index.images, strict=True)}


def cityscapes_values(seed: int) -> np.ndarray:
    """Blocks of a few values, so that a class is not in every image; cars are only ever a group."""
    rng = np.random.default_rng(seed)
    few = rng.choice([value for value in VALUES if value // 1000 != 26], 4)
    return few[rng.integers(0, 4, (5, 8))].repeat(3, axis=0).repeat(3, axis=1)


def write_six(root: Path) -> Cityscapes:
    write_cityscapes(root, "val", {f"aachen_00000{k}_000019": cityscapes_values(k) for k in range(6)})
    return Cityscapes(root, "val")


def watch_maps(dataset, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Indices of the maps that are read from now on."""
    read: list[int] = []
    original = dataset.load_map
    monkeypatch.setattr(dataset, "load_map", lambda index: read.append(index) or original(index))
    return read


def test_maps_in_memory(palette_data) -> None:
    """Class 0 is crowd everywhere."""
    assert as_dict(segment_index(palette_data)) == naive(palette_data)
    assert 0 not in naive(palette_data)


@pytest.mark.parametrize("workers", [0, 2])
def test_scenes(workers: int) -> None:
    scenes = Scenes(20, size=(48, 48), crowd_probability=1.0)
    assert as_dict(segment_index(scenes, workers)) == naive(scenes)


def test_scenes_are_painted_once(monkeypatch: pytest.MonkeyPatch) -> None:
    first = segment_index(Scenes(9, size=(32, 32), seed=4))
    other = segment_index(Scenes(9, size=(32, 32), seed=5))
    monkeypatch.setattr(Scenes, "load", lambda self, index: pytest.fail("painted again"))
    assert as_dict(segment_index(Scenes(9, size=(32, 32), seed=4))) == as_dict(first) != as_dict(other)


@pytest.mark.parametrize("workers", [0, 2])
def test_cityscapes(tmp_path: Path, workers: int) -> None:
    dataset = write_six(tmp_path)
    expected = naive(dataset)
    assert as_dict(segment_index(dataset, workers)) == expected
    names = {dataset.taxonomy.classes[k].name for k in expected}
    assert "person" in names
    assert "car" not in names


def test_ade20k_depends_on_both_kinds_of_labels(tmp_path: Path) -> None:
    semantic = {f"img_{k}": np.full((6, 8), 1 + k) for k in range(4)}
    write_ade20k(tmp_path, "validation", semantic)
    without = segment_index(Ade20k(tmp_path, "val"))
    instances = {key: np.dstack([np.full((6, 8), 1), np.full((6, 8), 7)]) for key in semantic}
    write_ade20k(tmp_path, "validation", semantic, instances)
    dataset = Ade20k(tmp_path, "val")
    assert as_dict(segment_index(dataset)) == naive(dataset) != as_dict(without)


def test_coco_needs_no_pixel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_coco_panoptic(Scenes(8, size=(48, 48), crowd_probability=1.0), tmp_path, "train")
    dataset = CocoPanoptic(tmp_path, "train")
    expected = naive(dataset)
    read = watch_maps(dataset, monkeypatch)
    assert as_dict(segment_index(dataset)) == expected
    assert as_dict(segment_index(Subset(dataset, [5, 2, 5]))) == naive(Subset(dataset, [5, 2, 5]))
    assert read == [5, 2, 5]  # by the loop alone


def test_subsets_of_subsets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dataset = write_six(tmp_path)
    part = Subset(Subset(dataset, [4, 3, 1]), [2, 0])
    expected = naive(part)
    read = watch_maps(dataset, monkeypatch)
    assert as_dict(segment_index(part)) == expected
    assert read == [1, 4]


def test_second_time_nothing_is_read(tmp_path: Path, own_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dataset = write_six(tmp_path)
    first = segment_index(dataset)
    before = sorted(path for path in tmp_path.rglob("*") if own_cache not in path.parents)
    read = watch_maps(dataset, monkeypatch)
    assert as_dict(segment_index(dataset)) == as_dict(first)
    assert read == []
    assert len(list(own_cache.iterdir())) == 1
    assert sorted(path for path in tmp_path.rglob("*") if own_cache not in path.parents) == before
    segment_index(Subset(dataset, [0, 1]))
    assert read == [0, 1]


def test_a_changed_label_is_seen(tmp_path: Path) -> None:
    dataset = write_six(tmp_path)
    first = as_dict(segment_index(dataset))
    path = tmp_path / "gtFine" / "val" / "aachen" / "aachen_000002_000019_gtFine_instanceIds.png"
    status = path.stat()
    write_cityscapes(tmp_path, "val", {"aachen_000002_000019": np.full((15, 24), 26001)})
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns + 1))
    car = dataset.taxonomy.index_of_id[26]
    assert as_dict(segment_index(dataset)) == naive(dataset) != first
    assert as_dict(segment_index(dataset))[car] == [2]


def test_a_broken_cache_is_read_over(tmp_path: Path, own_cache: Path) -> None:
    dataset = write_six(tmp_path)
    first = as_dict(segment_index(dataset))
    (file,) = own_cache.iterdir()
    for content in (b"", b"nonsense", file.read_bytes()[:-3]):
        file.write_bytes(content)
        assert as_dict(segment_index(dataset)) == first


def test_a_cache_that_cannot_be_written_is_a_warning(tmp_path: Path) -> None:
    dataset = write_six(tmp_path / "data")
    (tmp_path / "file").write_text("")
    with pytest.warns(UserWarning, match="cannot be written"):
        assert as_dict(segment_index(dataset, cache=tmp_path / "file")) == naive(dataset)


def test_small_data_sets_leave_no_trace(tmp_path: Path, own_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SMALL", 7)
    segment_index(write_six(tmp_path))
    assert not own_cache.exists()


def test_the_global_random_state_is_not_touched() -> None:
    """Else a run would depend on whether the cache knew the answer."""
    state = torch.get_rng_state()
    segment_index(Scenes(3, size=(32, 32)))
    assert torch.equal(torch.get_rng_state(), state)


class Unlabelled:
    """Three images: nothing, and crowd alone."""

    taxonomy = plain_taxonomy(["cat", "sky"], things=["cat"])

    def __len__(self) -> int:
        return 3

    def name_of(self, index: int) -> str:
        return f"image_{index}"

    def load(self, index: int):
        segments = (Segment(5, 0, is_crowd=True),) if index == 1 else ()
        return np.zeros((8, 8, 3), np.uint8), PanopticMap(np.full((8, 8), 5 if segments else 0, np.int32), segments)


def test_nothing_to_crop_around_is_one_sentence() -> None:
    with pytest.raises(UserError, match=r"^None of the 3 training images has a segment.*augment\.pairs=null\.$"):
        segment_index(Unlabelled())


@pytest.mark.parametrize("workers", [0, 1])
def test_a_broken_label_is_one_sentence(tmp_path: Path, workers: int) -> None:
    dataset = write_six(tmp_path)
    path = tmp_path / "gtFine" / "val" / "aachen" / "aachen_000001_000019_gtFine_instanceIds.png"
    path.write_bytes(path.read_bytes()[:60])
    with pytest.raises(UserError) as caught:
        segment_index(dataset, workers)
    assert str(caught.value).startswith(f"{path} does not decode")
    assert "\n" not in str(caught.value)
