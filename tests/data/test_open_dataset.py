"""open_dataset finds out the layout of a folder; every layout trains, and converts to COCO-panoptic and back."""

from pathlib import Path

import numpy as np
import pytest
from described_folder import write_described
from official_folders import write_ade20k, write_cityscapes, write_mapillary
from PIL import Image
from semantic_folders import (
    write_ade20k_full,
    write_coco_lvis,
    write_coco_stuff_10k,
    write_coco_stuff_164k,
    write_pascal_context,
)

from pantile.contracts.errors import UserError
from pantile.data.augment import AugmentConfig
from pantile.data.coco_panoptic import CocoPanoptic
from pantile.data.dataset import LAYOUTS, open_dataset
from pantile.data.scenes import Scenes
from pantile.data.training_samples import TrainingSamples
from pantile.data.write_coco import write_coco_panoptic


def coco(root: Path) -> None:
    write_coco_panoptic(Scenes(1, size=(40, 60)), root, "val")


def cityscapes(root: Path) -> None:
    values = np.full((40, 60), 7)
    values[:9], values[:9, :9], values[30:] = 26, 26000, 3
    write_cityscapes(root, "val", {"ulm_000000_000019": values})


def ade20k(root: Path) -> None:
    semantic, instances = np.full((40, 60), 1), np.zeros((40, 60, 2))
    semantic[:9], instances[:9, :9], semantic[30:] = 8, (1, 3), 0
    write_ade20k(root, "validation", {"ADE_val_00000001": semantic}, {"ADE_val_00000001": instances})


def mapillary(root: Path) -> None:
    codes = np.full((40, 60), 13 * 256)
    codes[:9], codes[30:] = 55 * 256 + 4, 65 * 256
    write_mapillary(root, "v1.2", "validation", {"abc": codes}, nested=False)


def described(root: Path) -> None:
    classes, numbers = np.full((40, 60), 2), np.zeros((40, 60))
    classes[:9], numbers[:9], classes[30:] = 1, 5, 255
    write_described(root, "val", {"abc": (classes, numbers)})


def ade20k_full(root: Path) -> None:
    write_ade20k_full(root, "validation", {"ADE_val_00000001": np.repeat([5, 65535], [1200, 1200]).reshape(40, 60)})


def pascal_context(root: Path) -> None:
    write_pascal_context(root, "val", {"2008_000008": np.repeat([5, 255], [1200, 1200]).reshape(40, 60)})


def coco_stuff_164k(root: Path) -> None:
    write_coco_stuff_164k(root, "val2017", {"000000000139": np.repeat([5, 255], [1200, 1200]).reshape(40, 60)})


def coco_stuff_10k(root: Path) -> None:
    key = "COCO_train2014_000000000077"
    write_coco_stuff_10k(root, "test", {key: np.repeat([5, 0], [1200, 1200]).reshape(40, 60)})


def coco_lvis(root: Path) -> None:
    write_coco_lvis(root, "val2017", {"000000000139": np.repeat([5, 0], [1200, 1200]).reshape(40, 60)})


WRITERS = {
    "COCO-panoptic": coco,
    "described folder": described,
    "Cityscapes": cityscapes,
    "ADE20K": ade20k,
    "ADE20K-Full": ade20k_full,
    "PASCAL-Context": pascal_context,
    "COCO-Stuff-164k": coco_stuff_164k,
    "COCO-Stuff-10k": coco_stuff_10k,
    "COCO+LVIS": coco_lvis,
    "Mapillary Vistas": mapillary,
}
CLASSES = {
    "COCO-panoptic": 12,
    "described folder": 2,
    "Cityscapes": 19,
    "ADE20K": 150,
    "ADE20K-Full": 847,
    "PASCAL-Context": 60,
    "COCO-Stuff-164k": 171,
    "COCO-Stuff-10k": 171,
    "COCO+LVIS": 1284,
    "Mapillary Vistas": 65,
}


@pytest.mark.parametrize("name", WRITERS)
def test_exactly_one_layout_fits(tmp_path: Path, name: str) -> None:
    WRITERS[name](tmp_path)
    assert [layout.name for layout in LAYOUTS if layout.fits(tmp_path)] == [name]
    dataset = open_dataset(str(tmp_path), "val")
    assert (len(dataset), dataset.taxonomy.num_classes) == (1, CLASSES[name])


def test_every_layout_is_tested() -> None:
    assert [layout.name for layout in LAYOUTS] == list(WRITERS)


@pytest.mark.parametrize("name", WRITERS)
def test_conversion_and_training(tmp_path: Path, name: str) -> None:
    WRITERS[name](tmp_path)
    dataset = open_dataset(tmp_path, "val")
    if name != "COCO-panoptic":
        write_coco_panoptic(dataset, tmp_path, "val")
    converted = open_dataset(tmp_path, "val")  # the conversion lies beside its source and comes first
    assert isinstance(converted, CocoPanoptic)
    assert converted.taxonomy == dataset.taxonomy
    (image, before), (copy, after) = dataset.load(0), converted.load(0)
    assert np.array_equal(image, copy)
    assert np.array_equal(before.ids, after.ids)
    assert sorted(before.segments, key=lambda s: s.id) == sorted(after.segments, key=lambda s: s.id)
    sample = TrainingSamples(dataset, AugmentConfig(crop=(33, 65)))[0, 0]
    assert sample.ids.shape == (33, 65)
    assert len(sample.classes) > 0


def test_nothing_fits(tmp_path: Path) -> None:
    (tmp_path / "leftImg8bit").mkdir()
    (tmp_path / "annotations").mkdir()
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(UserError) as caught:
        open_dataset(tmp_path, "val")
    message = str(caught.value)
    assert message.startswith(f"{tmp_path} holds no annotations/panoptic_<split>.json (COCO-panoptic), no dataset.yaml")
    assert all(layout.name in message and layout.marks in message for layout in LAYOUTS)
    assert "\n" not in message
    file = tmp_path / "config.json"
    with pytest.raises(UserError, match=r"config.json holds no annotations"):
        open_dataset(file, "val")
    with pytest.raises(UserError, match=r"The data folder .*nowhere does not exist: name"):
        open_dataset(tmp_path / "nowhere", "val")


@pytest.mark.parametrize("name", WRITERS)
def test_image_path_is_the_file_that_is_loaded(tmp_path: Path, name: str) -> None:
    WRITERS[name](tmp_path)
    dataset = open_dataset(tmp_path, "val")
    path = dataset.image_path(0)
    assert path.is_file() and path.name == dataset.name_of(0)
    assert np.array_equal(np.asarray(Image.open(path).convert("RGB")), dataset.load_image(0))
