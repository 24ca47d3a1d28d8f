"""At which size a network is traced for many sizes."""

import pytest
import torch
from timm.models.vision_transformer import Attention
from torch import nn

from pantile.export.tracing import attention_in_products, size_without_chance
from pantile.runtime.sizes import InputSizes, Side

ODD = InputSizes(Side(multiple=64, remainder=1), Side(multiple=64, remainder=1))


def with_windows(*windows: int | tuple[int, int]) -> nn.Module:
    network = nn.Sequential(*(nn.Identity() for _ in windows))
    for layer, window in zip(network, windows, strict=True):
        layer.window_size = window
    return network


@pytest.mark.parametrize(
    ("windows", "expected"),
    [
        ((), (193, 257)),
        (((7, 7),), (257, 257)),  # maps of 49, 25, 13, 7 and of 65, 33, 17, 9
        (((7, 13),), (257, 321)),
        ((11, (17, 1)), (193, 385)),  # 65, 33, 17, 9 and 81, 41, 21, 11 have elevens; ones are always whole
    ],
)
def test_no_map_is_whole_windows_by_chance(windows, expected):
    found = size_without_chance(with_windows(*windows), (193, 257), ODD)
    assert found == expected


def test_maps_that_are_always_whole_windows_are_a_rule():
    sizes = InputSizes(Side(multiple=64), Side(multiple=64))
    assert size_without_chance(with_windows(2, (1, 2)), (128, 192), sizes) == (128, 192)


def test_a_fixed_side_stays():
    sizes = InputSizes(Side(fixed=193), Side(multiple=64, remainder=1))
    assert size_without_chance(with_windows((7, 7)), (193, 193), sizes) == (193, 257)


def test_attention_is_fused_again_after_a_trace():
    network = nn.Sequential(Attention(8, num_heads=2), nn.Linear(8, 8), Attention(8, num_heads=2))
    network[2].fused_attn = False  # a layer that was told so stays so
    network[0].fused_attn = True
    x = torch.randn(1, 5, 8)
    fused = network(x)
    with pytest.raises(KeyError), attention_in_products(network):
        assert not network[0].fused_attn
        torch.testing.assert_close(network(x), fused)
        raise KeyError
    assert (network[0].fused_attn, network[2].fused_attn) == (True, False)
