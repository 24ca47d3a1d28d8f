"""Training: every parameter learns, a step's losses are numbers; and weights are all that a model knows."""

from collections.abc import Iterator

import torch
from safetensors.torch import load, save

from pantile.contracts.targets import PanopticTargets, collate_targets
from pantile.losses.registry import create_criterion
from pantile.model_check.finding import expecting
from pantile.model_check.subject import SIZE, THINGS, Subject
from pantile.model_check.tensors import different, pseudo_loss
from pantile.techniques import losses_with


def every_parameter_gets_a_gradient(subject: Subject) -> Iterator[str]:
    for batch in (1, 2):
        model = subject.model()
        with expecting(f"{batch} image(s) cannot be trained on", "mend forward in training mode"):
            pseudo_loss(model(subject.images(batch))).backward()
        trained = {name: p for name, p in model.named_parameters() if p.requires_grad}
        unused = [name for name, p in trained.items() if p.grad is None]
        if unused:
            yield (
                f"{unused[0]} (one of {len(unused)}) is not used in training, at which several processes stop: take it "
                "out, or set requires_grad=False."
            )
        broken = [name for name, p in trained.items() if p.grad is not None and not p.grad.isfinite().all()]
        if broken:
            yield f"the gradient of {broken[0]} is not finite: look for a division, root or log at zero."
        if not any(p.grad is not None and p.grad.abs().sum() > 0 for p in model.backbone.parameters()):
            yield "no gradient reaches the backbone: do not detach its features."
        if unused or broken:
            return


def a_step_has_finite_losses(subject: Subject) -> Iterator[str]:
    config = subject.run.criterion
    model, criterion = subject.model(), create_criterion(config, subject.taxonomy)
    with expecting(
        f"the criterion of kind {config.kind!r} cannot take its output",
        "give the output that the criterion is for, or name another criterion in the recipe",
    ):
        losses = losses_with(model, {}, criterion, subject.images(2), two_squares())
        torch.stack(list(losses.values())).sum().backward()
    for name, loss in losses.items():
        if not loss.isfinite():
            yield f"the loss {name!r} of a new model is {loss.item():g}: start from smaller logits."
    broken = [n for n, p in model.named_parameters() if p.grad is not None and not p.grad.isfinite().all()]
    if broken:
        yield f"the gradient of {broken[0]} in a training step is not finite: look for a root or log at zero."


@torch.no_grad()
def weights_are_all_that_it_knows(subject: Subject) -> Iterator[str]:
    """Two rounds of writing and reading."""
    model, images = subject.trained_looking, subject.images(2)
    state = model.state_dict()
    for _ in range(2):
        with expecting(
            "its weights cannot be written as safetensors",
            "keep tensors only in parameters and buffers, none of which shares the memory of another",
        ):
            content = save({name: tensor.contiguous() for name, tensor in state.items()})
        other = subject.model().eval()
        other.load_state_dict(load(content))
        if names := different(model(images), other(images)):
            yield (
                f"output{names[0]} is another after its weights were written and read: make every tensor that is not "
                "computed from the config a parameter or a persistent buffer."
            )
            return
        state = other.state_dict()


def two_squares() -> PanopticTargets:
    """A thing on stuff, and an image that is all void."""
    ids = torch.zeros(2, *SIZE, dtype=torch.int32)
    ids[0] = 1
    ids[0, 10:40, 20:60] = 2
    classes = [torch.tensor([THINGS.index(False), THINGS.index(True)]), torch.zeros(0, dtype=torch.int64)]
    crowd = [torch.zeros(len(rows), dtype=torch.bool) for rows in classes]
    return collate_targets(list(ids), classes, crowd, ("squares", "void"), len(THINGS))


TRAINING_CHECKS = (every_parameter_gets_a_gradient, a_step_has_finite_losses, weights_are_all_that_it_knows)
