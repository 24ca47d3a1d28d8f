"""Class maps and segments of pixel classifiers against plain torch, whole and with selected classes."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from class_maps import class_output, full_maps, oracle_segments
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from pantile.contracts.errors import UserError
from pantile.contracts.placement import Placement
from pantile.contracts.taxonomy import plain_taxonomy
from pantile.merge import SemanticMergeConfig, merge
from pantile.merge.class_evidence import class_evidence
from pantile.merge.registry import MERGERS
from pantile.merge.tile_layout import Window

TAXONOMY = plain_taxonomy(["cat", "sky", "dog", "road", "wall", "bird"], things=["cat", "dog", "bird"])
K = len(TAXONOMY)
PLACEMENT = Placement(padded=(28, 40), content=(25, 36), original=(31, 50))
SELECTIONS = torch.tensor([[4, 0, 5], [2, 1, 3]])
CONFIGS = {
    "original": SemanticMergeConfig(),
    "probabilities": SemanticMergeConfig(resize="probabilities"),
    "aligned": SemanticMergeConfig(align_corners=True, chunk_rows=5),
    "limits": SemanticMergeConfig(stuff_area_limit=150, thing_area_limit=220),
}
BOTH = frozenset({"panoptic", "semantic"})


@pytest.mark.parametrize("selection", [None, SELECTIONS], ids=["all classes", "three of six"])
@pytest.mark.parametrize("name", CONFIGS)
def test_equals_the_argmax_over_full_maps(name, selection):
    config = CONFIGS[name]
    output = class_output(batch=2, selection=selection)
    predictions = merge(output, TAXONOMY, config, [PLACEMENT] * 2, BOTH)
    limits = [config.thing_area_limit if c.is_thing else config.stuff_area_limit for c in TAXONOMY.classes]
    for image, prediction in enumerate(predictions):
        classes, ids, segments = oracle_segments(full_maps(output, image, PLACEMENT, config), limits)
        np.testing.assert_array_equal(prediction.semantic, classes)
        np.testing.assert_array_equal(prediction.panoptic.ids, ids)
        assert prediction.panoptic.ids.dtype == prediction.semantic.dtype == np.int32
        assert [s.class_index for s in prediction.panoptic.segments] == [k for k, _ in segments]
        np.testing.assert_allclose([s.score for s in prediction.panoptic.segments], [s for _, s in segments], rtol=1e-6)


def test_all_pixels_of_a_thing_class_are_one_segment_and_nothing_is_an_instance():
    (prediction,) = merge(class_output(), TAXONOMY, SemanticMergeConfig(), [PLACEMENT], frozenset({"instance"}))
    assert prediction.per_class and prediction.instances is None and prediction.semantic is None
    classes = [s.class_index for s in prediction.panoptic.segments]
    assert len(set(classes)) == len(classes) and any(TAXONOMY.classes[k].is_thing for k in classes)
    assert "instance" not in MERGERS["semantic"].tasks and MERGERS["semantic"].main_metric == "miou"


@pytest.mark.parametrize("name", ["original", "probabilities"])
def test_the_order_of_the_channels_changes_nothing_to_the_last_bit(name):
    plain = class_output()
    order = torch.randperm(K, generator=torch.Generator().manual_seed(1))
    ranked = replace(plain, class_logits=plain.class_logits[:, order], classes=order[None])
    one, other = (merge(o, TAXONOMY, CONFIGS[name], [PLACEMENT], BOTH)[0] for o in (plain, ranked))
    np.testing.assert_array_equal(one.semantic, other.semantic)
    assert one.panoptic.segments == other.panoptic.segments  # scores too


def test_equal_logits_are_the_smallest_class_whatever_its_rank():
    output = class_output(selection=torch.tensor([[5, 2, 4]]))
    output = replace(output, class_logits=torch.zeros_like(output.class_logits))
    assert (merge(output, TAXONOMY, SemanticMergeConfig(), [PLACEMENT], BOTH)[0].semantic == 2).all()


def test_a_channel_without_a_class_never_wins():
    output = class_output(selection=torch.tensor([[5, 2, 4]]))
    wider = replace(
        output,
        class_logits=torch.cat([output.class_logits, torch.full_like(output.class_logits[:, :1], 99)], dim=1),
        classes=torch.tensor([[5, 2, 4, -1]]),
    )
    np.testing.assert_array_equal(
        *(merge(o, TAXONOMY, SemanticMergeConfig(), [PLACEMENT], BOTH)[0].semantic for o in (output, wider))
    )


class LargestTensor(TorchDispatchMode):
    largest = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        sizes = [leaf.numel() for leaf in tree_leaves(result) if isinstance(leaf, torch.Tensor)]
        self.largest = max([self.largest, *sizes])
        return result


@pytest.mark.parametrize("name", ["original", "probabilities"])
def test_memory_grows_neither_with_the_classes_nor_with_k_full_maps(name):
    many = plain_taxonomy([f"class {i}" for i in range(500)], things=[])
    generator = torch.Generator().manual_seed(0)
    output = replace(
        class_output(size=(4, 4)),
        class_logits=torch.randn(1, 8, 4, 4, generator=generator),
        num_classes=500,
        classes=torch.randperm(500, generator=generator)[None, :8],
    )
    side = 512
    with LargestTensor() as seen:
        merge(output, many, CONFIGS[name], [Placement.whole((side, side))], BOTH)
    assert seen.largest <= 8 * CONFIGS[name].chunk_rows * side


@pytest.mark.parametrize("selection", [None, SELECTIONS[:1]], ids=["all classes", "three of six"])
@pytest.mark.parametrize("resize", ["logits", "probabilities"])
def test_evidence_of_a_tile_is_the_probability_of_every_class(selection, resize):
    output, window = class_output(selection=selection), Window(3, 10, 30, 41)
    config = SemanticMergeConfig(resize=resize)
    expected = full_maps(output, 0, PLACEMENT, config)[:, *window.slices]
    evidence = torch.from_numpy(class_evidence(output, config, PLACEMENT)(window))
    torch.testing.assert_close(evidence.double(), expected, atol=1e-6, rtol=1e-4)


def test_other_classes_than_the_taxonomys_are_refused():
    with pytest.raises(UserError, match="predicts 9 classes but the taxonomy has 6"):
        merge(class_output(classes=9), TAXONOMY, SemanticMergeConfig(), [PLACEMENT])


@pytest.mark.parametrize("field", ["stuff_area_limit", "thing_area_limit", "chunk_rows"])
def test_numbers_below_zero_name_their_field(field):
    with pytest.raises(UserError, match=f"merge.{field} is -1"):
        SemanticMergeConfig(**{field: -1})


def test_words_that_are_not_known_name_their_field():
    with pytest.raises(UserError, match=r"merge\.resize is 'both'"):
        SemanticMergeConfig(resize="both")
