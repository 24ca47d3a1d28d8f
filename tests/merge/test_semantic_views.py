"""Averages over views and over tiles of pixel classifiers whose views select different classes."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from class_maps import class_output, full_maps

from pantile.contracts.outputs import CenterOutput
from pantile.contracts.placement import Placement
from pantile.contracts.taxonomy import plain_taxonomy
from pantile.merge import SemanticMergeConfig, merge
from pantile.merge.area_limits import AreaLimits
from pantile.merge.class_evidence import class_evidence
from pantile.merge.stitching import TilePrediction, stitch
from pantile.merge.tile_layout import lay_tiles
from pantile.merge.views import View, average_views, corners_aligned

TAXONOMY = plain_taxonomy(["cat", "sky", "dog", "road", "wall", "bird"], things=["cat", "dog", "bird"])
K = len(TAXONOMY)
BOTH = frozenset({"panoptic", "semantic"})


def probabilities(output, name="class_logits"):
    """(B, K, h, w), 0 for a class without a channel."""
    maps = getattr(output, name).double().softmax(1)
    if output.classes is None:
        return maps
    full = maps.new_zeros(len(maps), K, *maps.shape[2:])
    for image, classes in enumerate(output.classes):
        full[image][classes] = maps[image]
    return full


@pytest.mark.parametrize(
    "selections",
    [
        (None, None, None),
        (torch.tensor([[3, 1], [0, 5]]), torch.tensor([[1, 4], [5, 0]]), torch.tensor([[3, 1], [2, 0]])),
        (torch.tensor([[3, 1], [0, 5]]), None, torch.tensor([[3, 1, 4], [2, 0, 1]])),
    ],
    ids=["all classes", "different classes", "some views of all classes"],
)
def test_the_mean_of_probabilities_is_over_the_union_of_the_classes(selections):
    first, *others = (class_output(2, selection=chosen, seed=seed) for seed, chosen in enumerate(selections))
    average = average_views(first, iter(View(o, False) for o in others))
    expected = sum(probabilities(o) for o in (first, *others)) / 3
    torch.testing.assert_close(probabilities(average), expected, atol=1e-6, rtol=1e-5)
    if average.classes is not None:
        assert (average.classes.diff(dim=1) > 0).all()
        assert set(average.classes.unique().tolist()) <= {k for s in selections for k in s.unique().tolist()}


def test_views_of_other_sizes_and_mirrored_lie_over_the_first():
    first = class_output(size=(8, 12), selection=torch.tensor([[2, 4, 0]]))
    mirror = replace(first, class_logits=first.class_logits.flip(-1))
    average = average_views(first, [View(mirror, True)], corners_aligned(first, 97))
    torch.testing.assert_close(probabilities(average), probabilities(first), atol=1e-6, rtol=1e-4)
    double = replace(first, class_logits=first.class_logits.repeat_interleave(2, 2).repeat_interleave(2, 3))
    average = average_views(first, [View(double, False)], corners_aligned(first, 97))
    torch.testing.assert_close(probabilities(average), probabilities(first), atol=1e-6, rtol=1e-4)


def test_presence_is_the_mean_of_probabilities():
    one, other = (replace(class_output(seed=s), presence_logits=torch.randn(1, K)) for s in range(2))
    expected = (one.presence_logits.sigmoid() + other.presence_logits.sigmoid()) / 2
    torch.testing.assert_close(average_views(one, [View(other, False)]).presence_logits.sigmoid(), expected)


def test_views_by_centres_may_select_different_classes():
    generator = torch.Generator().manual_seed(0)
    selections = (torch.tensor([[3, 1], [0, 5]]), torch.tensor([[1, 4], [5, 0]]))
    one, other = (
        CenterOutput(*(torch.randn(2, c, 5, 7, generator=generator) for c in (2, 1, 2)), K, chosen)
        for chosen in selections
    )
    average = average_views(one, [View(other, False)])
    expected = (probabilities(one, "semantic_logits") + probabilities(other, "semantic_logits")) / 2
    torch.testing.assert_close(probabilities(average, "semantic_logits"), expected, atol=1e-6, rtol=1e-5)
    assert average.num_classes == K


def tiles_of(layout, config, selected):
    """Each a ``TilePrediction``, with (K, h, w) probabilities."""
    placement = Placement.whole(layout.windows[0].size)
    for number in range(len(layout.windows)):
        chosen = torch.randperm(K, generator=torch.Generator().manual_seed(number))[None, :selected]
        output = class_output(selection=None if selected == K else chosen, seed=number)
        (prediction,) = merge(output, TAXONOMY, config, [placement], BOTH)
        tile = TilePrediction(prediction, class_evidence(output, config, placement))
        yield tile, full_maps(output, 0, placement, config)


def border_weight(start, end, length):
    """(n,) distance to the nearest end of a tile that cuts the image."""
    place = np.arange(start, end)
    least = np.minimum(place - start + 1 if start else np.inf, end - place if end < length else np.inf)
    return np.minimum(least, end - start)


@pytest.mark.parametrize("selected", [K, 3])
def test_where_tiles_overlap_a_pixel_has_the_class_of_the_largest_mean_probability(selected):
    """Everything in memory; it may be a class that no tile alone says."""
    layout = lay_tiles((40, 61), (24, 32), (8, 10))
    tiles, maps = zip(*tiles_of(layout, SemanticMergeConfig(), selected), strict=True)
    total = np.zeros((K, *layout.size))
    for window, probability in zip(layout.windows, maps, strict=True):
        down = border_weight(window.top, window.bottom, layout.size[0])
        across = border_weight(window.left, window.right, layout.size[1])
        total[:, *window.slices] += probability.numpy() * down[:, None] * across
    prediction = stitch(iter(tiles), layout, TAXONOMY)
    np.testing.assert_array_equal(prediction.semantic, total.argmax(0))
    classes = np.full(layout.size, -1)
    for segment in prediction.panoptic.segments:
        classes[prediction.panoptic.ids == segment.id] = segment.class_index
    np.testing.assert_array_equal(classes, prediction.semantic)
    present = [s.class_index for s in prediction.panoptic.segments]
    assert prediction.per_class and present == sorted(set(present)), "one segment per class, of things too"


def test_area_limits_count_on_the_whole_image():
    layout = lay_tiles((40, 61), (24, 32), (8, 10))
    tiles = [tile for tile, *_ in tiles_of(layout, SemanticMergeConfig(), K)]
    everything = stitch(iter(tiles), layout, TAXONOMY)
    areas = {s.class_index: int((everything.panoptic.ids == s.id).sum()) for s in everything.panoptic.segments}
    limit = sorted(areas.values())[len(areas) // 2]
    kept = stitch(iter(tiles), layout, TAXONOMY, AreaLimits(limit, limit)).panoptic.segments
    assert {s.class_index for s in kept} == {k for k, area in areas.items() if area >= limit}
