"""The numpy merges of exported networks against those of torch, on random outputs."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pantile.contracts.outputs import CenterOutput, MaskOutput, SemanticOutput
from pantile.contracts.placement import Placement
from pantile.contracts.predictions import Prediction
from pantile.contracts.taxonomy import plain_taxonomy
from pantile.export.graph import tensors_of
from pantile.merge import (
    CenterMergeConfig,
    MaskMergeConfig,
    PanopticFCNMergeConfig,
    QueryMergeConfig,
    SemanticMergeConfig,
    merge,
)
from pantile.merge.class_evidence import class_evidence
from pantile.merge.tile_layout import Window
from pantile.runtime.merging import array_evidence, merge_arrays

TAXONOMY = plain_taxonomy(["cat", "sky", "dog", "road", "wall"], things=["cat", "dog"])
K = len(TAXONOMY)
ALL = frozenset({"panoptic", "instance", "semantic"})
PLACEMENTS = [
    Placement((64, 96), (50, 96), (37, 71)),
    Placement((65, 97), (49, 97), (60, 119)),
    Placement((65, 65), (65, 65), (65, 65)),
]
CONFIGS = {
    "mask_wise": MaskMergeConfig(pixel_confidence=0.2, thing_class_threshold=0.3, stuff_class_threshold=0.3),
    "mask_wise, ids last": MaskMergeConfig(
        pixel_confidence=0.2, thing_class_threshold=0.3, stuff_class_threshold=0.3, resize_order="ids_last"
    ),
    "pixel_wise": MaskMergeConfig(
        kind="pixel_wise", pixel_confidence=0.2, thing_class_threshold=0.3, stuff_class_threshold=0.3
    ),
    "query_argmax": QueryMergeConfig(object_threshold=0.3, overlap_threshold=0.1),
    "query_argmax of MaskFormer": QueryMergeConfig(object_threshold=0.3, overlap_threshold=0.1, pixel_test=False),
    "centers": CenterMergeConfig(nms_kernel=7, stuff_area_limit=30),
    "centers, logits first": CenterMergeConfig(nms_kernel=7, stuff_area_limit=30, resize_order="logits_first"),
    "centers as one": CenterMergeConfig(center_threshold=1.0, uncentred_things="one_segment"),
    "panoptic_fcn": PanopticFCNMergeConfig(stuff_area_limit=20, similarity_threshold=0.6, object_threshold=0.1),
    "semantic": SemanticMergeConfig(stuff_area_limit=20),
    "semantic, probabilities": SemanticMergeConfig(resize="probabilities", align_corners=True),
}


def smooth(generator: torch.Generator, *shape: int, scale: float = 3.0) -> torch.Tensor:
    """(1, C, h, w) float64 of blobs, so that segments are larger than pixels."""
    coarse = scale * torch.randn(1, shape[0], 4, 5, generator=generator, dtype=torch.float64)
    return torch.nn.functional.interpolate(coarse, size=shape[1:], mode="bicubic")


def output_of(kind: str, seed: int, selected: bool):
    generator = torch.Generator().manual_seed(seed)
    chosen = torch.randperm(K, generator=generator)[None, :3] if selected else None
    channels = 3 if selected else K
    if kind == "centers":
        heat, offset = smooth(generator, 1, 17, 25, scale=0.5), smooth(generator, 2, 17, 25)
        return CenterOutput(smooth(generator, channels, 17, 25), heat, offset, K, chosen)
    if kind == "semantic":
        embed = torch.zeros(1, 2, 17, 25)
        return SemanticOutput(smooth(generator, channels, 17, 25), embed, embed, K, chosen)
    classes = 2 * torch.randn(1, 9, K + 1, generator=generator, dtype=torch.float64)
    if kind == "panoptic_fcn":
        classes[0, 3, :-1] = 0.25  # the region of no class
        classes = classes.log_softmax(dim=-1)
    kernels = torch.randn(1, 9, 3, generator=generator, dtype=torch.float64)
    nothing = torch.zeros(1, 2, 1, 1)
    return MaskOutput(classes, smooth(generator, 9, 17, 25), kernels, nothing, nothing)


def arrays_of(output, dtype: torch.dtype) -> dict[str, np.ndarray]:
    named = tensors_of(output, isinstance(output, MaskOutput))
    return {name: (t.to(dtype) if t.is_floating_point() else t)[0].numpy() for name, t in named.items()}


def assert_equal(found: Prediction, expected: Prediction) -> None:
    assert np.array_equal(found.panoptic.ids, expected.panoptic.ids)
    rows = [(s.id, s.class_index) for s in expected.panoptic.segments]
    assert [(s.id, s.class_index) for s in found.panoptic.segments] == rows
    scores = [s.score for s in expected.panoptic.segments]
    assert [s.score for s in found.panoptic.segments] == pytest.approx(scores, abs=1e-6)
    assert np.array_equal(found.semantic, expected.semantic) and found.per_class == expected.per_class
    for one, other in zip(found.instances or (), expected.instances or (), strict=True):
        assert (one.class_index, one.mask) == (other.class_index, other.mask)
        assert one.score == pytest.approx(other.score, abs=1e-6)
    assert (found.instances is None) == (expected.instances is None)


@pytest.mark.parametrize("name", CONFIGS)
@settings(max_examples=6, deadline=None)
@given(seed=st.integers(0, 10**6), placement=st.sampled_from(PLACEMENTS), selected=st.booleans())
def test_without_torch_the_prediction_is_the_same(name, seed, placement, selected):
    config = CONFIGS[name]
    output = output_of(config.kind, seed, selected)
    (expected,) = merge(output, TAXONOMY, config, [placement], ALL)
    assert_equal(merge_arrays(arrays_of(output, torch.float64), TAXONOMY, config, placement, ALL), expected)


@pytest.mark.parametrize("name", ["mask_wise", "pixel_wise", "query_argmax", "centers", "panoptic_fcn", "semantic"])
def test_evidence_is_the_same(name):
    config, window = CONFIGS[name], Window(3, 10, 30, 41)
    output = output_of(config.kind, 0, selected=name in ("centers", "semantic"))
    expected = class_evidence(output, config, PLACEMENTS[1])(window)
    found = array_evidence(arrays_of(output, torch.float32), config, PLACEMENTS[1], K)(window)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, atol=2e-6)


@pytest.mark.parametrize("name", ["mask_wise", "pixel_wise", "query_argmax", "panoptic_fcn"])
def test_nobody_survives(name):
    config = CONFIGS[name]
    output = output_of(config.kind, 0, selected=False)
    output.class_logits[..., -1] = 50
    found = merge_arrays(arrays_of(output, torch.float64), TAXONOMY, config, PLACEMENTS[0])
    assert not found.panoptic.ids.any() and found.panoptic.segments == ()
