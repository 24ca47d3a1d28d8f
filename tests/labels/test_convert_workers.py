"""What several processes write is what one writes, to the byte, and so is what they report."""

from pathlib import Path

import numpy as np
import pytest

from labels.tiny_labels import MapData, photo, random_map, write_json
from pantile.contracts.errors import UserError
from pantile.data import write_coco_panoptic
from pantile.labels import WRITERS, ConvertOptions, Report, convert
from pantile.labels.collected_rows import CollectedRows
from pantile.labels.photo_survey import CHUNK

MANY = CHUNK + 3


@pytest.fixture(scope="module")
def source(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("source")
    write_coco_panoptic(MapData([random_map(seed) for seed in range(MANY)]), root, "train")
    return root


def files(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


@pytest.mark.parametrize("target", ["coco-panoptic", "coco-instances"])
def test_any_number_of_workers_writes_the_same(source, tmp_path, target):
    assert issubclass(WRITERS[target], CollectedRows)
    reports = []
    for workers in (1, 2):
        options = ConvertOptions("coco-panoptic", target, gap="grass", workers=workers)
        reports.append(convert(source, tmp_path / str(workers), options))
    one, two = (files(tmp_path / name) for name in ("1", "2"))
    assert one == two and len(one) > MANY
    assert isinstance(reports[1], Report) and reports[0] == reports[1]


def test_a_fault_that_a_worker_finds_leaves_nothing(tmp_path):
    names = [f"{k}.png" for k in range(MANY)]
    for name in names:
        photo(tmp_path / "src" / "train" / name)
    images = [{"id": k, "file_name": name, "height": 8, "width": 10} for k, name in enumerate(names)]
    square = [[1, 1, 4, 1, 4, 4, 1, 4]]
    rows = [{"id": k, "image_id": MANY - 2, "category_id": 1, "segmentation": square} for k in range(2)]
    data = {"images": images, "annotations": rows, "categories": [{"id": 1, "name": "cat"}]}
    write_json(data, tmp_path / "src" / "annotations" / "instances_train.json")
    with pytest.raises(UserError, match=r"annotation 0 \(cat\) and annotation 1 \(cat\) overlap in 9 pixels"):
        convert(tmp_path / "src", tmp_path / "dst", ConvertOptions("coco-instances", workers=2))
    assert [path.name for path in tmp_path.iterdir()] == ["src"]
    (tmp_path / "src" / "train" / names[3]).write_bytes(b"no photo")
    with pytest.raises(UserError, match="1 of the 11 photos cannot be read"):
        convert(tmp_path / "src", tmp_path / "dst", ConvertOptions("coco-instances", workers=2))


def test_reports_add_up_in_order():
    data = [MapData([random_map(seed)]) for seed in (1, 2)]
    first, second = Report(data[0].taxonomy), Report(data[0].taxonomy)
    first.lose("cat", "x", 1, 2)
    second.lose("cat", "x", 3, 4)
    second.first_dropped["cat", "y"] = "there"
    second.count_crowd("train", data[1].maps[0])
    first.add(second)
    assert first.lost == {("cat", "x"): [4, 6]} and first.first_dropped == {("cat", "y"): "there"}
    assert first.crowd["train"].regions == second.crowd["train"].regions
    assert np.sum(list(first.crowd["train"].pixels.values())) > 0
