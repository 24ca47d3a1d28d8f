"""Orientation tags: eight turns in four file formats, and which frame a label map lies in."""

import io
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from described_folder import write_described
from official_folders import photo, save, write_ade20k
from PIL import Image, ImageOps

from pantile.contracts.errors import UserError
from pantile.contracts.panoptic import ids_to_rgb
from pantile.data import (
    AugmentConfig,
    CocoPanoptic,
    EvaluationSamples,
    TrainingSamples,
    evaluation_loader,
    first_images,
    open_dataset,
)
from pantile.data.image_files import image_pixels, read_image, read_orientation
from pantile.data.orientation import INVERSE, STORED, UPRIGHT, Choice, Orientation, choose_frame, turn
from pantile.labels.statistics import count_labels
from pantile.predict.predictor import as_pixels
from turned_photos import SHOWN, picture, save_turned


@pytest.mark.parametrize("tag", range(1, 9))
def test_pixels_turn_there_and_back(tag: int) -> None:
    stored = picture()
    upright = turn(stored, tag, STORED, UPRIGHT)
    assert np.array_equal(upright, SHOWN[tag](stored))
    assert np.array_equal(turn(upright, tag, UPRIGHT, STORED), stored)
    assert np.array_equal(turn(stored[..., 0], tag, STORED, UPRIGHT), upright[..., 0])
    assert upright.flags.c_contiguous
    assert Orientation(tag, (16, 24)).upright == upright.shape[:2]
    assert np.array_equal(SHOWN[INVERSE[tag]](SHOWN[tag](stored)), stored)


@pytest.mark.parametrize("ending", [".png", ".tif", ".webp", ".jpg"])
def test_files_of_every_format_in_both_frames(ending: str, tmp_path: Path) -> None:
    """Pillow turns TIFF itself and nothing else; here all are alike."""
    for tag in SHOWN:
        path = save_turned(picture(), tmp_path / f"{tag}{ending}", tag)
        assert read_orientation(path) == Orientation(tag, (16, 24))
        assert np.array_equal(read_image(path), np.asarray(ImageOps.exif_transpose(Image.open(path))))
        close = np.abs(read_image(path, frame=STORED).astype(int) - picture()).max()
        assert close <= (60 if ending == ".jpg" else 0)
        assert np.array_equal(read_image(path), SHOWN[tag](read_image(path, frame=STORED)))


@pytest.mark.parametrize("mode", ["L", "CMYK", "P", "RGBA"])
def test_uncompressed_tiff_on_its_side(mode: str, tmp_path: Path) -> None:
    """Pillow shears these when it opens them by name."""
    exif = Image.Exif()
    exif[0x0112] = 6
    stored = Image.fromarray(picture()).convert(mode)
    stored.save(tmp_path / "a.tif", exif=exif)
    pixels = np.asarray(stored.convert("RGB"))
    for source in (read_image(tmp_path / "a.tif"), image_pixels(Image.open(tmp_path / "a.tif"))):
        assert np.array_equal(source, SHOWN[6](pixels))
    assert np.array_equal(read_image(tmp_path / "a.tif", frame=STORED), pixels)


def test_a_tag_behind_the_pixels_of_a_png_counts(tmp_path: Path) -> None:
    path = save_turned(picture(), tmp_path / "a.png", 6)
    content = path.read_bytes()
    start = content.index(b"eXIf") - 4
    length = 12 + int.from_bytes(content[start : start + 4], "big")
    chunk, rest = content[start : start + length], content[:start] + content[start + length :]
    path.write_bytes(rest[:-12] + chunk + rest[-12:])
    assert read_orientation(path).tag == 6
    assert read_image(path).shape == (24, 16, 3)


@pytest.mark.parametrize("value", [0, 9, 65535, b"x"])
def test_tags_without_meaning_turn_nothing(value: object) -> None:
    exif, file = Image.Exif(), io.BytesIO()
    exif[0x0112] = value if isinstance(value, int) else 6
    blob = exif.tobytes()
    blob = blob if isinstance(value, int) else blob[:12]  # cut in the middle
    Image.fromarray(picture()).save(file, "JPEG", exif=blob)
    assert image_pixels(Image.open(file)).shape == (16, 24, 3)


def test_the_size_of_the_label_decides_and_else_what_was_said() -> None:
    lying, half, plain = Orientation(6, (3, 4)), Orientation(3, (3, 4)), Orientation(1, (3, 4))
    assert choose_frame(lying, (4, 3)) == Choice(UPRIGHT)
    assert choose_frame(lying, (4, 3), STORED) == Choice(UPRIGHT)  # sizes win
    assert choose_frame(lying, (3, 4)) == Choice(STORED)
    assert choose_frame(lying, (5, 5)) is None
    assert choose_frame(half, (3, 4)) == Choice(UPRIGHT, is_sure=False)
    assert choose_frame(half, (3, 4), STORED) == Choice(STORED)
    assert choose_frame(Orientation(8, (4, 4)), (4, 4)) == Choice(UPRIGHT, is_sure=False)
    assert choose_frame(plain, (3, 4)) == Choice(STORED)
    assert choose_frame(plain, (4, 3)) is None


def write_coco(root: Path, tag: int, size: tuple[int, int], label: tuple[int, int], name: str = "a") -> Path:
    save_turned(picture(size), root / "train" / f"{name}.jpg", tag)
    save(ids_to_rgb(np.full(label, 5, np.int32)), root / "annotations" / "panoptic_train" / f"{name}.png")
    return root


def write_json(root: Path, names: str) -> Path:
    from official_folders import write_json as write

    segments = [{"id": 5, "category_id": 1, "iscrowd": 0}]
    write(
        root / "annotations" / "panoptic_train.json",
        [{"id": k, "file_name": f"{n}.jpg"} for k, n in enumerate(names)],
        [{"image_id": k, "file_name": f"{n}.png", "segments_info": segments} for k, n in enumerate(names)],
        [{"id": 1, "name": "wall", "isthing": 0}],
    )
    return root


def test_coco_panoptic_turns_what_its_label_says(tmp_path: Path) -> None:
    for name, label in (("a", (24, 16)), ("b", (16, 24)), ("c", (16, 16))):
        write_coco(tmp_path, 6, (16, 24), label, name)
    dataset = CocoPanoptic(write_json(tmp_path, "abc"))
    upright, stored = read_image(dataset.image_path(0)), read_image(dataset.image_path(1), frame=STORED)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for index, expected in ((0, upright), (1, stored)):
            assert np.array_equal(dataset.load(index)[0], expected)
            assert np.array_equal(dataset.load_image(index), expected)
    with pytest.raises(UserError, match=r"24x16 pixels \(EXIF orientation 6: 16x24 upright\) but its label is 16x16"):
        dataset.load(2)


def test_coco_panoptic_tells_once_where_sizes_cannot(tmp_path: Path) -> None:
    for name, tag in (("a", 3), ("b", 6), ("c", 1), ("d", 2)):
        write_coco(tmp_path, tag, (16, 16), (16, 16), name)
    root = write_json(tmp_path, "abcd")
    dataset = CocoPanoptic(root)
    with pytest.warns(UserWarning, match=r"3 of 4 photos are stored turned .*a.jpg, b.jpg, d.jpg\. .*upright") as told:
        loaded = [dataset.load(k)[0] for k in (2, 1, 0, 3)]
    assert len(told) == 1
    assert np.array_equal(loaded[1], read_image(root / "train" / "b.jpg", frame=UPRIGHT))
    (root / "dataset.yaml").write_text("orientation: stored\n")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert np.array_equal(CocoPanoptic(root).load(1)[0], read_image(root / "train" / "b.jpg", frame=STORED))
    (root / "dataset.yaml").write_text("orientation: sideways\n")
    with pytest.raises(UserError, match=r"dataset.yaml: orientation is 'sideways', but it should be 'upright' or"):
        CocoPanoptic(root)


def test_several_workers_tell_once_in_the_parent(tmp_path: Path) -> None:
    write_coco(tmp_path, 3, (16, 16), (16, 16), "a")
    dataset = first_images(CocoPanoptic(write_json(tmp_path, "a")), 1)
    with pytest.warns(UserWarning, match="1 of 1 photos") as told:
        evaluation_loader(dataset, (17, 17), workers=1)
        dataset.load(0)
    assert len(told) == 1


def test_training_evaluation_statistics_and_prediction_agree(tmp_path: Path) -> None:
    """What they take of a portrait photo: the same pixels, in the label's size."""
    write_coco(tmp_path, 6, (16, 24), (24, 16), "a")
    dataset = CocoPanoptic(write_json(tmp_path, "a"))
    upright = torch.from_numpy(read_image(tmp_path / "train" / "a.jpg")).permute(2, 0, 1)
    assert torch.equal(torch.from_numpy(as_pixels(tmp_path / "train" / "a.jpg")).permute(2, 0, 1), upright)
    sample = EvaluationSamples(dataset, (24, 16))[0]
    assert sample.panoptic.size == (24, 16) and torch.equal(sample.image, upright)
    config = AugmentConfig(crop=(24, 16), scale_range=(1.0, 1.0), flip=0.0, copy_paste=0.0, ssd_jitter=False)
    drawn = TrainingSamples(dataset, config, seed=0)[0, 0]
    assert torch.equal(drawn.image, upright) and drawn.ids.shape == (24, 16)
    assert dict(count_labels(dataset).image_sizes) == {(24, 16): 1}


def test_described_folder_turns_what_its_label_says(tmp_path: Path) -> None:
    root = write_described(tmp_path, "train", {n: (np.ones((24, 16)), np.ones((24, 16))) for n in "ab"})
    save_turned(picture(), root / "images" / "train" / "a.png", 8)
    save_turned(picture((24, 16)), root / "images" / "train" / "b.png", 4)
    dataset = open_dataset(root)
    assert np.array_equal(dataset.load(0)[0], SHOWN[8](picture()))
    with pytest.warns(UserWarning, match="1 of 2 photos .*b.png"):
        assert np.array_equal(dataset.load(1)[0], SHOWN[4](picture((24, 16))))
    with (root / "dataset.yaml").open("a") as file:
        file.write("orientation: stored\n")
    assert np.array_equal(open_dataset(root).load_image(1), picture((24, 16)))


def test_ade20k_turns_what_its_label_says(tmp_path: Path) -> None:
    write_ade20k(tmp_path, "training", {"a": np.ones((24, 16)), "b": np.ones((16, 24))})
    for name in "ab":
        save_turned(photo((16, 24)), tmp_path / "images" / "training" / f"{name}.jpg", 5)
    dataset = open_dataset(tmp_path)
    assert [dataset.load(k)[0].shape for k in (0, 1)] == [(24, 16, 3), (16, 24, 3)]
