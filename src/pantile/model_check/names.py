"""What a model says of its own tensors: heads of classes, queries, weight decay; and of its size."""

from collections.abc import Iterator
from dataclasses import fields

import torch

from pantile.contracts.outputs import MaskSpec
from pantile.model_check.subject import THINGS, Subject


def class_heads_are_named(subject: Subject) -> Iterator[str]:
    """By which weights of other classes are loaded (``pantile train --init``)."""
    with torch.device("meta"):
        model, larger = subject.model(), subject.model(things=(*THINGS, True, False))
    heads, state, other = model.class_heads(), model.state_dict(), larger.state_dict()
    yield from (f"class_heads() names {name!r}, which is no tensor of the model." for name in heads - state.keys())
    rows = (len(THINGS), len(THINGS) + 1)
    by_class = model.class_rows(THINGS) if hasattr(model, "class_rows") else {}
    for name, tensor in state.items():
        if name in heads and name not in by_class and tensor.shape[0] not in rows:
            yield (
                f"class_heads() names {name}, which has {tensor.shape[0]} rows: its first dimension has to be the "
                f"{rows[0]} classes, or {rows[1]} with no-object; for others write class_rows(is_thing)."
            )
        if name not in heads and (name not in other or other[name].shape != tensor.shape):
            yield (
                f"{name} has another shape where the number of classes is another, but class_heads() does not name it: "
                "add it, so that --init can match its rows by class name."
            )


def query_embeddings_are_named(subject: Subject) -> Iterator[str]:
    model = subject.trained_looking
    state = model.state_dict()
    for name, dim in model.query_embeddings().items():
        if name not in state:
            yield f"query_embeddings() names {name!r}, which is no tensor of the model."
        elif state[name].ndim <= dim or state[name].shape[dim] != getattr(subject.config, "num_queries", None):
            yield (
                f"query_embeddings() says that dimension {dim} of {name} is the queries, but its shape is "
                f"{tuple(state[name].shape)} and config.num_queries "
                f"{getattr(subject.config, 'num_queries', 'does not exist')}: mend one of them."
            )


def segment_limit_is_a_number_or_none(subject: Subject) -> Iterator[str]:
    limit = subject.trained_looking.segment_limit
    if limit is not None and (isinstance(limit, bool) or not isinstance(limit, int) or limit < 1):
        yield f"segment_limit is {limit!r}: give how many segments it can tell apart in an image, or None for any."


def weight_decay_is_for_kernels(subject: Subject) -> Iterator[str]:
    model = subject.trained_looking
    spared, parameters = model.no_weight_decay(), dict(model.named_parameters())
    yield from (f"no_weight_decay() names {name!r}, which is no parameter." for name in spared - parameters.keys())
    one_dimensional = {name for name, p in parameters.items() if p.ndim <= 1}
    layers = {name.removesuffix(".weight") for name in parameters.keys() - spared - one_dimensional}
    for name in sorted(one_dimensional - spared):
        if name.removesuffix(".bias") not in layers:
            yield f"{name} is no bias of a kernel, but no_weight_decay() does not name it: it must not decay."


@torch.no_grad()
def the_mask_spec_is_true(subject: Subject) -> Iterator[str]:
    """What techniques build their heads by."""
    spec: MaskSpec | None = getattr(subject.trained_looking, "mask_spec", None)
    if spec is None:  # gives no masks, or takes no technique
        return
    output = subject.model()(subject.images(2))
    real = {
        "num_layers": len(output.layers),
        "num_classes": output.num_classes,
        "embed_channels": output.pixel_embed.shape[1],
        "feature_channels": output.pixel_feature.shape[1],
    }
    if output.positions is None:  # else queries are chosen later
        real["num_queries"] = output.num_queries
    for name in (field.name for field in fields(spec)):
        if name in real and getattr(spec, name) != real[name]:
            yield f"mask_spec.{name} is {getattr(spec, name)}, but an output in training has {real[name]}: mend it."


NAME_CHECKS = (
    class_heads_are_named,
    query_embeddings_are_named,
    segment_limit_is_a_number_or_none,
    weight_decay_is_for_kernels,
    the_mask_spec_is_true,
)
