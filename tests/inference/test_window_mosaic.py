"""Means of windows that no full map is made of: the predictions of full maps, in the memory of a few rows."""

from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from pantile.contracts.outputs import MaskOutput, SemanticOutput
from pantile.contracts.placement import Placement
from pantile.contracts.taxonomy import plain_taxonomy
from pantile.inference.views import Views, forward_views
from pantile.inference.windows import Windows, forward_windows
from pantile.merge import QueryVotesConfig, SemanticMergeConfig, merge
from pantile.merge.class_evidence import class_evidence
from pantile.merge.tile_layout import Window, lay_tiles
from pantile.merge.window_mosaic import WindowMosaic, as_taken

K, STRIDE = 40, 16
TAXONOMY = plain_taxonomy([f"class {k}" for k in range(K)], things=[])
NOTHING = torch.zeros(1, 1, 1, 1)
SEMANTIC = frozenset({"semantic"})


class Largest(TorchDispatchMode):
    """The number of elements of the largest tensor that any operation gives."""

    elements = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        for leaf in tree_leaves(result):
            if isinstance(leaf, Tensor) and not any(size == 0 for size in leaf.stride()):  # expanded: no memory
                self.elements = max(self.elements, leaf.numel())
        return result


def class_maps(images: Tensor) -> Tensor:
    """(B, K, h, w) that depend on the pixels, and on where in the window they are."""
    patches = F.avg_pool2d(images, STRIDE)
    weight = (1.7 * torch.arange(K * images.shape[1])).sin().view(K, images.shape[1], 1, 1).to(images)
    maps = 4 * F.conv2d(patches, weight)
    return maps + torch.linspace(0, 1, maps.shape[3]).to(maps) * torch.arange(K).sin()[:, None, None]


def network(images: Tensor) -> SemanticOutput:
    return SemanticOutput(class_maps(images), NOTHING, NOTHING[0], K)


def selecting(images: Tensor, count: int = 5) -> SemanticOutput:
    """Of each window of each image, the classes that score most, best first."""
    maps = class_maps(images)
    classes = maps.mean(dim=(2, 3)).topk(count).indices
    chosen = maps.gather(1, classes[..., None, None].expand(-1, -1, *maps.shape[2:]))
    return SemanticOutput(chosen, NOTHING, NOTHING[0], K, classes, maps.amax(dim=(2, 3)))


def same_for_all(images: Tensor) -> SemanticOutput:
    output = network(images)
    classes = torch.tensor([7, 30, 2, 11, 19])
    return replace(output, class_logits=output.class_logits[:, classes], classes=classes.expand(len(images), -1))


@pytest.fixture(scope="module")
def images() -> Tensor:
    coarse = torch.randn(2, 3, 5, 7, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    return F.interpolate(coarse, size=(96, 128), mode="bilinear")


PLACEMENTS = [Placement((53, 80), (96, 120), (96, 128)), Placement.whole((96, 128))]
WINDOWS = [
    Windows((64, 64), (32, 48)),
    Windows((64, 80), spread=True),
    Windows((128, 128), (96, 96)),  # the input is enlarged
    Windows((128, 128), (96, 96), smaller_images="shrink"),
]


@pytest.mark.parametrize("forward", [network, selecting, same_for_all])
@pytest.mark.parametrize("windows", WINDOWS)
def test_predictions_are_those_of_full_maps(images, forward, windows):
    mosaic = forward_windows(forward, images, windows)
    assert isinstance(mosaic, WindowMosaic)
    found = merge(mosaic, TAXONOMY, SemanticMergeConfig(), PLACEMENTS, SEMANTIC)
    expected = merge(mosaic.dense(), TAXONOMY, SemanticMergeConfig(), PLACEMENTS, SEMANTIC)
    for mine, theirs in zip(found, expected, strict=True):
        assert np.array_equal(mine.semantic, theirs.semantic) and np.array_equal(mine.panoptic.ids, theirs.panoptic.ids)
        scores = [[s.score for s in own.panoptic.segments] for own in (mine, theirs)]
        np.testing.assert_allclose(*scores, rtol=1e-6)
    for place in range(2):
        one = replace(mosaic, **{n: v[place : place + 1] for n, v in vars(mosaic).items() if n == "class_logits"})
        one = replace(one, classes=None if mosaic.classes is None else mosaic.classes[place : place + 1])
        window = Window(5, 9, 40, 70)
        both = [class_evidence(own, SemanticMergeConfig(), PLACEMENTS[place])(window) for own in (one, one.dense())]
        np.testing.assert_allclose(*both, atol=1e-5)


def test_the_mean_is_the_sum_of_resized_windows(images):
    layout = lay_tiles((96, 128), (64, 80), (0, 0))
    total, seen = torch.zeros(2, K, 96, 128).double(), torch.zeros(96, 128)
    for window in layout.windows:
        maps = class_maps(images[..., *window.slices])
        total[..., *window.slices] += F.interpolate(maps, window.size, mode="bilinear")
        seen[window.slices] += 1
    mosaic = forward_windows(network, images, Windows((64, 80), spread=True))
    torch.testing.assert_close(mosaic.dense().class_logits, total / seen, atol=1e-12, rtol=0)


def test_a_class_that_all_windows_of_a_pixel_select_goes_before_others(images):
    """What the docstring promises: -100 where it is not selected."""
    mosaic = forward_windows(selecting, images[:1], Windows((96, 96), (96, 32)))
    left, right = (set(selecting(images[:1, ..., part]).classes[0].tolist()) for part in (slice(96), slice(32, 128)))
    assert left & right and left ^ right and set(mosaic.classes[0].tolist()) == left | right
    (found,) = merge(mosaic, TAXONOMY, SemanticMergeConfig(), [Placement.whole((96, 128))], SEMANTIC)
    assert set(np.unique(found.semantic[:, 32:96])) <= left & right
    assert set(np.unique(found.semantic[:, :32])) <= left and set(np.unique(found.semantic[:, 96:])) <= right


@pytest.mark.parametrize(("forward", "most"), [(network, 0.15), (selecting, 0.15), (same_for_all, 0.25)])
def test_no_full_map_of_a_class_is_made_per_class(forward, most):
    """The largest tensor, against the full maps of the classes that windows select; 12 of 288 rows are at hand."""
    images = F.interpolate(torch.randn(1, 3, 9, 9, generator=torch.Generator().manual_seed(1)), size=288)
    windows, placements = Windows((96, 96), (64, 64)), [Placement.whole((288, 288))]
    config = SemanticMergeConfig(chunk_rows=12)
    with Largest() as largest:
        mosaic = forward_windows(forward, images, windows)
        merge(mosaic, TAXONOMY, config, placements, SEMANTIC)
    full = mosaic.class_logits.shape[1] * 288 * 288
    with Largest() as dense:
        merge(mosaic.dense(), TAXONOMY, config, placements, SEMANTIC)
    assert dense.elements >= full
    assert largest.elements <= most * full


def test_queries_that_vote_have_no_maps_of_classes_that_no_window_selects(images):
    chosen = torch.tensor([3, 17])

    def ranked(images: Tensor) -> MaskOutput:
        masks = F.avg_pool2d(images, 4).float()
        logits = torch.full((len(images), 3, K + 1), -100.0)
        logits[..., [*chosen, K]] = torch.linspace(-2, 2, 9).view(3, 3)
        return MaskOutput(logits, masks, logits, NOTHING, NOTHING, classes=chosen.expand(len(images), -1))

    output = forward_windows(ranked, images, Windows((64, 64), (32, 64), average="votes"))
    config, placements = QueryVotesConfig(chunk_rows=8), [Placement.whole((96, 128))] * 2
    with Largest() as largest:
        found = merge(output, TAXONOMY, config, placements, SEMANTIC)
    assert largest.elements < 10 * 96 * 128
    full = torch.full((2, K, 96, 128), 1e-30).log()
    full[:, chosen] = output.class_logits
    expected = merge(replace(output, class_logits=full, classes=None), TAXONOMY, config, placements, SEMANTIC)
    assert all(np.array_equal(a.semantic, b.semantic) for a, b in zip(found, expected, strict=True))
    one = replace(output, class_logits=output.class_logits[:1], classes=output.classes[:1])
    shares = class_evidence(one, config, placements[0])(Window(2, 3, 9, 30))
    assert shares.shape == (K, 7, 27) and not np.delete(shares, chosen, axis=0).any()
    np.testing.assert_allclose(shares.sum(axis=0), 1, rtol=1e-5)


def test_who_needs_full_maps_gets_them(images):
    windows = Windows((64, 64), (32, 48))
    mosaic = forward_windows(selecting, images, windows)
    config = SemanticMergeConfig(resize="probabilities")
    found, expected = (merge(own, TAXONOMY, config, PLACEMENTS, SEMANTIC) for own in (mosaic, mosaic.dense()))
    assert all(np.array_equal(a.semantic, b.semantic) for a, b in zip(found, expected, strict=True))
    views = forward_views(lambda batch: forward_windows(selecting, batch, windows), images, Views(flip=True))
    assert isinstance(views, SemanticOutput) and views.class_logits.shape[2:] == (96, 128)
    assert as_taken(mosaic, object).class_logits.shape[2:] == (96, 128)
    assert as_taken(mosaic, SemanticOutput | WindowMosaic) is mosaic
