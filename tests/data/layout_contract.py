"""What every layout must do; the test of a new one is a subclass with ``name``, ``classes`` and ``write``."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pantile.contracts.panoptic import PanopticMap
from pantile.data.augment import AugmentConfig
from pantile.data.coco_panoptic import CocoPanoptic
from pantile.data.dataset import PanopticDataset, open_dataset
from pantile.data.layouts import LAYOUTS, layout_of
from pantile.data.training_samples import TrainingSamples
from pantile.data.write_coco import write_coco_panoptic
from pantile.labels import ConvertOptions, convert


class LayoutContract:
    """
    Attributes:
        name: in ``LAYOUTS``.
        classes: of the data set.
    """

    name: str
    classes: int

    def write(self, root: Path) -> None:
        """A validation split of one image of at least 40 x 60 pixels with a thing, and no other split."""
        raise NotImplementedError

    @pytest.fixture
    def dataset(self, tmp_path: Path) -> PanopticDataset:
        self.write(tmp_path)
        return open_dataset(tmp_path, "val")

    def test_it_is_the_only_layout_that_fits(self, dataset, tmp_path):
        assert [name for name, layout in LAYOUTS.items() if layout.fits(tmp_path)] == [self.name]
        assert (len(dataset), dataset.taxonomy.num_classes) == (1, self.classes)
        assert list(LAYOUTS[self.name].splits(tmp_path)) == ["val"]

    def test_it_trains(self, dataset):
        sample = TrainingSamples(dataset, AugmentConfig(crop=(33, 65)))[0, 0]
        assert sample.ids.shape == (33, 65)
        assert len(sample.classes) > 0

    def test_it_is_a_source_of_conversions(self, dataset, tmp_path):
        convert(tmp_path, tmp_path / "out", ConvertOptions(self.name))
        assert_same(dataset, CocoPanoptic(tmp_path / "out", "val"))

    def test_its_conversion_lies_beside_it_and_comes_first(self, dataset, tmp_path):
        write_coco_panoptic(dataset, tmp_path, "val")
        assert layout_of(tmp_path) == "coco-panoptic"
        assert_same(dataset, open_dataset(tmp_path, "val"))

    def test_image_path_is_the_file_that_is_loaded(self, dataset):
        path = dataset.image_path(0)
        assert path.is_file() and path.name == Path(dataset.name_of(0)).name
        assert np.array_equal(np.asarray(Image.open(path).convert("RGB")), dataset.load_image(0))


def assert_same(dataset: PanopticDataset, converted: PanopticDataset) -> None:
    assert converted.taxonomy == dataset.taxonomy
    (image, before), (copy, after) = dataset.load(0), converted.load(0)
    assert np.array_equal(image, copy)
    assert np.array_equal(before.ids, after.ids)
    assert _by_id(before) == _by_id(after)


def _by_id(panoptic: PanopticMap) -> list:
    return sorted(panoptic.segments, key=lambda segment: segment.id)
