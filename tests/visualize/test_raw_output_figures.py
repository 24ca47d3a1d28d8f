"""Figures of raw outputs: what they must show, and that padding is cut off."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from pantile.contracts.outputs import CenterOutput, MaskOutput, SemanticOutput
from pantile.contracts.placement import Placement
from pantile.contracts.taxonomy import plain_taxonomy
from pantile.visualize.centers import direction_colors
from pantile.visualize.inside import draw_inside

TAXONOMY = plain_taxonomy(["ball", "grass"], things=["ball"])
PLACEMENT = Placement(padded=(33, 33), content=(17, 33), original=(40, 80))
IMAGE = np.full((40, 80, 3), 128, dtype=np.uint8)


def center_output() -> CenterOutput:
    semantic = torch.zeros(1, 2, 9, 9)
    semantic[:, 0, :, :5] = 1
    return CenterOutput(semantic, torch.rand(1, 1, 9, 9), torch.randn(1, 2, 9, 9))


def mask_output() -> MaskOutput:
    logits = torch.randn(1, 3, 9, 9)
    return MaskOutput(torch.randn(1, 3, 3), logits, torch.zeros(1, 3, 4), torch.zeros(1, 4, 9, 9), logits)


def semantic_output() -> SemanticOutput:
    generator = torch.Generator().manual_seed(0)
    logits = 2 * torch.randn(1, 2, 9, 9, generator=generator)
    return SemanticOutput(logits, torch.zeros(1, 3, 9, 9), torch.zeros(1, 2, 3), 2)


def ranked_output() -> SemanticOutput:
    """Only grass competes, beside a channel that stands for nothing."""
    return replace(semantic_output(), classes=torch.tensor([[1, -1]]), presence_logits=torch.tensor([[-3.0, 3.0]]))


@pytest.mark.parametrize("make", [center_output, mask_output, semantic_output, ranked_output])
def test_every_kind_of_output_can_be_drawn(make):
    inside = draw_inside(make(), "photo.jpg", IMAGE, PLACEMENT, TAXONOMY)
    assert inside.name == "photo.jpg" and inside.note
    for figure, description in inside.figures:
        assert figure.dtype == np.uint8 and figure.ndim == 3 and description
        assert len(np.unique(figure.reshape(-1, 3), axis=0)) > 3


def test_padding_does_not_show():
    output = center_output()
    maps = (output.semantic_logits, output.center_heatmap, output.center_offset)
    changed = CenterOutput(*(one.clone() for one in maps))
    for one in (changed.semantic_logits, changed.center_heatmap, changed.center_offset):
        one[:, :, 6:] = 7  # rows that belong to the padding only
    one, two = (draw_inside(o, "", IMAGE, PLACEMENT, TAXONOMY).figures[0][0] for o in (output, changed))
    assert np.array_equal(one, two)


def test_offsets_to_the_right_are_red_and_to_the_left_cyan():
    offset = np.array([[[0.0, 0.0]], [[5.0, -5.0]]])  # dy = 0; dx = 5 and -5
    right, left = direction_colors(offset, np.ones((1, 2), bool))[0].astype(int)
    assert right[0] > 200 > right[1] and left[0] < 100 < left[2]


def test_offsets_of_stuff_are_grey_even_if_nothing_is_shown():
    assert np.unique(direction_colors(np.ones((2, 4, 4)), np.zeros((4, 4), bool))).tolist() == [225]


def test_an_unknown_kind_of_output_is_named():
    with pytest.raises(TypeError, match="int"):
        draw_inside(3, "", IMAGE, PLACEMENT, TAXONOMY)


def test_selected_classes_are_drawn_in_their_own_colours():
    """Rank 0 is class 1 here, and the other way round."""
    plain = semantic_output()
    swapped = replace(plain, class_logits=plain.class_logits.flip(1), classes=torch.tensor([[1, 0]]))
    one, two = (draw_inside(o, "", IMAGE, PLACEMENT, TAXONOMY).figures[0][0] for o in (plain, swapped))
    assert np.array_equal(one, two)
    centers = replace(center_output(), semantic_logits=plain.class_logits)
    selected = replace(centers, semantic_logits=centers.semantic_logits.flip(1), classes=torch.tensor([[1, 0]]))
    one, two = (draw_inside(o, "", IMAGE, PLACEMENT, TAXONOMY).figures[0][0] for o in (centers, selected))
    assert np.array_equal(one, two)
