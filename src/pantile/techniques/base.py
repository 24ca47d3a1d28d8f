"""The seam between techniques and the rest: hooks that do nothing unless a technique says otherwise.

The engine calls, in training::

    output = model(images) -> rewrite of every technique
    seen = targets -> change_targets of every technique
    raw = output, with queries chosen by the criterion where it has to
    output = raw -> before_loss of every technique
    losses, assignment = criterion(output, seen)
    losses += extra_losses of every technique

and at inference ``model -> rewrite -> merge``. A technique never edits a model; it reads and replaces the fields of
the model's output. Its own weights live in the technique.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

from torch import Tensor, nn

from pantile.contracts.assignment import Assignment
from pantile.contracts.errors import UserError
from pantile.contracts.outputs import MaskOutput, ModelOutput
from pantile.contracts.panoptic import PanopticMap
from pantile.contracts.registry import Registry
from pantile.contracts.targets import PanopticTargets
from pantile.contracts.taxonomy import Taxonomy


class TechniqueConfig(Protocol):
    """A dataclass with defaults, which switch the technique on."""

    def make(self) -> "Technique | None":
        """The module, or None where the settings switch it off."""
        ...

    # A config may also have ``settled(read) -> config``: itself with what it has to know of the files that it names,
    # before a new run is built; ``read`` as in ``Technique.start``. From then on the run needs these files no more.


class Trained(Protocol):
    """Weights of a run, as ``load_checkpoint`` reads them: its config, classes and ``part("model")``."""

    path: object
    config: object
    taxonomy: Taxonomy

    def part(self, name: str) -> dict[str, Tensor]: ...


#: the config classes of all techniques, by their names in ``techniques.NAME``
TECHNIQUES: Registry[type[TechniqueConfig]] = Registry("technique", "pantile.techniques")


@dataclass(frozen=True)
class ParameterScale:
    """What the optimizer multiplies with for a parameter of a technique.

    Attributes:
        learning_rate: of the run's learning rate.
        weight_decay: of the run's weight decay, where the parameter decays.
    """

    learning_rate: float = 1.0
    weight_decay: float = 1.0


Networks = Callable[[Mapping[str, Any], int], nn.Module]


class Technique(nn.Module):
    """Base class. Subclasses override the hooks they need; outputs are of the types of the models that it fits."""

    #: attributes of models that say what the technique has to know of them: a model with any of these will do
    needs: ClassVar[tuple[str, ...]] = ("mask_spec",)
    #: what such models give, for messages
    works_on: ClassVar[str] = "queries and masks"
    #: True when inference needs the technique's weights, so that they stay in exported files.
    needed_at_inference: bool = False
    #: True when ``show_ground_truth`` is to be called before the model runs, in training and in evaluation.
    reads_ground_truth: bool = False
    #: from the fields of a model's config, as a file has them, and a number of classes to that model: for a technique
    #: that has a network beside its host. Set before ``build``; None where there is nobody to make one.
    networks: "Networks | None" = None

    def fits(self, model: nn.Module) -> bool:
        """Whether ``model`` has what the technique needs."""
        return any(hasattr(model, name) for name in self.needs)

    def build(self, model: nn.Module, taxonomy: Taxonomy) -> None:
        """Makes the technique's own heads for ``model``, which has what the technique ``needs``."""

    def attach(self, model: nn.Module) -> None:
        """Sets a seam of ``model``; called after ``build``, and again for a copy that takes the model's place."""

    def show_ground_truth(self, ground_truth: PanopticTargets | Sequence[PanopticMap] | None) -> None:
        """What experiments with an oracle may know before the model runs.

        Args:
            ground_truth: of the next batch, as training or as evaluation has it; None takes it back.
        """

    def show_images(self, images: Tensor | None) -> None:
        """What the model is about to see, for a technique that looks at images itself.

        Args:
            images: (B, C, H, W) float, normalised, 0 where there is padding; None takes them back.
        """

    def start(self, read: "Callable[[str], Trained]") -> None:
        """Loads the weights of files that its config names; called once, before the first step of a new run.

        Args:
            read: a run folder or a file to what it holds.
        """

    def rewrite(self, output: ModelOutput) -> ModelOutput:
        """Changes outputs in training and at inference."""
        return output

    def change_targets(self, output: ModelOutput, targets: PanopticTargets) -> PanopticTargets:
        """Changes what criteria and ``before_loss`` compare outputs with. Rows of the table keep their numbers.

        Args:
            output: after ``rewrite`` of every technique.
            targets: what earlier techniques left.
        """
        return targets

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
            targets: all of them, also those that ``change_targets`` took from the criterion.
            assignment: what the criterion compared each query of the output and of its layers with.
        """
        return {}

    def learned(self) -> dict[str, Tensor]:
        """What a report may draw of what was learned: float32 tensors of (n,) on the CPU, by name."""
        return {}

    def class_heads(self) -> set[str]:
        """As ``PanopticModel.class_heads``, of the technique's own tensors."""
        return set()

    def parameter_scales(self) -> dict[str, ParameterScale]:
        """By name, for parameters of the technique whose learning rate or weight decay is another than the run's."""
        return {}


def build_techniques(
    config: object, model: nn.Module, taxonomy: Taxonomy, networks: Networks | None = None
) -> nn.ModuleDict:
    """Makes and builds the techniques of a ``TechniquesConfig``.

    A technique config has a ``make()`` that returns its module, or None when its weight is 0: then nothing is
    built, no random number is drawn, and the run is the run without the technique to the last bit.

    Args:
        networks: see ``Technique.networks``.
    """
    techniques = {}
    for name, technique_config in config.items():
        technique = technique_config.make() if technique_config is not None else None
        if technique is not None:
            if not technique.fits(model):
                raise UserError(
                    f"techniques.{name} works on {technique.works_on}, which {type(model).__name__} does not give: "
                    f"switch it off with --set techniques.{name}=null."
                )
            technique.networks = networks
            technique.build(model, taxonomy)
            technique.attach(model)
            techniques[name] = technique
    return nn.ModuleDict(techniques)


def settled_techniques(config: object, read: Callable[[str], Trained]) -> object:
    """The ``TechniquesConfig`` of a new run with what its techniques have to know of files; see ``TechniqueConfig``."""
    settled = {name: own.settled(read) if hasattr(own, "settled") else own for name, own in config.items()}
    return type(config)(**settled)


def run_model(model: nn.Module, techniques: Iterable[Technique], images: Tensor, **options: object) -> ModelOutput:
    """A model's output after every technique's ``rewrite``.

    Args:
        images: (B, C, H, W) float, what the model takes.
        options: go to the model.
    """
    techniques = list(techniques)
    for technique in techniques:
        technique.show_images(images)
    try:
        return rewrite_all(techniques, model(images, **options))
    finally:
        for technique in techniques:
            technique.show_images(None)


def rewrite_all(techniques: Iterable[Technique], output: ModelOutput) -> ModelOutput:
    for technique in techniques:
        output = technique.rewrite(output)
    return output
