"""What a model costs: parameters and multiply-adds, counted without computing anything."""

from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.utils.flop_counter import FlopCounterMode


@dataclass(frozen=True)
class Cost:
    """Attributes:
    parameters: trainable parameters that stay after training; papers report these.
    training_only_parameters: of the submodules that ``model.training_only`` names.
    multiply_adds: of one image in eval mode; papers call them FLOPs. Convolutions and matrix products only.
    """

    parameters: int
    training_only_parameters: int
    multiply_adds: int


def count_cost(model: nn.Module, size: int | tuple[int, int]) -> Cost:
    """Counts on the meta device; ``model`` may live anywhere and is left as it is.

    Args:
        model: takes (B, in_channels, H, W) images, has ``config.in_channels`` and, if some of its submodules are
            only for training, their names in ``training_only``.
        size: height and width of the image in pixels, or both as one number.
    """
    height, width = (size, size) if isinstance(size, int) else size
    state = {name: _on_meta(tensor) for name, tensor in (*model.named_parameters(), *model.named_buffers())}
    images = torch.empty(1, model.config.in_channels, height, width, device="meta")
    counter = FlopCounterMode(display=False)
    with _eval_mode(model), torch.no_grad(), counter:
        functional_call(model, state, (images,))
    return Cost(*count_parameters(model), counter.get_total_flops() // 2)


def count_parameters(model: nn.Module) -> tuple[int, int]:
    """``Cost.parameters`` and ``Cost.training_only_parameters``."""
    training_only = tuple(f"{name}." for name in getattr(model, "training_only", ()))
    trainable = [(name, p.numel()) for name, p in model.named_parameters() if p.requires_grad]
    extra = sum(count for name, count in trainable if name.startswith(training_only)) if training_only else 0
    return sum(count for _, count in trainable) - extra, extra


def _on_meta(tensor: Tensor) -> Tensor:
    return torch.empty_like(tensor, device="meta")


@contextmanager
def _eval_mode(model: nn.Module):
    """Eval mode inside, afterwards every module as it was."""
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        yield
    finally:
        for module, training in modes:
            module.training = training
