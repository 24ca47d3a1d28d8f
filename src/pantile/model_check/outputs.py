"""Outputs: at any size, of any batch, finite, and the same with what inference leaves out."""

from collections.abc import Iterator

import torch
from torch import Tensor

from pantile.contracts.placement import Placement
from pantile.merge import merge
from pantile.model_check.finding import expecting
from pantile.model_check.subject import SIZE, Subject
from pantile.model_check.tensors import different, named_tensors, not_finite
from pantile.models import fold_batch_norms

#: even and odd, high and wide, and less than two cells of stride 32
SIZES = ((64, 64), (65, 65), (96, 65), (71, 50), (33, 129))
#: how far two outputs of one image may lie apart, of their length
FAR_APART = 0.02


@torch.no_grad()
def any_size_is_taken(subject: Subject) -> Iterator[str]:
    for height, width in SIZES:
        with expecting(
            f"forward fails at images of {height} x {width}",
            "images have any height and width: compute sizes from the tensors that are there, not from the stride",
        ):
            output = subject.trained_looking(subject.images(1, (height, width)))
        if not next(named_tensors(output), None):
            kinds = "a MaskOutput, CenterOutput or SemanticOutput"
            yield f"forward gives {type(output).__name__}, without a tensor: give {kinds}."
            return
        for name in not_finite(output):
            yield f"output{name} is not finite at images of {height} x {width}: look for a division or a log of zero."


@torch.no_grad()
def an_image_does_not_depend_on_its_batch(subject: Subject) -> Iterator[str]:
    images = subject.images(3)
    with expecting("forward fails at three images", "do not rely on a batch of one"):
        together, alone = subject.trained_looking(images), subject.trained_looking(images[1:2])
    single = dict(named_tensors(alone))
    for name, batch in named_tensors(together):
        if batch[1:2].shape != single[name].shape or _far_apart(batch[1:2], single[name]):
            yield (
                f"output{name} of an image is another alone than in a batch of three, in eval mode: use no statistics "
                "of the batch there."
            )


def _far_apart(some: Tensor, others: Tensor) -> bool:
    """By more than rounding does, also where a hard assignment of pixels to queries turns it into whole steps."""
    some, others = some.float(), others.float()
    return float((some - others).norm()) > FAR_APART * float(others.norm())


@torch.no_grad()
def it_gives_the_classes_it_was_built_for(subject: Subject) -> Iterator[str]:
    output, classes = subject.trained_looking(subject.images()), subject.taxonomy.num_classes
    if output.num_classes != classes:
        yield (
            f"an output has {output.num_classes} classes, not the {classes} of the model: a MaskOutput has one more "
            "column of class_logits for no-object, a CenterOutput none."
        )


@torch.no_grad()
def layers_are_given_in_training_and_when_asked_for(subject: Subject) -> Iterator[str]:
    images, model = subject.images(2), subject.trained_looking
    with expecting("forward fails with layer_outputs=True in eval mode", "give the outputs of earlier layers there"):
        asked, plain = model(images, layer_outputs=True), model(images, layer_outputs=False)
    with expecting("forward fails in training mode", "mend it"):
        trained = subject.model()(images)
    counts = [len(getattr(output, "layers", ())) for output in (trained, asked, plain, model(images))]
    if counts[0] != counts[1]:
        yield f"layer_outputs=True gives {counts[1]} layers in eval mode, training {counts[0]}: report draws them."
    if any(counts[2:]):
        yield "eval mode gives outputs of layers that nobody asked for: layer_outputs=None means self.training."


@torch.no_grad()
def what_is_for_training_only_is_named(subject: Subject) -> Iterator[str]:
    model, images = subject.trained_looking, subject.images()
    parts = model.training_only
    if not isinstance(parts, tuple) or not all(isinstance(part, str) and hasattr(model, part) for part in parts):
        yield f"training_only is {parts!r}: give a tuple of names of submodules, () for none."
        return
    ran: list[str] = []
    modules = {part: getattr(model, part) for part in parts if getattr(model, part) is not None}
    handles = [m.register_forward_hook(lambda *_, part=part: ran.append(part)) for part, m in modules.items()]
    try:
        expected = model(images)
    finally:
        for handle in handles:
            handle.remove()
    for part in sorted(set(ran)):
        yield f"{part} runs in eval mode, but training_only says that it does not: run it if self.training only."
    other = subject.model().eval()
    other.load_state_dict(model.state_dict())
    for name, parameter in other.named_parameters():
        if name.startswith(tuple(f"{part}." for part in parts)):
            parameter.add_(1)
    if not ran and different(expected, other(images)):
        yield "the output is another with other weights of training_only: take out of it what inference uses."


@torch.no_grad()
def folded_batch_norms_change_nothing(subject: Subject) -> Iterator[str]:
    """What eval and predict run."""
    model, images = subject.trained_looking, subject.images(2)
    with expecting("it cannot be copied, as eval and predict do", "keep no closures or open files in the model"):
        folded = fold_batch_norms(model)
    if names := different(model(images), folded(images), tolerance=1e-2):
        yield (
            f"output{names[0]} changes where batch norms are folded into the convolutions before them, as eval and "
            "predict do: in an nn.Sequential let a norm follow the convolution whose output it takes."
        )


@torch.no_grad()
def it_computes_in_bfloat16(subject: Subject) -> Iterator[str]:
    """What a GPU trains in."""
    with (
        expecting(
            "forward fails under autocast to bfloat16, which training on GPUs uses",
            "bring the operands of a product to one type, or compute the part in float32",
        ),
        torch.autocast("cpu", torch.bfloat16),
    ):
        output = subject.trained_looking(subject.images(2))
    for name in not_finite(output):
        yield f"output{name} is not finite in bfloat16: compute what overflows in float32."


@torch.no_grad()
def its_output_becomes_segments(subject: Subject) -> Iterator[str]:
    with expecting(
        f"merge of kind {subject.run.merge.kind!r} cannot make segments of its output",
        "give the output that the merge is for, or name another merge in the recipe",
    ):
        output = subject.trained_looking(subject.images(2))
        placements = [Placement(SIZE, SIZE, (40, 60))] * 2
        predictions = merge(output, subject.taxonomy, subject.run.merge, placements)
    if any(prediction.panoptic.size != (40, 60) for prediction in predictions):
        yield "the merged maps do not have the size of the images: give each prediction at placement.original."


OUTPUT_CHECKS = (
    any_size_is_taken,
    an_image_does_not_depend_on_its_batch,
    it_gives_the_classes_it_was_built_for,
    layers_are_given_in_training_and_when_asked_for,
    what_is_for_training_only_is_named,
    folded_batch_norms_change_nothing,
    it_computes_in_bfloat16,
    its_output_becomes_segments,
)
