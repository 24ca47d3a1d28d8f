"""Which techniques go with which architectures: the two are put together, with the defaults of both."""

from dataclasses import dataclass

import torch

from pantile.contracts.errors import UserError
from pantile.contracts.taxonomy import plain_taxonomy
from pantile.models import ARCHITECTURES, create_model
from pantile.techniques import TECHNIQUES, TechniquesConfig, build_techniques

_TAXONOMY = plain_taxonomy(["a thing", "stuff"], things=["a thing"])


@dataclass(frozen=True)
class Pair:
    """
    Attributes:
        fits: whether the model has what the technique needs.
        refusal: why the default settings cannot be built, in one sentence; None where they can.
    """

    fits: bool
    refusal: str | None


def technique_pairs() -> dict[str, dict[str, Pair]]:
    """{architecture: {technique: how they go together}}"""
    return {name: _pairs(model.config_class()) for name, model in sorted(ARCHITECTURES.items())}


def _pairs(config: object) -> dict[str, Pair]:
    with torch.device("meta"):  # no weights, no time
        model = create_model(config, _TAXONOMY.num_classes, [c.is_thing for c in _TAXONOMY.classes])
        return {name: _pair(name, model) for name in sorted(TECHNIQUES)}


def _pair(name: str, model: torch.nn.Module) -> Pair:
    config = TECHNIQUES[name]()
    try:
        build_techniques(TechniquesConfig(**{name: config}), model, _TAXONOMY)
    except UserError as refusal:
        return Pair(config.make().fits(model), str(refusal))
    return Pair(True, None)
