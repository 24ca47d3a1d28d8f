"""Gradient checkpointing (Chen et al., arXiv:1604.06174) of any model: time for memory.

In the backward pass each block computes its activations again; only its input is kept. Outputs, gradients, random
numbers and running statistics stay what they are without.
"""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import cache, partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase
from torch.utils.checkpoint import checkpoint


def checkpoint_blocks(model: nn.Module, *others: nn.Module) -> None:
    """Switches checkpointing on, in place, for what ``blocks_of`` finds.

    Tensors, their names and modes stay what they are; in eval mode nothing is recomputed.

    Args:
        others: modules that blocks of the model may call without holding them, whose batch norms count, too.
    """
    for block in blocks_of(model).values():
        if not isinstance(block, _Checkpointed):
            block.__class__ = _checkpointed(type(block))
            block.called_too = others


def blocks_of(model: nn.Module) -> dict[str, nn.Module]:
    """The smallest entries of a ``ModuleList``, ``ModuleDict`` or ``Sequential`` that have two matrices or kernels at
    least: residual blocks and layers of transformers, not the convolution-and-norm pairs that they are made of."""
    lists = (nn.ModuleList, nn.ModuleDict, nn.Sequential)
    found = {
        f"{name}.{key}".removeprefix("."): entry
        for name, module in model.named_modules()
        if isinstance(module, lists)
        for key, entry in module.named_children()
        if sum(parameter.ndim > 1 for parameter in entry.parameters()) > 1 and not isinstance(entry, nn.ModuleList)
    }
    outer = {name[:dot] for name in found for dot in range(len(name)) if name[dot] == "."}
    return {name: block for name, block in found.items() if name not in outer}


class _Checkpointed:
    """What ``checkpoint_blocks`` puts before the class of a block."""

    def forward(self, *inputs: Any, **options: Any) -> Any:
        run = super().forward
        if not (self.training and torch.is_grad_enabled()):
            return run(*inputs, **options)
        contexts = partial(_contexts, (self, *self.called_too))
        return checkpoint(run, *inputs, use_reentrant=False, context_fn=contexts, **options)


@cache
def _checkpointed(block: type[nn.Module]) -> type[nn.Module]:
    return type(block.__name__, (_Checkpointed, block), {})


class _Statistics:
    """Of the batch norms in modules, as they were before a forward pass, which moves them: a second one would move
    them again, and a network that reads them (``Predictor.mask_affine``) would read others."""

    def __init__(self, modules: tuple[nn.Module, ...]) -> None:
        self.norms = [part for module in modules for part in module.modules() if isinstance(part, _NormBase)]
        self.before: list[dict[str, Tensor]] = []

    @contextmanager
    def noted(self) -> Iterator[None]:
        """Around the forward pass."""
        self.before = [_copies(norm) for norm in self.norms]
        yield

    @contextmanager
    def restored(self) -> Iterator[None]:
        """Around the recomputation."""
        after = [dict(norm._buffers) for norm in self.norms]
        for norm, buffers in zip(self.norms, self.before, strict=True):
            norm._buffers.update({name: buffer.clone() for name, buffer in buffers.items()})
        try:
            yield
        finally:
            for norm, buffers in zip(self.norms, after, strict=True):
                norm._buffers.update(buffers)


def _copies(norm: nn.Module) -> dict[str, Tensor]:
    return {name: buffer.clone() for name, buffer in norm.named_buffers()}


def _contexts(modules: tuple[nn.Module, ...]) -> tuple[AbstractContextManager, AbstractContextManager]:
    """Of the forward pass and of the recomputation."""
    statistics = _Statistics(modules)
    return statistics.noted(), statistics.restored()
