"""Photos stored turned: labels of every tool find their pixels, and no copy has a tag that says something else."""

import json
import struct
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps
from pycocotools import mask as coco_mask

from data.raster_files import write_tiff
from labels.checked_folder import edit, write_folder
from labels.tiny_labels import (
    run,
    save,
    write_cvat,
    write_instances,
    write_json,
    write_labelme,
    write_pairs,
    write_yolo,
)
from pantile.contracts.errors import UserError
from pantile.data import CocoPanoptic, open_dataset
from pantile.data.image_files import read_image, read_orientation
from pantile.data.orientation import STORED, UPRIGHT
from pantile.labels.checks.check import CheckOptions, check
from pantile.labels.checks.repair import repair
from pantile.labels.convert import ConvertOptions, convert
from pantile.labels.photos.label_frames import NO_SIZE, ONLY_STATED, SAME_SIZE, Framed
from pantile.labels.photos.photo_copy import place_photo
from pantile.labels.source import ReadOptions
from pantile.labels.splitting.split import SplitOptions, split_folder
from turned_photos import SHOWN, picture, save_turned

STORED_SIZE, UPRIGHT_SIZE = (16, 24), (24, 16)
LOW = [0, 18, 8, 18, 8, 23, 0, 23]  # rows 18 to 23: only the upright picture has them
WIDE = [18, 0, 23, 0, 23, 8, 18, 8]  # columns 18 to 23: only the stored one has them
BOTH = [1, 1, 9, 1, 9, 9, 1, 9]


def instances(root: Path, rows: list[tuple[str, int, tuple | None, list]], **read: object):
    """Converts photos of (name, tag, stated size, segmentation). Returns the report and the opened result."""
    src, dst = root / "src", root / "dst"
    images, annotations = [], []
    for k, (name, tag, stated, segmentation) in enumerate(rows):
        save_turned(picture(STORED_SIZE), src / "train" / name, tag)
        images.append(
            {"id": k, "file_name": name} | (dict(zip(("height", "width"), stated, strict=True)) if stated else {})
        )
        annotations.append({"id": k, "image_id": k, "category_id": 1, "iscrowd": 0, "segmentation": segmentation})
    data = {"images": images, "annotations": annotations, "categories": [{"id": 1, "name": "cat"}]}
    write_json(data, src / "annotations" / "instances_train.json")
    report = convert(src, dst, ConvertOptions("coco-instances", read=ReadOptions(**read)))
    return report, CocoPanoptic(dst)


def sizes(dataset: CocoPanoptic) -> list[tuple[int, int]]:
    return [dataset.load(k)[1].size for k in range(len(dataset))]


def test_coco_instances_believes_shapes_more_than_the_size_that_is_stated(tmp_path: Path) -> None:
    """Label Studio states the stored size beside points on the upright picture; one image speaks for the others."""
    rows = [("a.jpg", 6, STORED_SIZE, [LOW]), ("b.jpg", 8, STORED_SIZE, [BOTH]), ("c.jpg", 3, STORED_SIZE, [BOTH])]
    report, dataset = instances(tmp_path, [*rows, ("d.jpg", 1, STORED_SIZE, [WIDE])])
    assert sizes(dataset) == [UPRIGHT_SIZE, UPRIGHT_SIZE, STORED_SIZE, STORED_SIZE]
    assert report.turned.to_dict() == {"labels_on": {"upright": ["a.jpg", "b.jpg", "c.jpg"]}, "undecided": []}
    assert (
        "3 photo(s) are stored turned (EXIF orientation) and their labels lie on the upr"
        in report.turned.sentences()[0]
    )
    for k, tag in enumerate((6, 8, 3)):
        image, panoptic = dataset.load(k)
        assert not read_orientation(dataset.image_path(k)).is_turned
        assert np.abs(image.astype(int) - SHOWN[tag](picture(STORED_SIZE))).mean() < 4
        box = LOW if k == 0 else BOTH
        expected = np.zeros(panoptic.size, bool)
        expected[box[1] : box[5], box[0] : box[2]] = True
        assert np.array_equal(panoptic.ids > 0, expected)


def test_coco_instances_on_stored_pixels_keep_them_to_the_last_bit(tmp_path: Path) -> None:
    report, dataset = instances(tmp_path, [("a.jpg", 6, STORED_SIZE, [WIDE]), ("b.jpg", 7, STORED_SIZE, [BOTH])])
    assert sizes(dataset) == [STORED_SIZE] * 2
    assert report.turned.to_dict() == {"labels_on": {"stored": ["a.jpg", "b.jpg"]}, "undecided": []}
    for k in range(2):
        source = tmp_path / "src" / "train" / dataset.name_of(k)
        assert not read_orientation(dataset.image_path(k)).is_turned
        assert np.array_equal(dataset.load(k)[0], read_image(source, frame=STORED))


@pytest.mark.parametrize(
    ("tag", "stated", "frame", "why"),
    [
        (6, STORED_SIZE, STORED, ONLY_STATED),
        (6, UPRIGHT_SIZE, UPRIGHT, None),
        (6, None, UPRIGHT, NO_SIZE),
        (3, STORED_SIZE, UPRIGHT, SAME_SIZE),
    ],
)
def test_what_labels_do_not_tell_is_reported_and_can_be_said(tmp_path: Path, tag, stated, frame, why) -> None:
    report, dataset = instances(tmp_path / "silent", [("a.jpg", tag, stated, [BOTH])])
    assert report.turned.to_dict()["labels_on"] == {frame: ["a.jpg"]}
    assert [row["reason"] for row in report.turned.to_dict()["undecided"]] == ([why] if why else [])
    assert len(report.turned.sentences()) == 1 + (why is not None)
    for said in (UPRIGHT, STORED):
        report, dataset = instances(tmp_path / said, [("a.jpg", tag, stated, [BOTH])], orientation=said)
        assert report.turned.to_dict() == {"labels_on": {said: ["a.jpg"]}, "undecided": []}
        turned = read_image(tmp_path / said / "src" / "train" / "a.jpg", frame=said)
        assert np.abs(dataset.load(0)[0].astype(int) - turned).mean() < 4


def test_run_lengths_tell_by_their_own_size(tmp_path: Path) -> None:
    mask = np.zeros(UPRIGHT_SIZE, np.uint8, order="F")
    mask[2:6, 3:9] = 1
    rle = coco_mask.encode(mask)
    segmentation = {"size": list(UPRIGHT_SIZE), "counts": rle["counts"].decode()}
    _, dataset = instances(tmp_path, [("a.jpg", 6, STORED_SIZE, segmentation)])
    assert np.array_equal(dataset.load_map(0).ids > 0, mask > 0)


def test_a_size_that_fits_no_frame_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"EXIF orientation 6: 16x24 upright\) but .*image 0 is for 99x16: make both"):
        instances(tmp_path, [("a.jpg", 6, (16, 99), [BOTH])])


POINTS = [[1, 1], [9, 1], [9, 9], [1, 9]]
FORMATS = {
    "labelme": (lambda root, size: write_labelme(root, [{"points": POINTS}], size), "a.jpg"),
    "cvat": (
        lambda root, size: write_cvat(root, '<polygon label="cat" points="1,1;9,1;9,9;1,9"/>', size),
        "images/a.png",
    ),
    "yolo-seg": (
        lambda root, size: write_yolo(root, ["0 " + " ".join(f"{x / size[1]} {y / size[0]}" for x, y in POINTS)], size),
        "images/train/a.png",
    ),
}


@pytest.mark.parametrize("source", FORMATS)
@pytest.mark.parametrize("tag", [3, 6])
def test_tools_that_show_photos_upright(tmp_path: Path, source: str, tag: int) -> None:
    write, name = FORMATS[source]
    size = UPRIGHT_SIZE if tag == 6 else STORED_SIZE
    src = write(tmp_path / "src", size)
    save_turned(picture(STORED_SIZE), src / name, tag)
    report = run(src, tmp_path / "dst", source)
    assert report.turned.to_dict()["labels_on"] == {"upright": [Path(name).name]}
    assert len(report.turned.to_dict()["undecided"]) == (tag == 3 or source == "yolo-seg")
    image, panoptic = CocoPanoptic(tmp_path / "dst").load(0)
    assert panoptic.size == size and np.array_equal(np.argwhere(panoptic.ids)[[0, -1]], [[1, 1], [8, 8]])
    assert np.abs(image.astype(int) - SHOWN[tag](picture(STORED_SIZE))).mean() < 4


def test_label_maps_tell_by_their_size(tmp_path: Path) -> None:
    classes = np.full(UPRIGHT_SIZE, 7, np.uint8)
    src = write_pairs(tmp_path / "src", classes, np.zeros(UPRIGHT_SIZE, np.uint16))
    save(np.full(STORED_SIZE, 7, np.uint8), src / "semantic" / "train" / "b.png")
    save(np.zeros(STORED_SIZE, np.uint16), src / "instances" / "train" / "b.png")
    for name in "ab":
        save_turned(picture(STORED_SIZE), src / "images" / "train" / f"{name}.png", 8)
    report = run(src, tmp_path / "dst", "png-pairs")
    assert report.turned.to_dict() == {"labels_on": {"upright": ["a.png"], "stored": ["b.png"]}, "undecided": []}
    dataset = CocoPanoptic(tmp_path / "dst")
    assert np.array_equal(dataset.load(0)[0], SHOWN[8](picture(STORED_SIZE)))
    assert np.array_equal(dataset.load(1)[0], picture(STORED_SIZE))
    again = run(tmp_path / "dst", tmp_path / "again", "coco-panoptic", target="png-pairs")
    assert again.turned.to_dict() == {"labels_on": {}, "undecided": []}


@pytest.mark.parametrize("ending", [".jpg", ".png", ".tif", ".webp"])
def test_copies_mean_the_same_with_and_without_regard_to_exif(tmp_path: Path, ending: str) -> None:
    for tag in range(2, 9):
        path = save_turned(picture(), tmp_path / f"{tag}{ending}", tag, **({"quality": 80} if ending == ".jpg" else {}))
        found = read_orientation(path)
        for frame in (UPRIGHT, STORED):
            copy = tmp_path / f"{tag}_{frame}{ending}"
            place_photo(path, copy, link=True, framed=Framed(found, frame))
            with Image.open(copy) as image:
                assert image.format == Image.open(path).format
                seen = [np.asarray(image), np.asarray(ImageOps.exif_transpose(Image.open(copy)))]
            assert np.array_equal(*seen)
            error = np.abs(seen[0].astype(int) - read_image(path, frame=frame)).mean()
            assert error < (1.5 if ending == ".jpg" and frame == UPRIGHT else 1e-9)


@pytest.mark.parametrize("mode", ["L", "P", "CMYK", "I;16"])
def test_copies_of_other_modes_keep_every_value(tmp_path: Path, mode: str) -> None:
    stored = Image.fromarray(picture()).convert("L" if mode == "I;16" else mode)
    stored = Image.fromarray(np.asarray(stored).astype(np.uint16) * 200) if mode == "I;16" else stored
    exif = Image.Exif()
    exif[0x0112] = 8
    for ending in (".tif",) if mode == "CMYK" else (".tif", ".png"):
        stored.save(tmp_path / f"a{ending}", exif=exif)
        for frame in (UPRIGHT, STORED):
            copy = tmp_path / f"{frame}{ending}"
            place_photo(tmp_path / f"a{ending}", copy, False, Framed(read_orientation(tmp_path / f"a{ending}"), frame))
            image = Image.open(copy)
            assert image.mode == mode
            expected = np.asarray(stored) if frame == STORED else SHOWN[8](np.asarray(stored))
            assert np.array_equal(np.asarray(image), expected)


def test_a_tag_in_xmp_goes_as_well_and_other_exif_stays(tmp_path: Path) -> None:
    xmp = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:Description tiff:Orientation="6"/></x:xmpmeta>'
    Image.fromarray(picture()).save(tmp_path / "a.jpg", xmp=xmp)
    found = read_orientation(tmp_path / "a.jpg")
    assert found.tag == 6
    for frame in (UPRIGHT, STORED):
        place_photo(tmp_path / "a.jpg", tmp_path / f"{frame}.jpg", False, Framed(found, frame))
        assert not read_orientation(tmp_path / f"{frame}.jpg").is_turned
    path = save_turned(picture(), tmp_path / "b.jpg", 6)
    for frame in (UPRIGHT, STORED):
        place_photo(path, tmp_path / f"b{frame}.jpg", False, Framed(found, frame))
        assert Image.open(tmp_path / f"b{frame}.jpg").getexif()[0x010F] == "a camera"


def test_a_turned_jpeg_loses_little(tmp_path: Path) -> None:
    """Quantised with its own tables, turned with it: less error than quality 95 gives, in fewer bytes."""
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (12, 16, 3), dtype=np.uint8))
    stored = np.asarray(noise.resize((256, 192), Image.Resampling.BICUBIC))
    path = save_turned(stored, tmp_path / "a.jpg", 6, quality=90, subsampling=2)
    place_photo(path, tmp_path / "b.jpg", False, Framed(read_orientation(path), UPRIGHT))
    upright = read_image(path)
    Image.fromarray(upright).save(tmp_path / "95.jpg", quality=95)
    own, other = (np.abs(read_image(tmp_path / n).astype(int) - upright).mean() for n in ("b.jpg", "95.jpg"))
    assert own < 0.85 * other and own < 0.6
    sizes = [(tmp_path / name).stat().st_size for name in ("a.jpg", "b.jpg", "95.jpg")]
    assert abs(sizes[1] / sizes[0] - 1) < 0.03 < sizes[2] / sizes[0] - 1


def test_photos_that_are_not_turned_are_linked(tmp_path: Path) -> None:
    path = save_turned(picture(), tmp_path / "a.jpg", 1)
    place_photo(path, tmp_path / "b.jpg", True, Framed(read_orientation(path), STORED))
    assert path.samefile(tmp_path / "b.jpg")


def turned_folder(root: Path) -> Path:
    """The folder of the checks, its label 20x12: a on the upright picture, b on the stored pixels, c cannot tell."""
    write_folder(root)
    for name, tag, size in (("train/a", 6, (20, 12)), ("train/b", 8, (12, 20)), ("val/c", 4, (12, 20))):
        (root / f"{name}.png").unlink()
        save_turned(np.roll(picture(size), tag, axis=2), root / f"{name}.jpg", tag)
        edit(root, lambda d, n=name: rename(d, n), name[:-2])
    return root


def rename(data: dict, name: str) -> None:
    for image in data["images"]:
        if image["file_name"] == f"{name[-1]}.png":
            image["file_name"] = f"{name[-1]}.jpg"


def test_check_finds_turned_photos_and_its_copy_has_none(tmp_path: Path) -> None:
    root = turned_folder(tmp_path / "in")
    result = check(root)
    found = [(f.kind, f.file, f.severity) for f in result.findings]
    assert found == [
        ("image-rotated", "train/a.jpg", "note"),
        ("image-rotated", "train/b.jpg", "note"),
        ("image-rotation-unclear", "val/c.jpg", "error"),
    ]
    assert "12x20" not in result.findings[0].text and "lies on the upright picture" in result.findings[0].text
    assert "lies on the pixels as stored" in result.findings[1].text
    repair(result, tmp_path / "out")
    assert check(tmp_path / "out").findings == []
    for split, count in (("train", 2), ("val", 1)):
        for index in range(count):
            one, other = (CocoPanoptic(folder, split).load(index)[0] for folder in (root, tmp_path / "out"))
            assert np.abs(one.astype(int) - other).mean() < 4
    (root / "dataset.yaml").write_text("orientation: stored\n")
    assert [f.kind for f in check(root, CheckOptions(cache=tmp_path / "cache")).findings] == ["image-rotated"] * 3
    (root / "dataset.yaml").write_text("orientation: upright\n")
    assert check(root, CheckOptions(cache=tmp_path / "cache")).errors == 0


def test_check_of_other_layouts_finds_turned_photos(tmp_path: Path, recwarn) -> None:
    root = tmp_path / "in"
    for name, tag, size in (("a", 6, STORED_SIZE), ("b", 3, UPRIGHT_SIZE)):
        save_turned(picture(size), root / "images" / "train" / f"{name}.png", tag)
        save(np.ones(UPRIGHT_SIZE, np.uint8), root / "semantic" / "train" / f"{name}.png")
    (root / "dataset.yaml").write_text("classes:\n  - {name: wall, thing: false}\n")
    found = [f.kind for f in check(root).findings]
    assert sorted(found) == ["image-rotated", "image-rotation-unclear", "no-things"]
    assert not recwarn.list


def test_split_writes_what_was_read(tmp_path: Path) -> None:
    root = turned_folder(tmp_path / "in")
    dataset = open_dataset(root, "train")
    split_folder(dataset, tmp_path / "out", SplitOptions(val=0.5, link=True))
    originals = {dataset.name_of(k): dataset.load(k) for k in range(2)}
    for split in ("train", "val"):
        own = CocoPanoptic(tmp_path / "out", split)
        assert len(own) == 1 and not read_orientation(own.image_path(0)).is_turned
        image, panoptic = own.load(0)
        before, map_before = originals[own.name_of(0)]
        assert np.array_equal(panoptic.ids, map_before.ids)
        assert np.abs(image.astype(int) - before).mean() < 4


def test_the_report_names_turned_photos(tmp_path: Path) -> None:
    src = write_instances(tmp_path / "src", [{"segmentation": [BOTH]}], STORED_SIZE)
    save_turned(picture(STORED_SIZE), src / "train" / "a.png", 6)
    run(src, tmp_path / "dst", "coco-instances")
    written = json.loads((tmp_path / "dst" / "convert_report.json").read_text())
    assert written["turned_photos"]["undecided"][0]["photos"] == ["a.png"]


def test_turned_bands_are_refused_as_what_they_are(tmp_path: Path) -> None:
    """Pillow does not know the file, which was no reason to call it damaged."""
    values = np.zeros((5, 8, 10), dtype=np.uint8)
    path = write_tiff(tmp_path / "a.tif", values)
    content = bytearray(path.read_bytes())
    entries = int.from_bytes(content[8:10], "little")
    last = 10 + 12 * (entries - 1)
    content[last : last + 12] = struct.pack("<HHIHH", 0x0112, 3, 1, 6, 0)  # in place of a tag that nobody needs
    path.write_bytes(content)
    assert read_orientation(path).tag == 6
    with pytest.raises(UserError, match="5 bands of 8 bits, which would be lost"):
        place_photo(path, tmp_path / "b.tif", False, Framed(read_orientation(path), UPRIGHT))


def test_turned_photos_beyond_pillows_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save_turned(picture(), tmp_path / "a.png", 6)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 4)
    place_photo(tmp_path / "a.png", tmp_path / "b.png", False, Framed(read_orientation(tmp_path / "a.png"), UPRIGHT))
    assert np.array_equal(read_image(tmp_path / "b.png"), read_image(tmp_path / "a.png"))
