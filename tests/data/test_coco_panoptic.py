"""The COCO-panoptic reader: round trip with the writer, real folders, and one sentence for every fault."""

import json
import warnings
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pantile.contracts.errors import UserError
from pantile.contracts.panoptic import PanopticMap, Segment, ids_to_rgb
from pantile.data.coco_panoptic import CocoPanoptic, available_splits
from pantile.data.dataset import PanopticDataset, open_dataset
from pantile.data.scenes import Scenes
from pantile.data.segment_rows import segments_info
from pantile.data.write_coco import write_coco_panoptic

SCENES = Scenes(3, size=(48, 64), crowd_probability=1.0)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_coco_panoptic(SCENES, tmp_path, "val2017")
    return tmp_path


def edit(folder: Path, change) -> Path:
    """Rewrites the JSON after ``change(data)``."""
    path = folder / "annotations" / "panoptic_val2017.json"
    data = json.loads(path.read_text())
    data = change(data) or data
    path.write_text(json.dumps(data))
    return path


def png(folder: Path, index: int = 0) -> Path:
    return folder / "annotations" / "panoptic_val2017" / SCENES.name_of(index)


def test_round_trip(folder: Path) -> None:
    dataset = CocoPanoptic(folder, "val2017")
    assert isinstance(dataset, PanopticDataset)
    assert isinstance(SCENES, PanopticDataset)
    assert dataset.taxonomy == SCENES.taxonomy
    assert len(dataset) == 3
    for index in range(3):
        image, panoptic = dataset.load(index)
        expected_image, expected = SCENES.load(index)
        assert np.array_equal(image, expected_image)
        assert np.array_equal(panoptic.ids, expected.ids)
        assert panoptic.ids.dtype == np.int32
        assert panoptic.segments == expected.segments
        assert any(segment.is_crowd for segment in panoptic.segments)
        assert dataset.name_of(index) == SCENES.name_of(index)
        assert dataset.image_id(index) == SCENES.image_id(index)
        assert np.array_equal(dataset.load_image(index), expected_image)


def test_large_ids_and_alpha_channel(tmp_path: Path) -> None:
    class Two(Scenes):
        def load(self, index: int):
            ids = np.zeros((16, 16), np.int32)
            ids[:8], ids[8:, :4] = 2**24 - 1, 65536
            return np.zeros((16, 16, 3), np.uint8), PanopticMap(ids, (Segment(2**24 - 1, 0), Segment(65536, 9)))

    write_coco_panoptic(Two(1, size=(16, 16)), tmp_path, "a")
    path = tmp_path / "annotations" / "panoptic_a" / "scene_train_000000.png"
    expected = Two(1).load(0)[1].ids
    assert np.array_equal(CocoPanoptic(tmp_path, "a").load_map(0).ids, expected)
    Image.open(path).convert("RGBA").save(path)
    assert np.array_equal(CocoPanoptic(tmp_path, "a").load_map(0).ids, expected)


def test_splits_by_short_name(folder: Path) -> None:
    assert available_splits(folder) == ["val2017"]
    assert CocoPanoptic(folder, "val").split == "val2017"
    assert open_dataset(folder, "val").split == "val2017"
    with pytest.raises(UserError, match="no split 'train': choose one of val2017"):
        CocoPanoptic(folder, "train")
    write_coco_panoptic(SCENES, folder, "val2014", [0])
    with pytest.raises(UserError, match="several splits for 'val': choose one of val2014, val2017"):
        CocoPanoptic(folder, "val")


def test_images_folder_and_absent_images(folder: Path) -> None:
    (folder / "images").mkdir()
    (folder / "val2017").rename(folder / "images" / "val2017")
    assert np.array_equal(CocoPanoptic(folder, "val").load(1)[0], SCENES.load(1)[0])
    (folder / "images" / "val2017").rename(folder / "elsewhere")
    with pytest.raises(UserError, match="images are missing"):
        CocoPanoptic(folder, "val")
    maps_only = CocoPanoptic(folder, "val", need_images=False)
    assert np.array_equal(maps_only.load_map(2).ids, SCENES.load(2)[1].ids)


def test_area_and_bbox_of_the_json_are_ignored(folder: Path) -> None:
    def strip(data: dict) -> None:
        for annotation in data["annotations"]:
            for segment in annotation["segments_info"]:
                segment.pop("bbox")
                segment["area"] = -7

    edit(folder, strip)
    assert CocoPanoptic(folder, "val").load(0)[1].segments == SCENES.load(0)[1].segments


def test_a_split_without_segments_warns_and_works(folder: Path) -> None:
    for index in range(3):
        Image.fromarray(np.zeros((48, 64, 3), np.uint8)).save(png(folder, index))

    def clear(data: dict) -> None:
        for annotation in data["annotations"]:
            annotation["segments_info"] = []

    path = edit(folder, clear)
    with pytest.warns(UserWarning, match=f"{path} has 3 images and no segment"):
        dataset = CocoPanoptic(folder, "val")
    assert dataset.load(0)[1].segments == ()
    assert not dataset.load(0)[1].ids.any()


def first_segment(data: dict) -> dict:
    return data["annotations"][0]["segments_info"][0]


def as_detection(data: dict) -> None:
    data["annotations"] = [{"id": 1, "image_id": 1, "category_id": 1, "segmentation": [], "bbox": [0, 0, 1, 1]}]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda d: {"images": []}, "not COCO-panoptic: it lacks the list 'annotations'"),
        (lambda d: [1, 2], "not COCO-panoptic: it lacks the list 'images'"),
        (lambda d: d.update(images=[3]), "entry 0 of 'images' is not an object"),
        (as_detection, "detection JSON"),
        (lambda d: d["annotations"][1].pop("segments_info") and None, "entry 1 of 'annotations' lacks .*segments_info"),
        (lambda d: first_segment(d).update(id=0), "segment with id 0: 0 means void"),
        (lambda d: first_segment(d).update(id=2**24), "id 16777216: ids are whole numbers from 1 to 16777215"),
        (lambda d: first_segment(d).update(id="7"), "id '7': ids are whole numbers"),
        (lambda d: first_segment(d).update(category_id=99), "category_id 99, which 'categories' does not list"),
        (lambda d: d["annotations"].pop() and None, r"image 'scene_train_000002.png' \(id 3\) has no annotation"),
        (lambda d: d["annotations"].append(d["annotations"][0]), "two annotations for one image_id"),
        (lambda d: d["images"].append(d["images"][0]), "lists an image id twice"),
        (lambda d: d["images"].pop() and None, "annotates image_id 3, which 'images' does not list"),
        (
            lambda d: d["annotations"][0]["segments_info"].append(first_segment(d)),
            "annotation 'scene_train_000000.png' uses a segment id twice",
        ),
        (lambda d: d["categories"][0].pop("isthing") and None, "category number 0 lacks the field 'isthing'"),
        (lambda d: d["images"][1].update(file_name="gone.jpg"), r"gone.jpg does not exist \(1 of the 3 files"),
        (lambda d: d["annotations"][1].update(file_name="gone.png"), r"gone.png does not exist \(1 of the 3 files"),
    ],
)
def test_faults_of_the_json_are_told_at_opening(folder: Path, change, message: str) -> None:
    path = edit(folder, change)
    with pytest.raises(UserError, match=message) as caught:
        CocoPanoptic(folder, "val")
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_missing_folders_and_broken_json(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"nowhere does not exist"):
        open_dataset(tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match=r"holds no annotations/panoptic_<split>.json"):
        open_dataset(tmp_path / "empty")
    (folder / "annotations" / "panoptic_val2017.json").write_text("{")
    with pytest.raises(UserError, match="not valid JSON"):
        CocoPanoptic(folder, "val")


def test_missing_png_folder(folder: Path) -> None:
    png(folder).parent.rename(folder / "moved")
    with pytest.raises(UserError, match=r"PNGs are missing: neither .*panoptic_val2017 nor"):
        CocoPanoptic(folder, "val2017")
    with pytest.raises(UserError, match="with a folder panoptic_<split> of PNGs"):
        CocoPanoptic(folder, "val")


def test_pixels_that_the_json_lacks(folder: Path) -> None:
    ids = SCENES.load(0)[1].ids.copy()
    ids[3, :5] = 77777
    Image.fromarray(ids_to_rgb(ids)).save(png(folder))
    dataset = CocoPanoptic(folder, "val")
    with pytest.raises(UserError, match=r"has 5 pixels of id 77777, which .*_val2017.json does not list") as caught:
        dataset.load(0)
    assert str(png(folder)) in str(caught.value)
    dataset.load(1)


def test_segment_that_the_png_lacks(folder: Path) -> None:
    edit(folder, lambda d: d["annotations"][0]["segments_info"].append({"id": 4321, "category_id": 1}))
    with pytest.raises(UserError, match="has no pixel of segment 4321"):
        CocoPanoptic(folder, "val").load(0)


def test_files_that_do_not_decode(folder: Path) -> None:
    image = folder / "val2017" / SCENES.name_of(0)
    whole = image.read_bytes()
    dataset = CocoPanoptic(folder, "val")
    image.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(UserError, match="does not decode") as caught:
        dataset.load(0)
    assert str(image) in str(caught.value)
    image.write_bytes(b"no image")
    with pytest.raises(UserError, match="not a readable image"):
        dataset.load(0)
    image.unlink()
    with pytest.raises(UserError, match="does not exist"):
        dataset.load(0)
    Image.fromarray(np.zeros((48, 64), np.uint16)).save(image)
    with pytest.raises(UserError, match="1 band of 16 bits, and which values become"):
        dataset.load(0)
    image.write_bytes(whole)
    part = png(folder).read_bytes()
    png(folder).write_bytes(part[: len(part) // 2])
    with pytest.raises(UserError, match="does not decode"):
        dataset.load(0)
    Image.fromarray(np.zeros((48, 64), np.uint8)).save(png(folder))
    with pytest.raises(UserError, match="8-bit grey, but this label needs 8-bit RGB"):
        dataset.load(0)


def test_sizes_that_differ(folder: Path) -> None:
    image = folder / "val2017" / SCENES.name_of(0)
    Image.fromarray(np.zeros((48, 65, 3), np.uint8)).save(image)
    with pytest.raises(UserError, match="is 65x48 pixels but its label is 64x48: make both the same size"):
        CocoPanoptic(folder, "val").load(0)
    Image.fromarray(np.zeros((64, 48, 3), np.uint8)).save(image)
    with pytest.raises(UserError, match="EXIF"):
        CocoPanoptic(folder, "val").load(0)


def test_grey_and_cmyk_images_become_rgb(folder: Path) -> None:
    for mode in ("L", "CMYK", "P", "RGBA"):
        image = folder / "val2017" / SCENES.name_of(0)
        Image.new("RGB", (64, 48), (102, 102, 102)).convert(mode).save(image, format="TIFF")
        pixels = CocoPanoptic(folder, "val").load(0)[0]
        assert pixels.shape == (48, 64, 3)
        assert np.abs(pixels.astype(int) - 102).max() <= 1


def test_open_generated_scenes() -> None:
    assert len(open_dataset("scenes:7")) == 7
    assert open_dataset("scenes:7", "val").split == "val"
    with pytest.raises(UserError, match="scenes:N"):
        open_dataset("scenes:many")


def naive_rows(panoptic: PanopticMap) -> dict[int, tuple[int, list[int]]]:
    rows = {}
    for segment in panoptic.segments:
        ys, xs = np.nonzero(panoptic.ids == segment.id)
        box = [xs.min(), ys.min(), xs.max() - xs.min() + 1, ys.max() - ys.min() + 1]
        rows[segment.id] = (len(ys), [int(v) for v in box])
    return rows


def test_areas_and_boxes_are_counted() -> None:
    for index in range(3):
        panoptic = SCENES.load(index)[1]
        rows = segments_info(panoptic, SCENES.taxonomy)
        assert {row["id"]: (row["area"], row["bbox"]) for row in rows} == naive_rows(panoptic)


def test_writer_options(tmp_path: Path) -> None:
    write_coco_panoptic(SCENES, tmp_path, "some", [2, 0], image_format="jpg")
    dataset = CocoPanoptic(tmp_path, "some")
    assert [dataset.name_of(k) for k in range(2)] == ["scene_train_000002.jpg", "scene_train_000000.jpg"]
    image, panoptic = dataset.load(0)
    assert np.abs(image.astype(int) - SCENES.load(2)[0]).mean() < 12
    assert np.array_equal(panoptic.ids, SCENES.load(2)[1].ids)
    assert not list(tmp_path.rglob("*.part"))
    with pytest.raises(UserError, match="exists already"):
        write_coco_panoptic(SCENES, tmp_path, "some")
    with pytest.raises(UserError, match="choose png or jpg"):
        write_coco_panoptic(SCENES, tmp_path, "other", image_format="gif")
    with pytest.raises(UserError, match=r"the ids .* and .* would both be written as"):
        write_coco_panoptic(SCENES, tmp_path, "other", [1, 1])
    assert available_splits(tmp_path) == ["some"]  # the failed split has no JSON


def test_facades(real_data: Path) -> None:
    assert available_splits(real_data / "facades") == ["train", "val"]
    for split, count in (("train", 200), ("val", 40)):
        dataset = open_dataset(real_data / "facades", split)
        assert len(dataset) == count
        assert dataset.taxonomy.num_classes == 10
        assert len(dataset.taxonomy.thing_indices) == 5
        for index in range(0, count, 20):
            image, panoptic = dataset.load(index)
            assert image.shape == (1024, 1024, 3)
            assert len(panoptic.segments) > 0


def test_official_coco_sample(real_data: Path) -> None:
    """Areas and boxes of the official JSON are those of its pixels, and ours."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        dataset = open_dataset(real_data / "coco_sample", "val")
    assert dataset.taxonomy.num_classes == 133
    official = json.loads((real_data / "coco_sample" / "annotations" / "panoptic_val2017.json").read_text())
    crowds = 0
    for index in range(len(dataset)):
        _, panoptic = dataset.load(index)
        annotation = next(a for a in official["annotations"] if a["image_id"] == dataset.image_id(index))
        ours = {row["id"]: row for row in segments_info(panoptic, dataset.taxonomy)}
        for row in annotation["segments_info"]:
            mine = ours.pop(row["id"])
            assert {key: mine[key] for key in ("category_id", "iscrowd", "area", "bbox")} == {
                key: row[key] for key in ("category_id", "iscrowd", "area", "bbox")
            }
            crowds += row["iscrowd"]
        assert not ours
    assert crowds > 0


FAULTS = {
    "file name that is a number": (lambda d: d["images"][0].update(file_name=7), "file_name 7"),
    "path out of the folder": (lambda d: d["images"][0].update(file_name="../../x.jpg"), "leads out"),
    "absolute path": (lambda d: d["annotations"][0].update(file_name="/etc/x.png"), "leads out"),
    "image id that is a list": (lambda d: d["images"][0].update(id=[1]), r"id \[1\]"),
    "segments that are a number": (lambda d: d["annotations"][0].update(segments_info=3), "segments_info"),
    "segment that is a text": (lambda d: d["annotations"][0].update(segments_info=["a"]), "segments_info"),
    "segment id true": (lambda d: d["annotations"][0]["segments_info"][0].update(id=True), "id True"),
    "category as text": (lambda d: d["annotations"][0]["segments_info"][0].update(category_id="1"), "category_id '1'"),
    "crowd as text": (lambda d: d["annotations"][0]["segments_info"][0].update(iscrowd="no"), "iscrowd 'no'"),
    "category that is a text": (lambda d: d["categories"].append("cat"), "not an object"),
    "category id as text": (lambda d: d["categories"][0].update(id="1"), "id '1'"),
    "isthing as word": (lambda d: d["categories"][0].update(isthing="yes"), "isthing 'yes'"),
    "colour of two numbers": (lambda d: d["categories"][0].update(color=[1, 2]), "color"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_mistyped_fields_are_named(tmp_path, name):
    write_coco_panoptic(Scenes(1, size=(33, 33)), tmp_path, "val")
    path = tmp_path / "annotations" / "panoptic_val.json"
    data = json.loads(path.read_text())
    change, message = FAULTS[name]
    change(data)
    path.write_text(json.dumps(data))
    with pytest.raises(UserError, match=message):
        CocoPanoptic(tmp_path, "val")


def test_crowd_as_text_counts_as_what_it_says(tmp_path):
    write_coco_panoptic(Scenes(1, size=(33, 33)), tmp_path, "val")
    path = tmp_path / "annotations" / "panoptic_val.json"
    data = json.loads(path.read_text())
    for segment, crowd in zip(data["annotations"][0]["segments_info"], ("0", "1"), strict=False):
        segment["iscrowd"] = crowd
    path.write_text(json.dumps(data))
    segments = CocoPanoptic(tmp_path, "val").load(0)[1].segments
    assert [segment.is_crowd for segment in segments[:2]] == [False, True]
