"""One training step's losses of any model with any techniques: what the engine does, for loops of one's own."""

from collections.abc import Mapping

from torch import Tensor, nn

from pantile.contracts.errors import UserError
from pantile.contracts.outputs import ModelOutput
from pantile.contracts.targets import PanopticTargets
from pantile.losses.criterion import Criterion
from pantile.losses.result import CriterionResult
from pantile.techniques.base import Technique, run_model
from pantile.techniques.ground_truth import ground_truth_shown


def losses_with(
    model: nn.Module,
    techniques: Mapping[str, Technique],
    criterion: Criterion,
    images: Tensor,
    targets: PanopticTargets,
) -> dict[str, Tensor]:
    """Named scalar losses, weights applied; their sum is what is minimised.

    Args:
        model: in training mode.
        techniques: of ``build_techniques``; ``{}`` for none.
        criterion: of ``create_criterion``, for the model's kind of output.
        images: (B, C, H, W) float, normalised with the config's ``image_mean`` and ``image_std``.
        targets: of the same B images, at (H, W). Clips (``targets.frames`` above 1) are clips to a model that
            ``reads_clips``, and images to any other.

    Raises:
        UserError: images and targets are of other numbers or sizes.
    """
    if targets.ids.shape != (images.shape[0], *images.shape[2:]):
        raise UserError(
            f"There are images of {tuple(images.shape)} and targets of {tuple(targets.ids.shape)}: give a map of "
            "(H, W) for each image."
        )
    targets, options = clips_for(model, targets)
    with ground_truth_shown(techniques.values(), targets):
        output = run_model(model, techniques.values(), images, **options)
    return losses_of(output, techniques, criterion, targets)[0]


def clips_for(model: nn.Module, targets: PanopticTargets) -> tuple[PanopticTargets, dict[str, int]]:
    """The targets as a model understands them, clips or images, and what its ``forward`` has to be told of them."""
    if targets.frames == 1 or getattr(model, "reads_clips", False):
        return targets, {} if targets.frames == 1 else {"frames": targets.frames}
    return targets.as_images(), {}


def losses_of(
    output: ModelOutput, techniques: Mapping[str, Technique], criterion: Criterion, targets: PanopticTargets
) -> tuple[dict[str, Tensor], CriterionResult]:
    """The same of an output that has passed every technique's ``rewrite``, and all that the criterion says."""
    seen = targets
    for technique in techniques.values():
        seen = technique.change_targets(output, seen)
    raw = criterion.choose_queries(output, seen)
    output = raw
    for technique in techniques.values():
        output = technique.before_loss(output, raw, seen)
    result = criterion(output, seen)
    losses = dict(result.losses)
    for name, technique in techniques.items():
        extra = technique.extra_losses(output, targets, result.assignment)
        losses |= {f"{name}_{term}": value for term, value in extra.items()}
    return losses, result
