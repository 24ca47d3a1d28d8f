"""What a run's network costs with its techniques: those that inference needs, and those that only training has."""

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor, nn

from pantile.contracts.taxonomy import plain_taxonomy
from pantile.engine.config import RunConfig
from pantile.models import create_model
from pantile.models.cost import Cost, count_cost, count_parameters
from pantile.models.registry import model_from_fields
from pantile.techniques import build_techniques
from pantile.techniques.base import run_model


def run_cost(config: RunConfig, is_thing: Sequence[bool], size: int | tuple[int, int]) -> Cost:
    """Counted on the meta device: no weights, no time.

    Args:
        config: of the run; nothing is downloaded.
        is_thing: per class.
        size: height and width of the image in pixels, or both as one number.
    """
    return count_cost(_network(config, is_thing), size)


def parameters_of(config: RunConfig, is_thing: Sequence[bool]) -> int:
    """``Cost.parameters`` alone, in a fraction of the time."""
    parameters, _ = count_parameters(_network(config, is_thing))
    return parameters


def _network(config: RunConfig, is_thing: Sequence[bool]) -> "_Network":
    names = [str(index) for index in range(len(is_thing))]
    taxonomy = plain_taxonomy(names, [name for name, thing in zip(names, is_thing, strict=True) if thing])
    with torch.device("meta"):
        model = create_model(replace(config.model, pretrained=False), len(is_thing), is_thing)
        techniques = build_techniques(config.techniques, model, taxonomy, model_from_fields)
    return _Network(model, techniques)


class _Network(nn.Module):
    """A model and what its techniques make of its output."""

    def __init__(self, model: nn.Module, techniques: nn.ModuleDict) -> None:
        super().__init__()
        self.config = model.config
        self.model = model
        self.techniques = techniques

    @property
    def training_only(self) -> tuple[str, ...]:
        idle = (name for name, technique in self.techniques.items() if not technique.needed_at_inference)
        of_model = getattr(self.model, "training_only", ())
        return (*(f"model.{name}" for name in of_model), *(f"techniques.{name}" for name in idle))

    def forward(self, images: Tensor) -> object:
        return run_model(self.model, self.techniques.values(), images)
