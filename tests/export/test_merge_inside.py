"""Merging in the graph against ``merge``, for images that are the input as it is."""

import numpy as np
import pytest
import torch

from pantile.contracts.errors import UserError
from pantile.contracts.outputs import MaskOutput, SemanticOutput
from pantile.contracts.placement import Placement
from pantile.contracts.taxonomy import plain_taxonomy
from pantile.export.inside import merged_inside
from pantile.merge import CenterMergeConfig, MaskMergeConfig, QueryMergeConfig, SemanticMergeConfig, merge
from pantile.runtime.inside import prediction_of_table

TAXONOMY = plain_taxonomy(["cat", "sky", "dog", "road", "wall"], things=["cat", "dog"])
K, SIZE = len(TAXONOMY), (65, 97)
CONFIGS = {
    "query_argmax": QueryMergeConfig(object_threshold=0.3, overlap_threshold=0.1),
    "MaskFormer": QueryMergeConfig(object_threshold=0.3, overlap_threshold=0.1, pixel_test=False),
    "pixel_wise": MaskMergeConfig("pixel_wise", 0.2, 0.2, 0.2, thing_area_limit=30, stuff_area_limit=60),
    "semantic": SemanticMergeConfig(stuff_area_limit=40),
    "probabilities": SemanticMergeConfig(resize="probabilities", align_corners=True),
}


def smooth(generator, *shape):
    coarse = 3 * torch.randn(*shape[:2], 4, 5, generator=generator)
    return torch.nn.functional.interpolate(coarse, size=shape[2:], mode="bicubic")


def output_of(kind: str, seed: int):
    generator = torch.Generator().manual_seed(seed)
    if kind == "semantic":
        chosen = torch.stack([torch.randperm(K, generator=generator)[:3] for _ in range(2)]) if seed % 2 else None
        embed = torch.zeros(2, 2, 17, 25)
        return SemanticOutput(smooth(generator, 2, 3 if seed % 2 else K, 17, 25), embed, embed, K, chosen)
    nothing = torch.zeros(2, 2, 1, 1)
    classes = 2 * torch.randn(2, 9, K + 1, generator=generator)
    return MaskOutput(classes, smooth(generator, 2, 9, 17, 25), torch.zeros(2, 9, 3), nothing, nothing)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("name", CONFIGS)
def test_ids_and_table_are_those_of_merge(name, seed):
    config, placement = CONFIGS[name], Placement.whole(SIZE)
    output = output_of(config.kind, seed)
    tensors = merged_inside(config, TAXONOMY)(output, SIZE)
    assert [t.shape[0] for t in tensors.values()] == [2, 2, 2] and tensors["panoptic_ids"].dtype == torch.int32
    for index, expected in enumerate(merge(output, TAXONOMY, config, [placement] * 2)):
        maps = {key: values[index].numpy() for key, values in tensors.items()}
        found = prediction_of_table(maps, config.kind, placement)
        assert len(expected.panoptic.segments) > 1 and found.per_class == expected.per_class
        label = {s.id: (s.class_index, round(s.score, 4)) for s in found.panoptic.segments} | {0: None}
        wanted = {s.id: (s.class_index, round(s.score, 4)) for s in expected.panoptic.segments} | {0: None}
        pairs = set(zip(found.panoptic.ids.flat, expected.panoptic.ids.flat, strict=True))
        assert len(pairs) == len(np.unique(expected.panoptic.ids)) == len(np.unique(found.panoptic.ids))
        assert all(label[a] == pytest.approx(wanted[b], abs=2e-4) for a, b in pairs)


@pytest.mark.parametrize("config", [CenterMergeConfig(), MaskMergeConfig()])
def test_merges_of_as_many_steps_as_an_image_needs_are_refused(config):
    with pytest.raises(UserError, match=f"--merge inside: merge.kind={config.kind} .*: leave it out"):
        merged_inside(config, TAXONOMY)
