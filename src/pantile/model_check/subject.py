"""The architecture that is checked, and what goes with it: classes, a run, models and images."""

from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property

import torch
from torch import Tensor

from pantile.contracts.errors import UserError
from pantile.contracts.taxonomy import Taxonomy, plain_taxonomy
from pantile.engine.config import RunConfig
from pantile.losses.criterion import CriterionConfig
from pantile.merge import MergeConfig
from pantile.model_check.tensors import randomise_norms
from pantile.models import ARCHITECTURES, ModelConfig, PanopticModel
from pantile.models import create_model as build
from pantile.recipes import list_recipes, make_recipe
from pantile.techniques import TechniquesConfig

#: things and stuff in an order that no model can rely on
THINGS = (False, True, True, False, True)
SIZE = (65, 97)


class Subject:
    """
    Args:
        model: the name of a recipe or of an architecture, or a config: of a model or of a run.
        criterion: in place of the recipe's.
        merge: in place of the recipe's.
    """

    def __init__(
        self,
        model: str | ModelConfig | RunConfig,
        criterion: CriterionConfig | None = None,
        merge: MergeConfig | None = None,
    ) -> None:
        self._recipe = model if isinstance(model, RunConfig) else None
        if isinstance(model, str):
            self._recipe = make_recipe(model) if model in list_recipes() else _recipe_of(ARCHITECTURES.find(model))
            model = self._recipe.model if self._recipe is not None else ARCHITECTURES[model].config_class()
        self.config = self._recipe.model if isinstance(model, RunConfig) else model
        self._criterion, self._merge = criterion, merge
        self.taxonomy = taxonomy_of(THINGS)

    @property
    def name(self) -> str:
        return type(self.config).__name__

    @cached_property
    def run(self) -> RunConfig:
        """The recipe with this model, and without techniques.

        Raises:
            UserError: no recipe has this architecture, and criterion or merge are not given.
        """
        complete = self._criterion is not None and self._merge is not None
        recipe = self._recipe or (None if complete else _recipe_of(ARCHITECTURES[self.config.architecture]))
        if recipe is None and not complete:
            raise UserError(
                f"no recipe has the architecture {self.config.architecture!r}: register one, or give check_model its "
                "criterion= and merge="
            )
        recipe = recipe or make_recipe(list_recipes()[0])  # for what is no part of the architecture
        config = replace(self.config, pretrained=False)
        criterion, merge = self._criterion or recipe.criterion, self._merge or recipe.merge
        return replace(recipe, model=config, criterion=criterion, merge=merge, techniques=TechniquesConfig())

    def model(self, things: Sequence[bool] = THINGS, **fields: object) -> PanopticModel:
        """A new model, in training mode; always the same numbers.

        Args:
            things: per class.
            fields: of the config that differ.
        """
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            return build(replace(self.config, pretrained=False, **fields), len(things), things)

    @cached_property
    def trained_looking(self) -> PanopticModel:
        """In eval mode, with random norms; for reading only."""
        return randomise_norms(self.model().eval())

    def images(self, batch: int = 1, size: tuple[int, int] = SIZE, channels: int | None = None) -> Tensor:
        """(batch, channels, height, width) float32 of -1..1; always the same numbers."""
        generator = torch.Generator().manual_seed(1)
        return torch.rand(batch, channels or self.config.in_channels, *size, generator=generator) * 2 - 1


def taxonomy_of(things: Sequence[bool]) -> Taxonomy:
    names = [f"class {k}" for k in range(len(things))]
    return plain_taxonomy(names, things=[name for name, thing in zip(names, things, strict=True) if thing])


def _recipe_of(architecture: type[PanopticModel]) -> RunConfig | None:
    """The smallest recipe of an architecture, by its name, else the first; None where it has none."""
    for name in sorted(list_recipes(), key=lambda name: not name.endswith("_nano")):
        if isinstance((recipe := make_recipe(name)).model, architecture.config_class):
            return recipe
    return None
