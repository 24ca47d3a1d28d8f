"""Whatever a conversion writes with exit 0 passes `data check`, or its report says what does not."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from data.raster_files import write_tiff
from labels.checked_folder import write_folder
from labels.tiny_labels import box, instances_json, photo, run, write_instances, write_json, write_labelme
from pantile.cli.main import main
from pantile.contracts.errors import UserError
from pantile.data import open_dataset
from pantile.data.image_files import read_image
from pantile.labels.checks.check import check

SIZE = (8, 10)
NOISE = np.random.default_rng(1).integers(0, 256, (*SIZE, 4), dtype=np.uint8)


def picture(mode: str) -> Image.Image:
    if mode == "I;16":
        return Image.fromarray(NOISE[..., 0].astype(np.uint16) * 250)
    if mode == "I":
        return Image.fromarray(NOISE[..., 0].astype(np.int32) * 70000)
    if mode == "F":
        return Image.fromarray(NOISE[..., 0].astype(np.float32) / 255)
    if mode == "LA":
        return Image.fromarray(NOISE[..., :2].copy(), "LA")
    if mode == "RGBA":
        return Image.fromarray(NOISE)
    return Image.fromarray(NOISE[..., :3].copy()).convert(mode)


def write_photos(folder: Path) -> list[str]:
    """Valid and damaged files of every kind that a folder of photos may hold. Returns their names."""
    folder.mkdir(parents=True)
    for mode, suffix in (
        ("RGB", "png"),
        ("RGB", "jpg"),
        ("RGB", "bmp"),
        ("RGB", "webp"),
        ("L", "png"),
        ("L", "jpg"),
        ("1", "png"),
        ("P", "png"),
        ("LA", "png"),
        ("RGBA", "png"),
        ("RGBA", "tif"),
        ("CMYK", "jpg"),
        ("CMYK", "tif"),
        ("I;16", "png"),
        ("I;16", "tif"),
        ("I", "tif"),
        ("F", "tif"),
    ):
        picture(mode).save(folder / f"{mode.replace(';', '_')}_{suffix}.{suffix}")
    picture("RGB").rotate(180).save(folder / "really_a_png.jpg", format="PNG")
    for name in ("RGB_png.png", "RGB_jpg.jpg", "RGB_bmp.bmp", "RGBA_tif.tif"):
        content = (folder / name).read_bytes()
        for share in (0.1, 0.5, 0.9):
            (folder / f"cut_{share}_{name}").write_bytes(content[: int(share * len(content))])
        garbled = bytearray(content)
        for k in range(len(content) // 3, len(content), 7):
            garbled[k] ^= 0xA5
        (folder / f"garbled_{name}").write_bytes(garbled)
    (folder / "empty.png").write_bytes(b"")
    (folder / "text.jpg").write_text("not a photo")
    return sorted(path.name for path in folder.iterdir())


def is_readable(path: Path) -> bool:
    try:
        return read_image(path).shape[:2] == SIZE
    except UserError:
        return False


@pytest.fixture
def folder(tmp_path) -> Path:
    names = write_photos(tmp_path / "src" / "train")
    rows = [{"image_id": k + 1, "segmentation": [box(2, 1, 6, 5)]} for k in range(len(names))]
    write_json(instances_json(rows, names=tuple(names)), tmp_path / "src" / "annotations" / "instances_train.json")
    return tmp_path / "src"


def test_photos_of_every_kind(folder, tmp_path):
    """By the function that the project reads with, so whatever that learns to read is converted."""
    every = sorted((folder / "train").iterdir())
    bad = [path for path in every if not is_readable(path)]
    assert 10 < len(bad) < len(every) - 10
    with pytest.raises(UserError) as caught:
        run(folder, tmp_path / "dst", "coco-instances")
    told = str(caught.value)
    assert f"{len(bad)} of the {len(every)} photos cannot be read" in told and all(
        str(path) in told for path in bad[:5]
    )
    assert "--unreadable skip" in told and not (tmp_path / "dst").exists()

    report = run(folder, tmp_path / "skip", "coco-instances", unreadable="skip")
    (told,) = (own for own in report.left_out if "cannot be read" in own.text)
    assert (told.what, told.count) == ("images", len(bad))
    assert report.images == {"train": len(every) - len(bad)} and any("left out" in note for note in report.notes)
    found = check(tmp_path / "skip")
    assert found.errors == 0, found.findings

    report = run(folder, tmp_path / "keep", "coco-instances", unreadable="keep")
    kept = {f"train/{path.name}" for path in bad if (tmp_path / "keep" / "train" / path.name).exists()}
    assert kept and report.images["train"] == len(every) - len(bad) + len(kept)
    assert f"{len(kept)} of the {len(every)} photos" in report.warnings[0]
    assert {f.file for f in check(tmp_path / "keep").findings if f.severity == "error"} == kept


def test_a_photo_in_two_splits_is_told(tmp_path):
    src = write_instances(tmp_path / "src", [{"segmentation": [box(2, 1, 6, 5)]}])
    (src / "val").mkdir()
    shutil.copy(src / "train" / "a.png", src / "val" / "b.png")
    write_json(instances_json([], names=("b.png",)), src / "annotations" / "instances_val.json")
    report = run(src, tmp_path / "dst", "coco-instances")
    assert len(report.warnings) == 1 and "1 photos have the same pixels as one of another split" in report.warnings[0]
    assert check(tmp_path / "dst").counts["image-in-two-splits"] == 1


def test_an_empty_split_is_told(tmp_path):
    src = write_instances(tmp_path / "src", [])
    write_json(instances_json([], names=()), src / "annotations" / "instances_train.json")
    report = run(src, tmp_path / "dst", "coco-instances")
    assert report.warnings == ["train has no image, so nothing can be trained on it."]


def test_other_readers_look_too(tmp_path, capsys):
    labelme = write_labelme(tmp_path / "labelme", [{"points": [[1, 1], [4, 1], [4, 4]]}])
    (labelme / "a.jpg").write_bytes((labelme / "a.jpg").read_bytes()[:200])
    panoptic = write_folder(tmp_path / "panoptic")
    picture("I;16").save(panoptic / "train" / "a.png")
    for source, src in (("labelme", labelme), ("coco-panoptic", panoptic)):
        arguments = ["data", "convert", str(src), str(tmp_path / "dst"), "--from", source, "--split", "train"]
        assert main(arguments) == 2
        assert "photos cannot be read" in capsys.readouterr().err and not (tmp_path / "dst").exists()
    assert main([*arguments, "--unreadable", "skip"]) == 0
    assert "1 of the 2 photos" in " ".join(capsys.readouterr().out.split())
    arguments[3] = str(tmp_path / "new")
    assert main([*arguments, "--unreadable", "no"]) == 2 and "--unreadable 'no'" in capsys.readouterr().err


def test_two_images_of_one_name_say_both_ids(tmp_path):
    src = write_instances(tmp_path / "src", [])
    data = instances_json([], names=("a.png", "a.png"))
    write_json(data, src / "annotations" / "instances_train.json")
    with pytest.raises(UserError, match=r"a.png \(id 2\) and .*a.png \(id 1\) would both have the name 'a'"):
        run(src, tmp_path / "dst", "coco-instances")
    photo(src / "train" / "a.jpg")
    write_json(instances_json([], names=("a.png", "a.jpg")), src / "annotations" / "instances_train.json")
    with pytest.raises(UserError, match=r"a.jpg \(id 2\) and .*a.png \(id 1\)"):
        run(src, tmp_path / "dst", "coco-instances")


def test_a_conversion_reads_photos_as_dataset_yaml_says_and_takes_it_along(tmp_path):
    """Bands were refused, or lost without a word in the folder that was written."""
    rng = np.random.default_rng(5)
    for name, mode, said in (("grey", "L", "channels: 1\n"), ("four", "RGBA", "channels: 4\nmean: [1, 2, 3, 4]\n")):
        root = write_folder(tmp_path / name)
        for path in [*(root / "train").iterdir(), *(root / "val").iterdir()]:
            with Image.open(path) as image:
                size = image.size
            Image.fromarray(rng.integers(0, 256, (*size[::-1], 4), dtype=np.uint8)).convert(mode).save(path)
        (root / "dataset.yaml").write_text(said)
        for target in ("coco-panoptic", "coco-instances"):
            run(root, tmp_path / f"{name}_{target}", "coco-panoptic", target=target)
        back = run(tmp_path / f"{name}_coco-instances", tmp_path / f"{name}_back", "coco-instances")
        assert not back.warnings
        for out in (tmp_path / f"{name}_coco-panoptic", tmp_path / f"{name}_back"):
            dataset, before = open_dataset(out, "train"), open_dataset(root, "train")
            assert vars(dataset.description) == vars(before.description)
            np.testing.assert_array_equal(dataset.load_image(0), before.load_image(0))
            assert check(out).errors == 0


def test_bands_that_pillow_does_not_know(tmp_path):
    """``--unreadable keep`` left them out, though they have a size; with ``dataset.yaml`` they are read."""
    src = tmp_path / "src"
    values = np.random.default_rng(6).integers(0, 3000, (5, 8, 10), dtype=np.uint16)
    write_tiff(src / "train" / "a.tif", values)
    rows = instances_json([{"segmentation": [box(0, 0, 4, 4)]}], SIZE, ("a.tif",))
    write_json(rows, src / "annotations" / "instances_train.json")
    kept = run(src, tmp_path / "kept", "coco-instances", unreadable="keep")
    assert "copied as they are" in kept.warnings[0] and kept.images["train"] == 1
    (src / "dataset.yaml").write_text("bands: [4, 3, 2]\nrange: [0, 3000]\n")
    assert not run(src, tmp_path / "read", "coco-instances").warnings
    assert check(tmp_path / "read").errors == 0
