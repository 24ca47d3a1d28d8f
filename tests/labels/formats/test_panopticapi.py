"""What panopticapi publishes and its converters write, where these lie there."""

from pathlib import Path

import numpy as np
import pytest

from labels.tiny_labels import meaning, photo, result, run, save, write_json
from pantile.contracts.errors import UserError
from pantile.contracts.panoptic import ids_to_rgb
from pantile.data import CocoPanoptic, available_splits, open_dataset
from pantile.labels.checks.check import check
from pantile.labels.recognition import AUTO, recognise

NAME = "000000142238"
CLASSES = np.array([[1, 1, 0], [1, 2, 2]])
IDS = np.array([[5, 5, 0], [70_000, 9, 9]], dtype=np.int32)
CATEGORIES = [
    {"id": 1, "name": "person", "isthing": 1, "color": [220, 20, 60], "supercategory": "person"},
    {"id": 2, "name": "sky", "isthing": 0, "color": [1, 2, 3], "supercategory": "sky"},
]
SEGMENTS = [{"id": 5, "category_id": 1}, {"id": 70_000, "category_id": 1, "iscrowd": 1}, {"id": 9, "category_id": 2}]
WANTED = {("person", False, (0, 1)), ("person", True, (3,)), ("sky", False, (4, 5))}


def write_panoptic(json_path: Path) -> Path:
    """A JSON and its PNGs in the folder of its name, as all converters put them."""
    images = [{"id": 142238, "file_name": f"{NAME}.jpg", "height": 2, "width": 3}]
    annotations = [{"image_id": 142238, "file_name": f"{NAME}.png", "segments_info": SEGMENTS}]
    write_json({"images": images, "annotations": annotations, "categories": CATEGORIES}, json_path)
    save(ids_to_rgb(IDS), json_path.with_suffix("") / f"{NAME}.png")
    return json_path


@pytest.fixture
def published(tmp_path: Path) -> Path:
    """As ``sample_data``."""
    root = tmp_path / "sample_data"
    write_panoptic(root / "panoptic_examples.json")
    photo(root / "input_images" / f"{NAME}.jpg", (2, 3))
    return root


def test_the_sample_is_converted_as_it_is(published, tmp_path):
    report = run(published, tmp_path / "dst", AUTO)
    assert result(tmp_path / "dst", "examples") == WANTED and not report.left_out
    assert [seen.name for seen in recognise(published)] == ["coco-panoptic"]


def test_the_sample_is_a_data_set(published):
    assert available_splits(published) == ["examples"]
    data = open_dataset(published, "examples")
    assert meaning(data.load(0)[1], data.taxonomy) == WANTED
    assert check(published).images["examples"][0].file == f"input_images/{NAME}.jpg"


def test_a_json_is_a_source_with_its_pngs_beside_and_photos_anywhere(published, tmp_path):
    path = write_panoptic(tmp_path / "converted_data" / "from_2ch.json")
    run(path, tmp_path / "dst", AUTO, images=published / "input_images")
    assert result(tmp_path / "dst", "from_2ch") == WANTED
    run(published / "panoptic_examples.json", tmp_path / "val", "coco-panoptic", splits=("val",))
    assert result(tmp_path / "val", "val") == WANTED


def test_a_json_in_annotations_has_its_photos_beside_that_folder(tmp_path):
    path = write_panoptic(tmp_path / "coco" / "annotations" / "panoptic_val2017.json")
    photo(tmp_path / "coco" / "val2017" / f"{NAME}.jpg", (2, 3))
    run(path, tmp_path / "dst", AUTO)
    assert result(tmp_path / "dst", "val2017") == WANTED
    with pytest.raises(UserError, match="no split 'train': choose one of val2017"):
        open_dataset(path, "train")


def test_what_is_missing_beside_a_json_is_named(published, tmp_path):
    path = published / "panoptic_examples.json"
    with pytest.raises(UserError, match="is one JSON: give one name"):
        run(path, tmp_path / "dst", "coco-panoptic", splits=("train", "val"))
    with pytest.raises(UserError, match="elsewhere is a folder"):
        run(path, tmp_path / "dst", "coco-panoptic", images=tmp_path / "elsewhere")
    (published / "panoptic_examples").rename(tmp_path / "gone")
    with pytest.raises(UserError, match=r"The PNGs are missing: neither .*panoptic_examples"):
        run(path, tmp_path / "dst", "coco-panoptic")


@pytest.mark.parametrize(
    ("source", "pixels", "wanted"),
    [
        ("two-channel", np.stack([CLASSES, [[3, 3, 0], [255, 0, 0]], 0 * CLASSES], -1), WANTED),
        ("semantic", CLASSES, {("person", True, (0, 1, 3)), ("sky", False, (4, 5))}),
    ],
)
def test_a_folder_of_pngs_is_a_source(published, tmp_path, source, pixels, wanted):
    """As ``panoptic_examples_2ch_format``, with the categories of ``images_info_examples.json``."""
    save(pixels.astype(np.uint8), tmp_path / "pngs" / f"{NAME}.png")
    classes = write_json({"images": [], "categories": CATEGORIES}, tmp_path / "images_info_examples.json")
    run(tmp_path / "pngs", tmp_path / "dst", source, images=published / "input_images", classes=classes)
    assert result(tmp_path / "dst") == wanted


def test_coco_sample_in_all_forms_that_panopticapi_wrote(real_data, tmp_path):
    """Its 2-channel PNGs as they were published, and its panoptic JSON, photos elsewhere."""
    sample, root = real_data / "coco_sample", tmp_path / "sample_data"
    root.mkdir()
    for end in (".json", ""):
        (root / f"panoptic_examples{end}").symlink_to(sample / "annotations" / f"panoptic_val2017{end}")
    (root / "input_images").symlink_to(sample / "val2017")
    info = sample / "annotations" / "images_info_examples.json"
    pngs = sample / "annotations" / "panoptic_2ch"
    run(root, tmp_path / "panoptic", AUTO)
    run(pngs, tmp_path / "two", "two-channel", images=root / "input_images", classes=info)
    wanted = CocoPanoptic(sample, "val")
    for data in (CocoPanoptic(tmp_path / "panoptic", "examples"), CocoPanoptic(tmp_path / "two", "train")):
        assert len(data) == len(wanted) == 2
        for k in range(2):
            assert meaning(data.load_map(k), data.taxonomy) == meaning(wanted.load_map(k), wanted.taxonomy)
