"""Weights of the backbones that timm does not have, from files."""

import pickle
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from timm.models import adapt_input_conv
from torch import Tensor, nn

from pantile.contracts.errors import UserError


def load_backbone_weights(
    backbone: nn.Module, weights_file: str | Path, first_kernel: str, advice: str = "check the backbone's name"
) -> None:
    """Loads a state dict of this network, or of a model that has it as ``backbone``.

    The first kernel of weights for three bands is adapted to the network's by timm's rule.

    Args:
        weights_file: .safetensors, or a .pth of ``torch.save``.
        first_kernel: name of the kernel that reads the image.
        advice: what to do where the file does not fit.

    Raises:
        UserError: no such file, not a state dict, or not of this network.
    """
    kind = type(backbone).__name__
    state = _read_state(Path(weights_file), kind)
    if any(name.startswith("backbone.") for name in state):
        state = {n.removeprefix("backbone."): t for n, t in state.items() if n.startswith("backbone.")}
    own = backbone.state_dict()
    kernel = state.get(first_kernel)
    if kernel is not None and kernel.ndim == 4 and kernel.shape[1] == 3:
        state[first_kernel] = adapt_input_conv(own[first_kernel].shape[1], kernel)
    missing = [name for name in own if name not in state]
    unknown = [name for name in state if name not in own]
    misshapen = [name for name in own if name in state and state[name].shape != own[name].shape]
    if missing or unknown or misshapen:
        if misshapen:
            name = misshapen[0]
            reason = f"{name} is {tuple(state[name].shape)} there and {tuple(own[name].shape)} here"
        elif missing:
            reason = f"{missing[0]} is missing, the first of {len(missing)}"
        else:
            reason = f"{min(unknown)} is unknown, the first of {len(unknown)}"
        raise UserError(f"model.backbone_weights: {weights_file} does not fit this {kind} ({reason}); {advice}.")
    backbone.load_state_dict(state)


def _read_state(path: Path, kind: str) -> dict[str, Tensor]:
    if not path.is_file():
        raise UserError(f"model.backbone_weights: there is no file {path}; give a state dict of a {kind}.")
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        state = torch.load(path, map_location="cpu", weights_only=True)
    except (SafetensorError, pickle.UnpicklingError, RuntimeError, EOFError, ValueError, KeyError) as error:
        raise UserError(
            f"model.backbone_weights: {path} cannot be read as plain tensors ({type(error).__name__}); give a "
            ".safetensors file or a .pth that torch.save made of a state dict."
        ) from error
    if not isinstance(state, dict) or not all(isinstance(value, Tensor) for value in state.values()):
        raise UserError(f"model.backbone_weights: {path} is not a state dict; save only model.state_dict().")
    return state
