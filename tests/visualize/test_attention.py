"""Maps of attention: range, density, and their place in what is shown of the inside."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from pantile.contracts.outputs import MaskOutput
from pantile.contracts.placement import Placement
from pantile.contracts.taxonomy import plain_taxonomy
from pantile.visualize import draw_inside
from pantile.visualize.attention import attention_figure, density, stretched


def test_range_is_stretched_linearly():
    assert stretched(np.array([[0.2, 0.3], [0.25, 0.4]])).tolist() == [[0, 127], [64, 255]]
    assert stretched(np.full((2, 2), 0.3)).max() == 0


def test_density_of_peaks_and_of_flat_maps():
    assert density(np.full((10, 10), 0.01)) == pytest.approx(0.9)
    assert density(np.eye(10)[0]) == pytest.approx(0.1)
    assert density(np.zeros(5)) == 0.0


def test_attention_stands_beside_the_clusters():
    logits = torch.zeros(1, 3, 4, 4)
    logits[0, 1] = 2.0
    classes = torch.tensor([[[0.0, 9.0], [9.0, 0.0], [0.0, 9.0]]])
    output = MaskOutput(classes, logits, classes, logits, logits)
    image, size = np.zeros((16, 16, 3), np.uint8), (16, 16)
    arguments = ("a.png", image, Placement(size, size, size), plain_taxonomy(["car"], things=["car"]))
    attention = torch.rand(1, 3, 2, 2, generator=torch.Generator().manual_seed(0))
    without, with_it = draw_inside(output, *arguments), draw_inside(replace(output, attention=(attention,)), *arguments)
    assert len(with_it.figures) == len(without.figures) + 1
    figure, text = with_it.figures[1]
    assert text == "attention of single queries to the pixels"
    np.testing.assert_array_equal(figure, attention_figure(image, [attention[0].numpy()], [1], ["car"]))
