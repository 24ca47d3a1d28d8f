"""Data sets as Python sequences, whichever reader gives them."""

from pathlib import Path

import numpy as np
import pytest
from official_folders import write_cityscapes

from pantile.data import CocoPanoptic, PanopticDataset, Scenes, Subset, open_dataset, write_coco_panoptic
from pantile.data.samples import Samples


@pytest.fixture(scope="module")
def datasets(tmp_path_factory) -> dict[str, PanopticDataset]:
    root, scenes = tmp_path_factory.mktemp("data"), Scenes(4, size=(33, 33))
    write_coco_panoptic(scenes, root / "coco", "train")
    cities = {f"aachen_{k}": np.full((8, 9), 7 + k, np.int32) for k in range(4)}
    write_cityscapes(root / "cities", "train", cities)
    return {
        "scenes": scenes,
        "coco": CocoPanoptic(root / "coco", "train"),
        "cityscapes": open_dataset(root / "cities", "train"),
        "subset": Subset(scenes, [3, 1, 0, 2]),
    }


@pytest.mark.parametrize("name", ["scenes", "coco", "cityscapes", "subset"])
def test_length_index_slice_and_iteration(datasets, name):
    dataset = datasets[name]
    loaded = [dataset.load(index) for index in range(len(dataset))]
    seen = list(dataset)
    assert len(seen) == len(dataset) == 4
    for sample, (image, panoptic) in zip(seen, loaded, strict=True):
        assert np.array_equal(sample.image, image)
        assert np.array_equal(sample.panoptic.ids, panoptic.ids) and sample.panoptic.segments == panoptic.segments
    image, panoptic = dataset[-1]
    assert np.array_equal(image, loaded[3][0]) and np.array_equal(panoptic.ids, loaded[3][1].ids)
    assert np.array_equal(dataset[np.int64(2)].image, loaded[2][0])
    part = dataset[1::2]
    assert (len(part), part.name_of(1), part.image_id(0)) == (2, dataset.name_of(3), dataset.image_id(1))
    assert np.array_equal(part[0].image, loaded[1][0])
    for index in (4, -5):
        with pytest.raises(IndexError, match="data set of 4"):
            dataset[index]
    with pytest.raises(TypeError):
        dataset["0"]


def test_iteration_reads_one_sample_at_a_time(monkeypatch):
    read = []
    monkeypatch.setattr(Scenes, "load", lambda self, index: read.append(index) or (None, None))
    samples = iter(Scenes(1000))
    next(samples), next(samples)
    assert read == [0, 1]


def test_every_reader_is_such_a_sequence():
    """A new reader that has ``load_map`` or ``load`` of its own derives from ``Samples``."""
    import ast

    import pantile.data

    for path in Path(pantile.data.__file__).parent.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ClassDef) and node.name not in ("PanopticDataset", "Samples"):
                methods = {item.name for item in node.body if isinstance(item, ast.FunctionDef)}
                if methods & {"load", "load_map"}:
                    module = __import__(f"pantile.data.{path.stem}", fromlist=[node.name])
                    assert issubclass(getattr(module, node.name), Samples), node.name
