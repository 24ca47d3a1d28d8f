"""The config: the fields that other rooms read, and that it survives files."""

import dataclasses
from collections.abc import Iterator
from typing import Literal, get_args, get_origin, get_type_hints

from pantile.engine.config import from_dict, to_dict
from pantile.model_check.finding import expecting
from pantile.model_check.subject import Subject
from pantile.models import ARCHITECTURES, PanopticModel

#: field -> how it is written, and who reads it
FIELDS = {
    "architecture": ('Literal["my_model"] = "my_model"', "files tell configs apart by it"),
    "backbone": ('str = "resnet50.tv_in1k"', "predict and report say which it is"),
    "pretrained": ("bool = False", "eval, predict, report and models info open a model without a download by it"),
    "in_channels": ("int = 3", "images are read with so many bands"),
    "image_mean": ("tuple[float, ...] = (123.675, 116.28, 103.53)", "images are normalised by it"),
    "image_std": ("tuple[float, ...] = (58.395, 57.12, 57.375)", "images are normalised by it"),
}


def the_config_has_the_fields_that_verbs_read(subject: Subject) -> Iterator[str]:
    if not dataclasses.is_dataclass(subject.config):
        yield f"{subject.name} is no dataclass: write @dataclass above it."
        return
    names = {field.name for field in dataclasses.fields(subject.config)}
    for name, (annotation, why) in FIELDS.items():
        if name not in names:
            yield f"{subject.name} has no field {name!r}, and {why}: add `{name}: {annotation}`."
    missing = (dataclasses.MISSING, dataclasses.MISSING)
    without = [f.name for f in dataclasses.fields(subject.config) if (f.default, f.default_factory) == missing]
    if without:
        yield f"{subject.name}.{without[0]} has no default, so --set cannot start from one: give each field a default."


def the_architecture_is_registered(subject: Subject) -> Iterator[str]:
    config = subject.config
    annotation = get_type_hints(type(config))["architecture"]
    if get_origin(annotation) is not Literal or config.architecture not in get_args(annotation):
        yield (
            f"{subject.name}.architecture is annotated as {annotation}, so files of other architectures would be read "
            f"as this one: write `architecture: Literal[{config.architecture!r}] = {config.architecture!r}`."
        )
    if config.architecture not in ARCHITECTURES:
        yield (
            f"no architecture is registered as {config.architecture!r}: write "
            f"@ARCHITECTURES.register({config.architecture!r}) above the model."
        )
        return
    model = ARCHITECTURES[config.architecture]
    if getattr(model, "config_class", None) is not type(config):
        yield f"{model.__name__}.config_class is not {subject.name}, as which files are read: set it."
    if not issubclass(model, PanopticModel):
        yield (
            f"{model.__name__} is no PanopticModel: derive it from pantile.models.PanopticModel, which has the "
            "defaults of all that verbs ask a model."
        )


def mean_and_std_are_of_0_to_255(subject: Subject) -> Iterator[str]:
    config = subject.config
    for name in ("image_mean", "image_std"):
        values = getattr(config, name)
        if len(values) != config.in_channels:
            yield f"{subject.name}.{name} has {len(values)} values for {config.in_channels} bands: give one per band."
    if min(config.image_std) <= 0:
        yield f"{subject.name}.image_std is {config.image_std}: images are divided by it, so give positive numbers."
    elif max(config.image_std) <= 1:
        yield (
            f"{subject.name}.image_std is {config.image_std}, which is for images of 0..1, but ours are of 0..255: "
            "multiply mean and std by 255."
        )


def the_config_survives_files(subject: Subject) -> Iterator[str]:
    with expecting(
        f"{subject.name} cannot be written to a file and read again",
        "keep to numbers, texts, flags, tuples of them, None and dataclasses, with exact annotations",
    ):
        read = from_dict(to_dict(subject.run)).model
    if read != subject.run.model:
        names = [field.name for field in dataclasses.fields(read)]
        changed = [n for n in names if getattr(read, n) != getattr(subject.run.model, n)]
        yield (
            f"{subject.name}.{(changed or names)[0]} comes back from a file as another value: give it an exact "
            "annotation, such as tuple[int, ...] for a tuple."
        )


CONFIG_CHECKS = (
    the_config_has_the_fields_that_verbs_read,
    the_architecture_is_registered,
    mean_and_std_are_of_0_to_255,
    the_config_survives_files,
)
