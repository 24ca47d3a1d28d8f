"""Which techniques go with which architectures: what the one needs, the other must have."""

from dataclasses import fields
from typing import get_args, get_type_hints

from pantile.models import ARCHITECTURES
from pantile.techniques import Technique, TechniquesConfig


def technique_pairs() -> dict[str, dict[str, bool]]:
    """{architecture: {technique: whether it can be switched on}}, by the test that ``build_techniques`` makes.

    Nothing but classes is looked at, so what a technique ``needs`` must be an attribute of the model's class.
    """
    techniques = default_techniques()
    return {
        name: {technique: hasattr(model, module.needs) for technique, module in techniques.items()}
        for name, model in ARCHITECTURES.items()
    }


def default_techniques() -> dict[str, Technique]:
    """One module of each technique, not built for any model. The defaults of its config must switch it on."""
    kinds = get_type_hints(TechniquesConfig)
    return {field.name: get_args(kinds[field.name])[0]().make() for field in fields(TechniquesConfig)}
