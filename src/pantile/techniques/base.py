"""The seam between techniques and the rest: hooks that do nothing unless a technique says otherwise.

The engine calls, in training::

    raw = model(images) -> rewrite of every technique -> queries chosen by the criterion, where it has to
    output = raw -> before_loss of every technique
    losses, assignment = criterion(output, targets)
    losses += extra_losses of every technique

and at inference ``model -> rewrite -> merge``. A technique never edits a model; it reads and replaces the fields of
the model's output. Its own weights live in the technique.
"""

from collections.abc import Iterable
from typing import ClassVar, Protocol

from torch import Tensor, nn

from pantile.contracts.assignment import Assignment
from pantile.contracts.errors import UserError
from pantile.contracts.outputs import MaskOutput
from pantile.contracts.registry import Registry
from pantile.contracts.targets import PanopticTargets
from pantile.contracts.taxonomy import Taxonomy


class TechniqueConfig(Protocol):
    """A dataclass with defaults, which switch the technique on."""

    def make(self) -> "Technique | None":
        """The module, or None where the settings switch it off."""
        ...


#: the config classes of all techniques, by their names in ``techniques.NAME``
TECHNIQUES: Registry[type[TechniqueConfig]] = Registry("technique", "pantile.techniques")


class Technique(nn.Module):
    """Base class. Subclasses override the hooks they need."""

    #: the attribute of a model that says what the technique has to know of it
    needs: ClassVar[str] = "mask_spec"
    #: True when ``rewrite`` needs the technique's weights at inference, so that they stay in exported files.
    needed_at_inference: bool = False

    def build(self, model: nn.Module, taxonomy: Taxonomy) -> None:
        """Makes the technique's own heads for ``model``, which has what the technique ``needs``."""

    def attach(self, model: nn.Module) -> None:
        """Sets a seam of ``model``; called after ``build``, and again for a copy that takes the model's place."""

    def rewrite(self, output: MaskOutput) -> MaskOutput:
        """Changes outputs in training and at inference."""
        return output

    def before_loss(self, output: MaskOutput, raw: MaskOutput, targets: PanopticTargets) -> MaskOutput:
        """Changes what the criterion sees, in training only.

        Args:
            output: what earlier techniques left.
            raw: the model's own output, untouched, so that the order of techniques does not matter.
        """
        return output

    def extra_losses(self, output: MaskOutput, targets: PanopticTargets, assignment: Assignment) -> dict[str, Tensor]:
        """Named scalar losses, each with its weight applied.

        Args:
            output: what the criterion saw.
            assignment: what the criterion compared each query of the output and of its layers with.
        """
        return {}


def build_techniques(config: object, model: nn.Module, taxonomy: Taxonomy) -> nn.ModuleDict:
    """Makes and builds the techniques of a ``TechniquesConfig``.

    A technique config has a ``make()`` that returns its module, or None when its weight is 0: then nothing is
    built, no random number is drawn, and the run is the run without the technique to the last bit.
    """
    techniques = {}
    for name, technique_config in config.items():
        technique = technique_config.make() if technique_config is not None else None
        if technique is not None:
            if not hasattr(model, technique.needs):
                raise UserError(
                    f"techniques.{name} works on queries and masks, which {type(model).__name__} does not give: "
                    f"switch it off with --set techniques.{name}=null."
                )
            technique.build(model, taxonomy)
            technique.attach(model)
            techniques[name] = technique
    return nn.ModuleDict(techniques)


def rewrite_all(techniques: Iterable[Technique], output: MaskOutput) -> MaskOutput:
    for technique in techniques:
        output = technique.rewrite(output)
    return output
