"""open_dataset finds out the layout of a folder; what every layout must do, for those of the package."""

from pathlib import Path

import numpy as np
import pytest
from described_folder import write_described
from layout_contract import LayoutContract
from official_folders import write_ade20k, write_cityscapes, write_mapillary

from pantile.contracts.errors import UserError
from pantile.data.dataset import open_dataset
from pantile.data.layouts import LAYOUTS, Layout, by_precedence, layout_of
from pantile.data.scenes import Scenes
from pantile.data.write_coco import write_coco_panoptic


class TestCocoPanoptic(LayoutContract):
    name, classes = "coco-panoptic", 12

    def write(self, root: Path) -> None:
        write_coco_panoptic(Scenes(1, size=(40, 60)), root, "val")

    test_its_conversion_lies_beside_it_and_comes_first = None  # it is what others are converted to


class TestCityscapes(LayoutContract):
    name, classes = "cityscapes", 19

    def write(self, root: Path) -> None:
        values = np.full((40, 60), 7)
        values[:9], values[:9, :9], values[30:] = 26, 26000, 3
        write_cityscapes(root, "val", {"ulm_000000_000019": values})


class TestAde20k(LayoutContract):
    name, classes = "ade20k", 150

    def write(self, root: Path) -> None:
        semantic, instances = np.full((40, 60), 1), np.zeros((40, 60, 2))
        semantic[:9], instances[:9, :9], semantic[30:] = 8, (1, 3), 0
        write_ade20k(root, "validation", {"ADE_val_00000001": semantic}, {"ADE_val_00000001": instances})


class TestMapillary(LayoutContract):
    name, classes = "mapillary", 65

    def write(self, root: Path) -> None:
        codes = np.full((40, 60), 13 * 256)
        codes[:9], codes[30:] = 55 * 256 + 4, 65 * 256
        write_mapillary(root, "v1.2", "validation", {"abc": codes}, nested=False)


class TestDescribed(LayoutContract):
    name, classes = "described", 2

    def write(self, root: Path) -> None:
        classes, numbers = np.full((40, 60), 2), np.zeros((40, 60))
        classes[:9], numbers[:9], classes[30:] = 1, 5, 255
        write_described(root, "val", {"abc": (classes, numbers)})


def test_where_several_fit_precedence_decides_and_then_the_package_s_own(monkeypatch, tmp_path):
    def layout(title: str, fits: bool, precedence: int = 0) -> Layout:
        return Layout(title, "", lambda path: fits, lambda path: (), lambda *_: title, precedence)

    known = [layout("a", True), layout("b", False, 9), layout("c", True, 1), layout("d", True, 1)]
    monkeypatch.setattr(LAYOUTS, "_parts", {own.title: own for own in known})
    monkeypatch.setattr(LAYOUTS, "_homes", {own.title: "somebody" if own.title == "c" else "pantile" for own in known})
    assert list(by_precedence()) == ["b", "d", "c", "a"]
    assert layout_of(tmp_path) == open_dataset(tmp_path) == "d"


def test_nothing_fits(tmp_path: Path) -> None:
    (tmp_path / "leftImg8bit").mkdir()
    (tmp_path / "annotations").mkdir()
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(UserError) as caught:
        open_dataset(tmp_path, "val")
    message = str(caught.value)
    assert message.startswith(f"{tmp_path} holds no annotations/panoptic_<split>.json (COCO-panoptic), no dataset.yaml")
    assert all(layout.title in message and layout.marks in message for layout in LAYOUTS.values())
    assert "\n" not in message
    file = tmp_path / "config.json"
    with pytest.raises(UserError, match=r"config.json holds no annotations"):
        open_dataset(file, "val")
    with pytest.raises(UserError, match=r"The data folder .*nowhere does not exist: name"):
        open_dataset(tmp_path / "nowhere", "val")
