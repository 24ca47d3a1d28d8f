"""How much memory a training step needs, estimated before anything is computed."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn
from torch.func import functional_call

from pantile.engine.config import RunConfig
from pantile.models import create_model

#: bytes a trainable number needs beside its activations: itself, its gradient and what the optimizer keeps of it
PER_WEIGHT = {"adamw": 16, "sgd": 12}
#: of what the network keeps for the backward pass: losses, gradients of activations and the allocator's waste
BESIDE_NETWORK = 0.5


@dataclass(frozen=True)
class StepMemory:
    """Bytes.

    Attributes:
        weights: parameters, gradients and the optimizer's state.
        sample: what each image of a device's batch needs.
    """

    weights: int
    sample: int

    def of(self, images: int) -> int:
        return self.weights + images * self.sample


def step_memory(config: RunConfig, is_thing: Sequence[bool]) -> StepMemory:
    """An estimate: counts what the network keeps for the backward pass of one sample of ``config.augment.crop``, on the
    meta device, and adds ``BESIDE_NETWORK`` of it for all else. Numbers of 32 bits are assumed; in bf16 it is less.

    Args:
        is_thing: per class.
    """
    with torch.device("meta"):
        model = create_model(replace(config.model, pretrained=False), len(is_thing), list(is_thing)).train()
    trainable = sum(p.numel() for p in model.parameters() if p.requires_grad)
    images = torch.empty(1, config.model.in_channels, *config.augment.crop, device="meta")
    kept = _kept_for_backward(model, images)
    return StepMemory(trainable * PER_WEIGHT[config.optimizer.kind], round(kept * (1 + BESIDE_NETWORK)))


def _kept_for_backward(model: nn.Module, images: Tensor) -> int:
    """Bytes of the tensors that autograd saves in a forward pass, each storage once, parameters left out."""
    own = {tensor.untyped_storage()._cdata for tensor in (*model.parameters(), *model.buffers())}
    seen: dict[int, Tensor] = {}  # the tensors live on, so that no storage takes the place of another

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()._cdata
        if storage not in own:
            seen.setdefault(storage, tensor)
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        functional_call(model, {}, (images,))
    return sum(tensor.untyped_storage().nbytes() for tensor in seen.values())
