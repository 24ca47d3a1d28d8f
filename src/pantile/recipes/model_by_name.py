"""A model by the name of its recipe, for loops of one's own."""

import dataclasses

from pantile.contracts.errors import UserError
from pantile.contracts.taxonomy import Taxonomy
from pantile.models import ModelConfig, PanopticModel
from pantile.models import create_model as build
from pantile.recipes.registry import make_recipe


def create_model(model: str | ModelConfig, taxonomy: Taxonomy | int, **fields: object) -> PanopticModel:
    """A new model, in training mode. It takes images normalised with ``model.config.image_mean`` and ``image_std``.

    Args:
        model: a recipe's name, ``"mask2former_nano"``, or the config of a model.
        taxonomy: the classes; a number where the model need not tell things from stuff.
        fields: of the model's config, in place of the recipe's: ``num_queries=50``; ``backbone`` may be a module with
            the interface of ``pantile.backbones.Backbone``. ImageNet weights are loaded with ``pretrained=True`` only.

    Raises:
        UserError: unknown name or field, or fields that do not fit together.
    """
    config = make_recipe(model).model if isinstance(model, str) else model
    known = [field.name for field in dataclasses.fields(config)]
    for name in fields:
        if name not in known:
            raise UserError(f"{type(config).__name__} has no field {name!r}; it has {', '.join(known)}.")
    config = dataclasses.replace(config, **({"pretrained": False} if isinstance(model, str) else {}) | fields)
    if isinstance(taxonomy, int):
        return build(config, taxonomy)
    return build(config, taxonomy.num_classes, [c.is_thing for c in taxonomy.classes])
