"""Networks of TensorFlow's convolutions export for many sizes, with numbers for paddings."""

import pytest
import timm
import torch
from timm.layers import Conv2dSame, padding
from timm.layers.pool2d_same import MaxPool2dSame
from torch import nn

from pantile.export import tracing
from pantile.export.same_padding import same_padding_as_numbers
from pantile.runtime.sizes import InputSizes, Side

ODD = InputSizes(Side(multiple=64, remainder=1), Side(multiple=64, remainder=1))


class Stages(nn.Module):
    """Four times half the size, with kernels whose padding depends on the parity of a side."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            Conv2dSame(3, 4, 3, stride=2),
            Conv2dSame(4, 4, 5, stride=2),
            MaxPool2dSame(3, 2),
            Conv2dSame(4, 4, 3, stride=2),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layers(x)


def exported(network: nn.Module, sizes: InputSizes, size: tuple[int, int]) -> torch.export.ExportedProgram:
    height, width = (tracing._dimension(side, name) for side, name in ((sizes.height, "h"), (sizes.width, "w")))
    with torch.no_grad(), same_padding_as_numbers(lambda at: network(torch.zeros(1, 3, *at)), size, sizes):
        return torch.export.export(network, (torch.zeros(1, 3, *size),), dynamic_shapes={"x": {2: height, 3: width}})


@pytest.mark.parametrize("remainder", [0, 1])
def test_paddings_are_numbers_and_right_at_every_size(remainder):
    sizes = InputSizes(Side(multiple=64, remainder=remainder), Side(multiple=32, remainder=remainder))
    torch.manual_seed(0)
    network = Stages()
    program = exported(network, sizes, (128 + remainder, 96 + remainder))
    pads = [node for node in program.graph.nodes if "pad" in str(node.target)]
    assert len(pads) >= 4 and all(type(amount) is int for node in pads for amount in node.args[1])
    for height, width in ((64, 32), (192, 64), (128, 256)):
        image = torch.randn(1, 3, height + remainder, width + remainder)
        assert torch.equal(program.module()(image), network(image))


def test_paddings_that_depend_on_the_size_stay_formulas():
    """16 is too little for five strides of 2."""
    sizes = InputSizes(Side(multiple=16), Side(multiple=16))
    network = nn.Sequential(Stages(), Conv2dSame(4, 4, 3, stride=2))
    formula = padding.get_same_padding
    with same_padding_as_numbers(lambda at: network(torch.zeros(1, 3, *at)), (64, 48), sizes):
        assert padding.get_same_padding is formula
    with same_padding_as_numbers(lambda at: network(torch.zeros(1, 3, *at)), (65, 129), ODD):
        assert padding.get_same_padding is not formula
    assert padding.get_same_padding is formula


def test_a_network_without_such_layers_is_left_alone():
    formula, network = padding.get_same_padding, timm.create_model("test_resnet", features_only=True)
    with same_padding_as_numbers(lambda at: network.eval()(torch.zeros(1, 3, *at)), (65, 129), ODD):
        assert padding.get_same_padding is formula
