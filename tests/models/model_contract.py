"""What every architecture must do. A test class per model inherits ``ModelContract`` and names a tiny config.

What any verb needs is asked by ``pantile.check_model``, for everybody; here each of its checks is a test, and what only
architectures of this package promise is added: shapes, no graph break, an exported program.
"""

import os
from dataclasses import replace
from typing import ClassVar

import pytest
import torch
from torch import Tensor, nn

from pantile.model_check.check import STAGES
from pantile.model_check.finding import findings_of
from pantile.model_check.subject import Subject
from pantile.model_check.tensors import different, named_tensors, pseudo_loss
from pantile.model_check.tensors import randomise_norms as randomise
from pantile.models import create_model

__all__ = ["ModelContract", "assert_one_graph_that_exports", "assert_same", "named_tensors", "pseudo_loss", "randomise"]

GRAPHS = "PANTILE_GRAPHS"  # set by `make graphs`


def assert_same(left: object, right: object, tolerance: float = 0.0) -> None:
    assert different(left, right, tolerance) == []


class Tensors(nn.Module):
    """The tensors of a module's output as a tuple, which any program may return."""

    def __init__(self, module: nn.Module):
        super().__init__()
        self.module = module

    def forward(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        return tuple(tensor for _, tensor in named_tensors(self.module(*inputs)))


def assert_one_graph_that_exports(module: nn.Module, *inputs: Tensor) -> None:
    """Of a part in eval mode: compiled without a break and exported, it says the same."""
    wrapped = Tensors(module).eval()
    with torch.no_grad():
        expected = wrapped(*inputs)
        assert_same(expected, torch.compile(wrapped, backend="eager", fullgraph=True)(*inputs), 1e-5)
        assert_same(expected, torch.export.export(wrapped, inputs).module()(*inputs), 1e-5)


class ModelContract:
    """Subclasses define ``config()`` and ``check_shapes(output, num_classes, images)``."""

    num_classes = 5
    size = (65, 97)
    #: why the graph of the whole network is traced by `make graphs` alone; empty where every run of the tests does it
    graphs_apart = ""
    #: fields of the config by which the network whose graph is traced has fewer layers, of those that are alike
    shallower: ClassVar[dict] = {}

    def config(self):
        raise NotImplementedError

    def criterion(self):
        """In place of that of the nano recipe; None keeps it."""

    def check_shapes(self, output: object, num_classes: int, images: Tensor) -> None:
        raise NotImplementedError

    def model(self, num_classes: int | None = None, **changes) -> nn.Module:
        torch.manual_seed(0)
        return create_model(replace(self.config(), **changes), num_classes or self.num_classes)

    def images(self, batch: int = 2, size: tuple[int, int] | None = None, channels: int = 3) -> Tensor:
        generator = torch.Generator().manual_seed(1)
        return torch.rand(batch, channels, *(size or self.size), generator=generator) * 2 - 1

    @pytest.fixture(scope="class")
    def subject(self) -> Subject:
        return Subject(self.config(), self.criterion())

    @pytest.fixture(scope="class")
    def trained_looking(self, subject) -> nn.Module:
        """In eval mode, with random norms."""
        return subject.trained_looking

    @pytest.mark.parametrize("check", [c for stage in STAGES for c in stage], ids=lambda check: check.__name__)
    def test_check_model_finds_nothing(self, subject, check):
        assert findings_of(check, subject) == []

    @pytest.mark.parametrize("batch", [1, 2])
    def test_shapes_in_training(self, batch):
        images = self.images(batch)
        with torch.no_grad():
            self.check_shapes(self.model().train()(images), self.num_classes, images)

    @pytest.mark.parametrize("size", [(64, 64), (71, 50), (33, 129)])
    def test_shapes_at_any_size(self, trained_looking, size):
        images = self.images(1, size)
        with torch.no_grad():
            self.check_shapes(trained_looking(images), self.num_classes, images)

    def test_shapes_with_one_class_and_other_bands(self):
        images = self.images(channels=4)
        output = self.model(num_classes=1, in_channels=4).train()(images)
        self.check_shapes(output, 1, images)
        pseudo_loss(output).backward()

    def test_training_in_bfloat16_has_finite_gradients(self):
        model = self.model().train()
        with torch.autocast("cpu", torch.bfloat16):
            output = model(self.images())
        pseudo_loss(output).backward()
        assert all(p.grad.isfinite().all() for p in model.parameters())

    @pytest.fixture(scope="class")
    def traced(self, subject) -> nn.Module:
        """``trained_looking`` with fewer layers."""
        if not self.shallower:
            return subject.trained_looking
        return Subject(replace(self.config(), **self.shallower), self.criterion()).trained_looking

    def test_compiles_without_a_graph_break(self, traced):
        self.skip_graphs_that_take_long()
        compiled = torch.compile(traced, backend="eager", fullgraph=True)
        with torch.no_grad():
            assert_same(traced(self.images()), compiled(self.images()), 1e-5)

    def test_exports(self, traced):
        self.skip_graphs_that_take_long()
        wrapped = Tensors(traced).eval()
        program = torch.export.export(wrapped, (self.images(1),))
        with torch.no_grad():
            expected, actual = wrapped(self.images(1)), program.module()(self.images(1))
        assert_same(expected, actual, 1e-5)

    def skip_graphs_that_take_long(self):
        if self.graphs_apart and not os.environ.get(GRAPHS):
            pytest.skip(f"{self.graphs_apart}: make graphs")
