"""Vectors of segments: a plain loop's means, itself as the nearest, and classes that look alike beside each other."""

import numpy as np
import pytest
import torch

from color_blocks import ColorBlocks, random_network
from pantile.contracts.outputs import CenterOutput, MaskOutput, SemanticOutput
from pantile.contracts.panoptic import PanopticMap, Segment
from pantile.contracts.placement import Placement
from pantile.inference import segment_embeddings
from pantile.inference.segment_embeddings import EmbeddedSegments, embed_segments, mean_features, pixel_features


def test_the_mean_is_that_of_a_loop_over_pixels():
    draw = np.random.default_rng(0)
    ids = draw.integers(0, 4, (10, 14)).astype(np.int32)
    placement = Placement(padded=(24, 32), content=(20, 28), original=(10, 14))
    features = torch.from_numpy(draw.normal(size=(5, 6, 8)).astype(np.float32))
    found = mean_features(features, PanopticMap(ids, ()), [3, 1], placement)
    for own, row in zip((3, 1), found, strict=True):
        total = np.zeros(5)
        for y, x in zip(*np.nonzero(ids == own), strict=True):
            inside = (y + 0.5) * 2, (x + 0.5) * 2  # in the input, whose cells are 4 pixels
            total += features[:, int(inside[0] // 4), int(inside[1] // 4)].numpy()
        np.testing.assert_allclose(row, total / np.linalg.norm(total), rtol=1e-5, atol=1e-6)


@pytest.fixture(scope="module")
def training() -> EmbeddedSegments:
    return embed_segments(random_network(), ColorBlocks(20, seed=1), range(20))


def test_a_segment_of_the_same_image_is_its_own_nearest(training):
    rows, cosines = training.nearest(training.vectors, 2)
    assert rows[:, 0].tolist() == list(range(60)) and training.vectors.dtype == np.float16
    np.testing.assert_allclose(cosines[:, 0], 1, atol=2e-3)
    assert (cosines[:, 1] <= cosines[:, 0]).all()


def test_neighbours_of_other_images_have_the_class(training):
    unseen = embed_segments(random_network(), ColorBlocks(10, seed=2), range(10))
    rows, _ = training.nearest(unseen.vectors, 3)
    same = (training.classes[rows] == unseen.classes[:, None]).mean()
    assert same > 0.9  # 1 / 4 by chance


def test_parts_are_compared_as_the_whole_is(training, monkeypatch):
    whole = training.nearest(training.vectors[:7], 5)
    monkeypatch.setattr(segment_embeddings, "CHUNK", 11)
    parts = training.nearest(training.vectors[:7], 5)
    assert np.array_equal(parts[0], whole[0])
    np.testing.assert_allclose(parts[1], whole[1], rtol=1e-6)
    assert training.nearest(training.vectors[:2], 100)[0].shape == (2, 60)


def test_every_kind_of_output_has_features():
    maps = torch.randn(1, 6, 4, 4)
    mask = MaskOutput(torch.zeros(1, 2, 3), torch.zeros(1, 2, 4, 4), torch.zeros(1, 2, 6), maps, maps)
    center = CenterOutput(maps[:, :3], maps[:, :1], maps[:, :2], semantic_feature=maps)
    pixel = SemanticOutput(maps[:, :3], maps, torch.zeros(1, 3, 6), 3)
    assert all(pixel_features(output) is maps for output in (mask, center, pixel))


def test_crowd_and_images_without_segments_are_left_out():
    class Odd(ColorBlocks):
        def load(self, index: int) -> tuple[np.ndarray, PanopticMap]:
            image, panoptic = super().load(index)
            first, *rest = panoptic.segments
            crowd = Segment(first.id, first.class_index, is_crowd=True)
            return image, PanopticMap(panoptic.ids, () if index == 0 else (crowd, *rest))

    found = embed_segments(random_network(), Odd(2, seed=1), range(2))
    assert found.ids.tolist() == [3, 9] and found.images.tolist() == [1, 1]
    assert len(embed_segments(random_network(), Odd(1, seed=1), range(1))) == 0
