"""Averages over views against what an exactly equivariant model must give."""

import pytest
import torch
import torch.nn.functional as F

from pantile.contracts.outputs import CenterOutput, MaskOutput
from pantile.merge.views import View, average_views


def random_centers(size=(9, 13), classes=4, seed=0) -> CenterOutput:
    generator = torch.Generator().manual_seed(seed)
    maps = [torch.randn(2, channels, *size, generator=generator) for channels in (classes, 1, 2)]
    return CenterOutput(*maps)


def random_masks(size=(9, 13), queries=6, classes=4, seed=0) -> MaskOutput:
    generator = torch.Generator().manual_seed(seed)
    return MaskOutput(
        class_logits=torch.randn(2, queries, classes + 1, generator=generator) * 3,
        mask_logits=torch.randn(2, queries, *size, generator=generator) * 3,
        query_embed=torch.randn(2, queries, 8, generator=generator),
        pixel_embed=torch.randn(2, 8, *size, generator=generator),
        pixel_feature=torch.randn(2, 8, *size, generator=generator),
    )


def mirrored(output: CenterOutput) -> CenterOutput:
    """What an equivariant model says of the mirror image: maps flip, and left is right."""
    offset = output.center_offset.flip(-1).clone()
    offset[:, 1] *= -1
    return CenterOutput(output.semantic_logits.flip(-1), output.center_heatmap.flip(-1), offset)


def test_mirrored_centers_of_an_equivariant_model_change_nothing():
    output = random_centers()
    average = average_views(output, [View(mirrored(output), True)])
    torch.testing.assert_close(average.center_heatmap, output.center_heatmap)
    torch.testing.assert_close(average.center_offset, output.center_offset)
    torch.testing.assert_close(average.semantic_logits.softmax(1), output.semantic_logits.softmax(1))


def test_centers_of_two_views_are_the_mean_of_probabilities_heat_and_offsets():
    one, two = random_centers(), random_centers(seed=1)
    average = average_views(one, [View(two, False)])
    probability = (one.semantic_logits.softmax(1) + two.semantic_logits.softmax(1)) / 2
    torch.testing.assert_close(average.semantic_logits.exp(), probability)
    torch.testing.assert_close(average.center_heatmap, (one.center_heatmap + two.center_heatmap) / 2)
    torch.testing.assert_close(average.center_offset, (one.center_offset + two.center_offset) / 2)


def test_offsets_of_a_larger_view_shrink_with_it():
    output = random_centers(size=(9, 13))
    larger = CenterOutput(*(torch.ones(2, c, 17, 37) for c in (4, 1, 2)))
    average = average_views(output, [View(larger, False)])
    expected = torch.tensor([8 / 16, 12 / 36])[:, None, None].expand(2, 2, 9, 13)
    torch.testing.assert_close(2 * average.center_offset - output.center_offset, expected)


def test_masks_of_permuted_queries_find_their_partners():
    output = random_masks()
    order = torch.tensor([3, 0, 5, 1, 2, 4])
    view = MaskOutput(
        output.class_logits[:, order],
        output.mask_logits[:, order].flip(-1),
        output.query_embed,
        output.pixel_embed,
        output.pixel_feature,
    )
    average = average_views(output, [View(view, True)])
    torch.testing.assert_close(average.mask_logits, output.mask_logits)
    torch.testing.assert_close(average.class_logits.softmax(-1), output.class_logits.softmax(-1))


def test_paired_masks_are_averaged():
    output = random_masks()
    view = MaskOutput(
        output.class_logits,
        3 * output.mask_logits,  # correlates fully
        output.query_embed,
        output.pixel_embed,
        output.pixel_feature,
    )
    average = average_views(output, [View(view, False)])
    torch.testing.assert_close(average.mask_logits, 2 * output.mask_logits)


def test_queries_without_a_likeness_stay_as_they_are():
    output, other = random_masks(size=(30, 40)), random_masks(size=(30, 40), seed=5)
    average = average_views(output, [View(other, False)])
    torch.testing.assert_close(average.mask_logits, output.mask_logits)
    torch.testing.assert_close(average.class_logits.softmax(-1), output.class_logits.softmax(-1))


def test_views_of_another_size_are_resized_with_aligned_corners():
    output = random_masks(size=(9, 13))
    larger = F.interpolate(output.mask_logits, size=(17, 25), mode="bilinear", align_corners=True)
    view = MaskOutput(output.class_logits, larger, output.query_embed, output.pixel_embed, output.pixel_feature)
    average = average_views(output, [View(view, False)])
    torch.testing.assert_close(average.mask_logits, output.mask_logits, atol=1e-5, rtol=1e-5)


def test_the_first_output_is_not_written_to():
    for output in (random_centers(), random_masks()):
        before = [t.clone() for t in vars(output).values() if isinstance(t, torch.Tensor)]
        average_views(output, [View(output, False)])
        after = [t for t in vars(output).values() if isinstance(t, torch.Tensor)]
        assert all(torch.equal(a, b) for a, b in zip(before, after, strict=True))


def test_an_unknown_kind_of_output_is_named():
    with pytest.raises(TypeError, match="str"):
        average_views("nothing", [])
