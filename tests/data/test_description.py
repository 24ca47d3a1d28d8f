"""dataset.yaml: what it says is what a data set has, and every mistake in it is one sentence."""

from pathlib import Path

import numpy as np
import pytest
from described_folder import YAML, save, write_described

from pantile.contracts.errors import UserError
from pantile.contracts.panoptic import Segment
from pantile.data.dataset import open_dataset
from pantile.data.description import described_splits, read_description

CLASSES = np.array([[1, 1, 1, 2], [1, 0, 255, 2]])
NUMBERS = np.array([[7, 7, 0, 9], [300, 5, 5, 0]])


def test_reads_classes_and_numbers(tmp_path: Path) -> None:
    dataset = open_dataset(write_described(tmp_path, "train", {"a": (CLASSES, NUMBERS), "b": (CLASSES, NUMBERS)}))
    assert [(c.name, c.is_thing, c.id) for c in dataset.taxonomy.classes] == [("window", True, 1), ("wall", False, 2)]
    assert dataset.taxonomy.classes[0].color == (70, 200, 230)
    image, panoptic = dataset.load(0)
    assert (len(dataset), dataset.name_of(1), dataset.image_id(1), image.shape) == (2, "b.png", "b", (2, 4, 3))
    assert panoptic.ids.tolist() == [[2, 2, 1, 4], [3, 0, 0, 4]]  # crowd, 7, 300, wall
    assert panoptic.segments == (Segment(1, 0, True), Segment(2, 0), Segment(3, 0), Segment(4, 1))
    assert described_splits(tmp_path) == ["train"]


def test_class_ids_may_take_the_void_values(tmp_path: Path) -> None:
    text = "classes:\n  - {name: a, thing: false, id: 0}\n  - {name: b, thing: false, id: 255}\n"
    dataset = open_dataset(write_described(tmp_path, "train", {"a": (np.array([[0, 255]]), None)}, text))
    _, panoptic = dataset.load(0)
    assert panoptic.ids.tolist() == [[1, 2]]
    assert panoptic.segments == (Segment(1, 0), Segment(2, 1))


def test_without_instances_things_are_crowd_and_a_warning_says_so(tmp_path: Path) -> None:
    write_described(tmp_path, "train", {"a": (CLASSES, None)})
    with pytest.warns(UserWarning, match="instances/train does not exist, so every region"):
        dataset = open_dataset(tmp_path)
    assert dataset.load(0)[1].segments == (Segment(1, 0, True), Segment(2, 1))


def test_channels(tmp_path: Path) -> None:
    text = YAML + "channels: 1\nmean: [100]\nstd: [50.5]\n"
    write_described(tmp_path, "train", {"a": (CLASSES, NUMBERS)}, text)
    dataset = open_dataset(tmp_path)
    assert (dataset.description.channels, dataset.description.mean, dataset.description.std) == (1, (100,), (50.5,))
    with pytest.raises(UserError, match=r"has colour mode 'RGB', but 1 channel"):
        dataset.load(0)
    grey = np.arange(8, dtype=np.uint8).reshape(2, 4)
    save(grey, tmp_path / "images" / "train" / "a.png")
    assert np.array_equal(dataset.load(0)[0], grey[..., None])


def test_mean_and_std_may_be_absent(tmp_path: Path) -> None:
    (tmp_path / "dataset.yaml").write_text(YAML)
    description = read_description(tmp_path / "dataset.yaml")
    assert description.mean is None and description.std is None and description.channels == 3


WRONG = {
    "": "the file is None, but it should be",
    "classes: [": "is not valid YAML",
    "classes: []": "classes is [], but",
    "classes: [{name: a}]": "the field classes[0].thing is missing",
    "classes: [{name: a, thing: 1}]": "classes[0].thing is 1, but it should be a valid boolean",
    "classes: [{name: a, thing: true, id: 256}]": "classes[0].id is 256, but it should be less than or equal to 255",
    "classes: [{name: a, thing: true, id: 1}, {name: b, thing: true}]": "the class 'b' lacks an id",
    "classes: [{name: a, thing: true}, {name: a, thing: true}]": "uses the category name 'a' twice",
    "classes: [{name: a, thing: true, colour: [1, 2, 3]}]": "the field classes[0].colour is not known",
    "classes: [{name: a, thing: true, color: [1, 2]}]": "classes[0].color is [1, 2], but",
    YAML + "channels: 0": "channels is 0, but it should be greater than or equal to 1",
    YAML + "bands: [1, 2]\nchannels: 3": "bands names 2, but channels is 3",
    YAML + "bands: [0, 1, 2]": "bands is [0, 1, 2]: give numbers from 1",
    YAML + "pages: [0]": "pages is [0]: give numbers from 1",
    YAML + "range: [3, 3]": "range is [3.0, 3.0]: give [low, high] with low below high",
    YAML + "range: [[0, 1], [0, 2]]": "range has 2 pairs, but there are 3 bands",
    YAML + "range: [0, .nan]": "range[1] is nan, but",
    YAML + "mean: [1, 2]": "mean has 2 values, but channels is 3",
    YAML + "std: [1, 2, 0]": "std[2] is 0, but it should be greater than 0",
}


@pytest.mark.parametrize("text", WRONG)
def test_mistakes_are_one_sentence(tmp_path: Path, text: str) -> None:
    path = tmp_path / "dataset.yaml"
    path.write_text(text)
    with pytest.raises(UserError) as caught:
        read_description(path)
    message = str(caught.value)
    assert message.startswith(str(path)) and WRONG[text] in message and "\n" not in message


def test_wrong_files_are_one_sentence(tmp_path: Path) -> None:
    root = write_described(tmp_path, "train", {"a": (CLASSES, NUMBERS)})
    with pytest.raises(UserError, match="has no split 'val': choose one of train"):
        open_dataset(root, "val")
    semantic, instances = root / "semantic" / "train" / "a.png", root / "instances" / "train" / "a.png"
    save(np.full((2, 4), 9, dtype=np.uint8), semantic)
    with pytest.raises(UserError, match=r"has 8 pixels of value 9, which dataset.yaml does not list"):
        open_dataset(root).load(0)
    save(np.ones((2, 3), dtype=np.uint16), instances)
    with pytest.raises(UserError, match="is 4x2 pixels but its instance PNG is 3x2"):
        open_dataset(root).load(0)
    save(np.ones((2, 4), dtype=np.uint8), instances)
    with pytest.raises(UserError, match="this label needs 16-bit grey"):
        open_dataset(root).load(0)
    save(np.ones((2, 3), dtype=np.uint8), semantic)
    save(np.ones((2, 3), dtype=np.uint16), instances)
    with pytest.raises(UserError, match="is 4x2 pixels but its label is 3x2"):
        open_dataset(root).load(0)
    instances.unlink()
    with pytest.raises(UserError, match=r"instances/train/a.png does not exist"):
        open_dataset(root)
    semantic.rename(semantic.with_name("b.png"))
    with pytest.raises(UserError, match=r"semantic/train/a.png does not exist"):
        open_dataset(root)
    save(np.ones((2, 4), dtype=np.uint8), semantic)
    with pytest.raises(UserError, match=r"b.png has no image of that name in .*images/train"):
        open_dataset(root)
