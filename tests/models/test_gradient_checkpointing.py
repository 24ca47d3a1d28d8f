"""Gradient checkpointing: the same step to the last bit for every architecture, with less memory."""

from copy import deepcopy

import pytest
import torch
from torch import Tensor, nn

from pantile.contracts.taxonomy import plain_taxonomy
from pantile.engine.config import override
from pantile.engine.task import PanopticTask
from pantile.model_check.subject import Subject
from pantile.model_check.tensors import pseudo_loss
from pantile.models import ARCHITECTURES
from pantile.models.gradient_checkpointing import blocks_of, checkpoint_blocks
from pantile.recipes import make_recipe

IMAGES = torch.rand(2, 3, 33, 49, generator=torch.Generator().manual_seed(0)) * 2 - 1


def with_random_numbers(model: nn.Module) -> nn.Module:
    """In blocks, too, where the recomputation has to draw them again."""
    for module in model.modules():
        if hasattr(module, "drop_prob"):
            module.drop_prob = 0.3
        if isinstance(module, nn.Dropout):
            module.p = 0.3
    return model


def step(model: nn.Module, *others: nn.Module) -> dict[str, Tensor | None]:
    """Loss, gradients, buffers and the random state after a training step."""
    torch.manual_seed(0)
    loss = pseudo_loss(model(IMAGES))
    loss.backward()
    named: dict[str, Tensor | None] = {"loss": loss.detach(), "random": torch.get_rng_state()}
    for module in (model, *others):
        named |= {f"gradient of {name}": p.grad for name, p in module.named_parameters()}
        named |= dict(module.named_buffers())
    return named


def assert_equal(expected: dict[str, Tensor | None], actual: dict[str, Tensor | None]) -> None:
    assert [n for n, tensor in expected.items() if (tensor is None) != (actual[n] is None)] == []
    assert [n for n, tensor in expected.items() if tensor is not None and not torch.equal(tensor, actual[n])] == []


@pytest.mark.parametrize("name", sorted(ARCHITECTURES))
def test_a_step_of_every_architecture_is_the_same(name):
    plain = with_random_numbers(Subject(name).model())
    checkpointed = deepcopy(plain)
    checkpoint_blocks(checkpointed)
    assert list(checkpointed.state_dict()) == list(plain.state_dict())
    assert len(blocks_of(checkpointed)) > 1
    assert_equal(step(plain), step(checkpointed))
    with torch.no_grad():
        assert torch.equal(pseudo_loss(plain.eval()(IMAGES)), pseudo_loss(checkpointed.eval()(IMAGES)))


def test_a_technique_that_works_inside_a_block_keeps_its_statistics():
    """The head by which ReMask steers k-means layers has batch norms, and is run in the middle of a layer."""
    steps = []
    for on in ("false", "true"):
        changes = ["techniques.remask.steer=true", "techniques.remask.stages=2", "techniques.remask.channels=8"]
        config = override(make_recipe("kmax_nano"), [*changes, f"training.gradient_checkpointing={on}"])
        torch.manual_seed(0)
        task = PanopticTask(config, plain_taxonomy("abc", things=["a"])).train()
        steps.append(step(task.model, task.techniques))
    assert any("heads.0" in name and name.endswith("running_var") for name in steps[0])
    assert_equal(*steps)


class Memory(torch.autograd.graph.saved_tensors_hooks):
    """Counts the bytes of the storages that a forward pass keeps for the backward pass."""

    def __init__(self) -> None:
        self.storages: dict[int, int] = {}
        super().__init__(self._count, lambda tensor: tensor)

    def __enter__(self) -> "Memory":
        super().__enter__()
        return self

    def _count(self, tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        self.storages[storage.data_ptr()] = storage.nbytes()
        return tensor


@pytest.mark.parametrize("name", ["segmenter", "mask2former"])
def test_less_is_kept(name):
    kept = []
    for on in (False, True):
        model = Subject(name).model()
        if on:
            checkpoint_blocks(model)
        images = IMAGES.expand(4, 2, -1, -1, -1).flatten(0, 1)
        with Memory() as memory:
            loss = pseudo_loss(model(images))
        parameters = {p.untyped_storage().data_ptr() for p in model.parameters()}
        kept.append(sum(size for place, size in memory.storages.items() if place not in parameters))
        del loss
    assert kept[1] < 0.5 * kept[0]
