"""Data sets with a class per pixel in their official layouts: stored numbers to classes, lists, versions, bad input."""

import builtins
from pathlib import Path

import numpy as np
import pytest
from layout_contract import LayoutContract
from official_folders import save
from PIL import Image
from semantic_folders import (
    save_photo,
    write_ade20k_full,
    write_ade20k_full_from_1,
    write_coco_lvis,
    write_coco_stuff_10k,
    write_coco_stuff_164k,
    write_list,
    write_pascal_context,
)

from pantile.contracts.errors import UserError
from pantile.data.ade20k_full import Ade20kFull, is_ade20k_full
from pantile.data.classes import ade20k_full, coco_lvis, coco_stuff, pascal_context
from pantile.data.coco_lvis import CocoLvis
from pantile.data.coco_stuff_10k import open_coco_stuff_10k
from pantile.data.coco_stuff_164k import CocoStuff164k, is_coco_stuff_164k
from pantile.data.dataset import open_dataset
from pantile.data.pascal_context import PascalContext, is_pascal_context
from pantile.labels import ConvertOptions, convert

SIZE = (20, 45)


def with_values(values: list[int]) -> np.ndarray:
    """(H, W) with each of these values, the first ones more often."""
    return np.resize(np.array(values), SIZE)


def names_of_pixels(dataset, index: int = 0) -> np.ndarray:
    """(H, W) of class names, "" for void."""
    panoptic = dataset.load(index)[1]
    names = dict.fromkeys(range(panoptic.ids.max() + 1), "")
    names |= {s.id: dataset.taxonomy.names[s.class_index] for s in panoptic.segments}
    assert not any(s.is_crowd for s in panoptic.segments)
    return np.vectorize(names.get, otypes=["U99"])(panoptic.ids)


HALF = np.repeat([5, 0], [1200, 1200]).reshape(40, 60)  # a class, and void where 0 is void


class TestPascalContext(LayoutContract):
    name, classes = "pascal-context", 60

    def write(self, root: Path) -> None:
        write_pascal_context(root, "val", {"2008_000008": HALF})


class TestCocoStuff164k(LayoutContract):
    name, classes = "coco-stuff-164k", 171

    def write(self, root: Path) -> None:
        write_coco_stuff_164k(root, "val2017", {"000000000139": HALF})


class TestCocoStuff10k(LayoutContract):
    name, classes = "coco-stuff-10k", 171

    def write(self, root: Path) -> None:
        write_coco_stuff_10k(root, "test", {"COCO_train2014_000000000077": HALF})


class TestAde20kFull(LayoutContract):
    name, classes = "ade20k-full-16bit", 847

    def write(self, root: Path) -> None:
        write_ade20k_full(root, "validation", {"ADE_val_00000001": HALF})


class TestCocoLvis(LayoutContract):
    name, classes = "coco-lvis-masks", 1284

    def write(self, root: Path) -> None:
        write_coco_lvis(root, "val2017", {"000000000139": HALF})


def test_lists_of_classes() -> None:
    assert len(pascal_context.NAMES_59) == 59
    assert tuple(sorted(pascal_context.NAMES_59)) == pascal_context.NAMES_59
    assert len(coco_stuff.TAXONOMY) == 171
    without = {"street sign", "hat", "shoe", "eye glasses", "plate", "mirror", "window", "desk", "door", "blender"}
    assert not without & set(coco_stuff.TAXONOMY.names)
    assert [coco_stuff.TAXONOMY.names[k] for k in (0, 79, 80, 170)] == ["person", "toothbrush", "banner", "wood"]
    assert len(ade20k_full.TAXONOMY) == 847
    codes = {"tree": 2855, "sky": 2420, "road, route": 2131, "wall": 2978, "building, edifice": 312}
    assert codes.items() <= {info.name: info.id for info in ade20k_full.TAXONOMY.classes}.items()
    # the index lists names by the alphabet, but for some at its end; so do the codes
    rows = sorted((info.id, info.name) for info in ade20k_full.TAXONOMY.classes if info.id < 3100)
    assert rows == sorted(rows, key=lambda row: row[1])
    names = coco_lvis.TAXONOMY.names
    assert [len(names), names[1202], names[1203], names[1283]] == [1284, "zucchini", "branch", "wood"]
    stuff = dict(zip(coco_stuff.STUFF_IDS, coco_stuff.STUFF_NAMES, strict=True))
    assert all(names[own - 1] == stuff[coco] for coco, own in coco_lvis.ID_OF_STUFF.items())


@pytest.mark.parametrize("below", ["", "VOC2010"])
def test_pascal_context(tmp_path: Path, below: str) -> None:
    labels = {"2008_000008": with_values(list(range(60))), "2008_000002": with_values([7, 255])}
    write_pascal_context(tmp_path / below, "val", labels)
    assert is_pascal_context(tmp_path)
    dataset = PascalContext(tmp_path, "val")
    assert [dataset.image_id(k) for k in range(len(dataset))] == ["2008_000002", "2008_000008"]
    full = np.array(["background", *pascal_context.NAMES_59])
    assert (names_of_pixels(dataset, 1) == full[labels["2008_000008"]]).all()
    assert set(names_of_pixels(dataset).ravel()) == {"bird", ""}
    fewer = PascalContext(tmp_path, "val", classes=59)
    assert (len(dataset.taxonomy), len(fewer.taxonomy)) == (60, 59)
    full[0] = ""
    assert (names_of_pixels(fewer, 1) == full[labels["2008_000008"]]).all()
    with pytest.raises(UserError, match="has 59 or 60 classes, not 33"):
        PascalContext(tmp_path, "val", classes=33)


def test_pascal_context_of_59_classes_is_a_source_of_conversions(tmp_path: Path) -> None:
    write_pascal_context(tmp_path / "voc", "val", {"2008_000008": with_values(list(range(60)))})
    convert(tmp_path / "voc", tmp_path / "out", ConvertOptions("pascal-context-59"))
    converted, dataset = open_dataset(tmp_path / "out", "val"), PascalContext(tmp_path / "voc", "val", classes=59)
    assert len(converted.taxonomy) == 59
    assert (names_of_pixels(converted) == names_of_pixels(dataset)).all()


def test_pascal_context_without_split_list_or_file(tmp_path: Path) -> None:
    write_pascal_context(tmp_path, "val", {"2008_000008": with_values([3])})
    with pytest.raises(UserError, match=r"has no split 'train' .*train.txt is not a file"):
        PascalContext(tmp_path, "train")
    write_list(tmp_path / "ImageSets" / "SegmentationContext" / "val.txt", ["2008_000008", "2008_000009"])
    with pytest.raises(UserError, match=r"2008_000009.jpg does not exist \(1 of the 2 images that .*val.txt names"):
        PascalContext(tmp_path, "val")
    with pytest.warns(UserWarning, match="left out"):
        assert len(PascalContext(tmp_path, "val", skip_missing=True)) == 1
    write_list(tmp_path / "ImageSets" / "SegmentationContext" / "val.txt", ["../2008_000008"])
    with pytest.raises(UserError, match=r"names .\.\./2008_000008. in line 1"):
        PascalContext(tmp_path, "val")
    (tmp_path / "ImageSets" / "SegmentationContext" / "val.txt").write_text("\n")
    with pytest.raises(UserError, match="names no image"):
        PascalContext(tmp_path, "val")


ALL_COCO_STUFF = [k for k in range(1, 183) if k not in (12, 26, 29, 30, 45, 66, 68, 69, 71, 83, 91)]


@pytest.mark.parametrize("folder", ["annotations", "stuffthingmaps_trainval2017", "stuffthingmaps"])
def test_coco_stuff_164k_stores_the_id_less_one(tmp_path: Path, folder: str) -> None:
    values = with_values([k - 1 for k in ALL_COCO_STUFF] + [255])
    write_coco_stuff_164k(tmp_path, "val2017", {"000000000139": values}, folder)
    assert is_coco_stuff_164k(tmp_path)
    dataset = CocoStuff164k(tmp_path, "val")
    names = names_of_pixels(dataset)
    expected = np.full(256, "", dtype="U99")
    expected[[k - 1 for k in ALL_COCO_STUFF]] = coco_stuff.TAXONOMY.names
    assert (names == expected[values]).all()
    assert names.ravel()[0] == "person" and (values == 181).any() and (names[values == 181] == "wood").all()
    bad = values.copy()
    bad[3, 5:8] = 11
    save(bad.astype(np.uint8), dataset.label_path(0))
    with pytest.raises(UserError, match=r"139.png has 3 pixels of value 11, the first in row 3, column 5, which the"):
        dataset.load(0)


def test_coco_stuff_164k_converted_labels_lie_beside_the_originals(tmp_path: Path) -> None:
    key = "000000000139"
    write_coco_stuff_164k(tmp_path, "train2017", {key: with_values([0, 91, 255])})
    folder = tmp_path / "annotations" / "train2017"
    save(with_values([0, 80, 255]).astype(np.uint8), folder / f"{key}_labelTrainIds.png")
    before = CocoStuff164k(tmp_path, "train")
    assert len(before) == 1
    names = names_of_pixels(before)
    assert set(names.ravel()) == {"person", "banner", ""}
    (folder / f"{key}.png").unlink()
    after = CocoStuff164k(tmp_path, "train2017")
    assert (names_of_pixels(after) == names).all()
    save_photo(tmp_path / "images" / "train2017" / "000000000140.jpg", SIZE)
    with pytest.raises(UserError, match=r"140_labelTrainIds.png does not exist"):
        CocoStuff164k(tmp_path, "train")


def test_coco_stuff_10k_archive_and_conversions_agree(tmp_path: Path) -> None:
    key, archive, mmseg, detectron2 = "COCO_train2014_000000000077", *(tmp_path / name for name in "abc")
    values = with_values([0, *ALL_COCO_STUFF])
    write_coco_stuff_10k(archive, "test", {key: values})
    dataset = open_coco_stuff_10k(archive, "val")
    index = with_values(list(range(172)))  # 0 none, then the class from 1
    expected = np.array(["", *coco_stuff.TAXONOMY.names])[index]
    assert (names_of_pixels(dataset) == expected).all()
    assert dataset.label_size(0) == SIZE
    save_photo(mmseg / "images" / "test2014" / f"{key}.jpg", SIZE)
    save(index.astype(np.uint8), mmseg / "annotations" / "test2014" / f"{key}_labelTrainIds.png")
    save_photo(detectron2 / "images_detectron2" / "test" / f"{key}.jpg", SIZE)
    save((index - 1).astype(np.uint8), detectron2 / "annotations_detectron2" / "test" / f"{key}.png")
    for root in (mmseg, detectron2):
        other = open_coco_stuff_10k(root, "test")
        assert (names_of_pixels(other) == expected).all() and other.taxonomy == dataset.taxonomy
        with pytest.raises(UserError, match="has no split 'train'"):
            open_coco_stuff_10k(root, "train")


def test_coco_stuff_10k_damaged_mat(tmp_path: Path) -> None:
    from scipy.io import savemat

    key = "COCO_train2014_000000000077"
    write_coco_stuff_10k(tmp_path, "train", {key: with_values([1])})
    dataset = open_coco_stuff_10k(tmp_path, "train")
    path = dataset.label_path(0)
    path.write_bytes(path.read_bytes()[:150])
    with pytest.raises(UserError, match=r"077.mat does not decode"):
        dataset.load_map(0)
    savemat(path, {"T": np.ones((3, 3))})
    with pytest.raises(UserError, match=r"077.mat has no field 'S'"):
        dataset.load_map(0)
    savemat(path, {"S": np.full((3, 3), 1.5)})
    with pytest.raises(UserError, match="holds more than whole numbers"):
        dataset.load_map(0)


def test_coco_stuff_10k_version_1_0(tmp_path: Path) -> None:
    h5py = pytest.importorskip("h5py")
    key = "COCO_train2014_000000000077"
    write_coco_stuff_10k(tmp_path, "train", {key: with_values([0])})
    values = with_values([1, *range(2, 173)])  # 1 none; things 2..81, stuff 82..172
    with h5py.File(tmp_path / "annotations" / f"{key}.mat", "w", userblock_size=512) as file:
        file["S"] = values.T.astype(np.float64)
    dataset = open_coco_stuff_10k(tmp_path, "train")
    expected = np.array(["", "", *coco_stuff.TAXONOMY.names])
    assert (names_of_pixels(dataset) == expected[values]).all()


def test_coco_stuff_10k_version_1_0_without_h5py(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    key = "COCO_train2014_000000000077"
    write_coco_stuff_10k(tmp_path, "train", {key: with_values([1])})
    path = tmp_path / "annotations" / f"{key}.mat"
    path.write_bytes(b"MATLAB 7.3 MAT-file".ljust(512) + b"\x89HDF\r\n\x1a\n" + bytes(99))
    real_import = builtins.__import__

    def without_h5py(name: str, *args, **kwargs):
        if name == "h5py":
            raise ImportError(name)
        return real_import(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without_h5py)
    with pytest.raises(UserError, match=r"077.mat is a MATLAB 7.3 file, which is HDF5: install h5py"):
        open_coco_stuff_10k(tmp_path, "train").load(0)


@pytest.mark.parametrize("suffix", [".tif", ".png"])
def test_ade20k_full_of_maskformer_counts_from_0(tmp_path: Path, suffix: str) -> None:
    values = with_values([*range(847), 65535])
    write_ade20k_full(tmp_path, "validation", {"ADE_val_00000001": values}, suffix)
    assert is_ade20k_full(tmp_path)
    dataset = Ade20kFull(tmp_path, "val")
    names = np.array([*ade20k_full.TAXONOMY.names, ""])
    assert (names_of_pixels(dataset) == names[np.minimum(values, 847)]).all()
    values[2, 7:9] = 847
    save(values.astype(np.uint16), dataset.label_path(0))
    with pytest.raises(UserError, match=r"2 pixels of value 847, the first in row 2, column 7.* count classes from 0"):
        dataset.load(0)


def test_ade20k_full_of_rankseg_counts_from_1(tmp_path: Path) -> None:
    values = with_values(list(range(848)))
    write_ade20k_full_from_1(tmp_path, "val", {"ADE_val_00000001": values})
    dataset = Ade20kFull(tmp_path, "validation")
    names = np.array(["", *ade20k_full.TAXONOMY.names])
    assert (names_of_pixels(dataset) == names[values]).all()


def test_ade20k_full_of_one_kind_in_the_folders_of_the_other(tmp_path: Path) -> None:
    write_ade20k_full_from_1(tmp_path / "a", "val", {"ADE_val_00000001": with_values([0, 65535])})
    with pytest.warns(UserWarning, match=r"00001.png has pixels of value 65535, so its classes count from 0, though"):
        dataset = Ade20kFull(tmp_path / "a", "val")
    assert set(names_of_pixels(dataset).ravel()) == {"wall", ""}
    write_ade20k_full(tmp_path / "b", "validation", {"ADE_val_00000001": with_values([0, 1, 847])})
    with pytest.warns(UserWarning, match="so its classes count from 1"):
        dataset = Ade20kFull(tmp_path / "b", "val")
    assert set(names_of_pixels(dataset).ravel()) == {"", "wall", "adding machine, totalizer, totaliser"}
    write_ade20k_full(tmp_path / "b", "validation", {"ADE_val_00000002": with_values([0, 65535])})
    with pytest.raises(UserError, match=r"0002.tif counts its classes from 0 \(65535 is void\) but .*0001.tif from 1"):
        Ade20kFull(tmp_path / "b", "val")


def test_ade20k_full_in_8_bits_or_with_a_sign(tmp_path: Path) -> None:
    write_ade20k_full(tmp_path, "validation", {"ADE_val_00000001": with_values([3])})
    path = tmp_path / "annotations_detectron2" / "validation" / "ADE_val_00000001.tif"
    Image.fromarray(np.full(SIZE, 3, np.uint8)).save(path)
    with pytest.raises(UserError, match="is a TIFF of 1 band of 8 bits, but this label needs 16-bit grey"):
        Ade20kFull(tmp_path, "val")
    tifffile = pytest.importorskip("tifffile")
    tifffile.imwrite(path, np.full(SIZE, -1, np.int16))
    with pytest.raises(UserError, match=r"is a TIFF of 1 band of 16 bits \(signed\)"):
        Ade20kFull(tmp_path, "val")
    write_ade20k_full_from_1(tmp_path / "png", "val", {"ADE_val_00000001": with_values([3])})
    save(np.full(SIZE, 3, np.uint8), tmp_path / "png" / "val" / "label" / "ADE_val_00000001.png")
    with pytest.raises(UserError, match="PNG of 8-bit grey, but this label needs 16-bit grey"):
        Ade20kFull(tmp_path / "png", "val")


def test_coco_lvis(tmp_path: Path) -> None:
    values = with_values([*range(900), 1203, 1204, 1284])[:, ::-1].copy()
    values[0, :3] = 1203, 1204, 1284
    write_coco_lvis(tmp_path, "train2017", {"000000000009": values, "000000429995": values})
    dataset = CocoLvis(tmp_path, "train")
    assert len(dataset) == 1  # one is left out, as in the original
    names = np.array(["", *coco_lvis.TAXONOMY.names])
    assert (names_of_pixels(dataset) == names[values]).all()
    save(values.astype(np.uint8), dataset.label_path(0))
    with pytest.raises(UserError, match="PNG of 8-bit grey, but this label needs 16-bit grey"):
        dataset.load(0)
    values[4, 4] = 1285
    save(values.astype(np.uint16), dataset.label_path(0))
    with pytest.raises(UserError, match="has 1 pixels of value 1285, the first in row 4, column 4"):
        dataset.load(0)
    with pytest.raises(UserError, match="has no split 'val2017'"):
        CocoLvis(tmp_path, "val")
