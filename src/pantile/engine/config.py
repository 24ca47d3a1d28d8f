"""RunConfig: everything that decides a run, as dataclasses; overrides, files, and messages for mistakes."""

import dataclasses
import difflib
import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

import pydantic
import yaml

from pantile.contracts.atomic import replacing
from pantile.contracts.errors import UserError
from pantile.data import AugmentConfig, FitConfig
from pantile.losses.registry import CriterionConfig
from pantile.merge import MergeConfig
from pantile.models import ModelConfig
from pantile.techniques import TechniquesConfig

#: groups of which there are several kinds, and the field that tells which
_TAGS = {"model": "architecture", "criterion": "kind", "merge": "kind"}


@dataclass
class OptimizerConfig:
    """An optimizer with a schedule in fractions of the run."""

    kind: Literal["adamw", "sgd"] = "adamw"
    learning_rate: float = 5e-4  # of the decoder, per effective batch (no scaling with devices)
    backbone_multiplier: float = 0.1  # learning rate of the backbone relative to the rest
    weight_decay: float = 0.05  # on convolution and linear kernels only
    betas: tuple[float, float] = (0.9, 0.999)  # of adamw
    eps: float = 1e-8  # of adamw
    momentum: float = 0.9  # of sgd
    schedule: Literal["poly", "step", "constant"] = "poly"
    poly_power: float = 0.9  # base * (1 - step / steps) ** power, not shifted by the warm-up
    milestones: tuple[float, ...] = (0.85, 0.95)  # step schedule: fractions of the run
    step_factor: float = 0.1  # step schedule: multiply by this at each milestone
    warmup: float = 5_000 / 150_000  # linear warm-up, fraction of the run
    warmup_start: float = 0.001  # fraction of the learning rate at step 0
    gradient_clip: float | None = None  # None is no clipping
    # what gradient_clip limits: the norm of all gradients together, or each number (detectron2's "value")
    clip_by: Literal["norm", "value"] = "norm"


@dataclass
class TrainingConfig:
    """Length, batch, precision and rhythm of a run."""

    steps: int = 150_000  # optimizer steps
    effective_batch: int = 64  # images per optimizer step over all devices and accumulation
    device_batch: int | None = None  # images per device at once; None: effective_batch / devices, no accumulation
    precision: Literal["auto", "fp32", "bf16"] = "auto"  # auto: bf16 on GPUs; fp32 on CPUs, many of which emulate bf16
    validate_every: float = 0.05  # fraction of the run between validations; there is always one at the end
    # of the validations, by which the best weights are chosen; the later of equal ones
    best_metric: Literal["pq", "pq_things", "pq_stuff", "sq", "rq"] = "pq"
    validation_images: int | None = None  # at most so many per validation; None is the whole split, 0 no validation
    checkpoint_minutes: float = 5.0  # between checkpoints to resume from
    workers: int = 4  # data loading processes per device
    log_every: int = 10  # optimizer steps between log rows


@dataclass
class RunConfig:
    """A complete run. Class counts are not here: they come from the data set."""

    recipe: str
    model: Annotated[ModelConfig, pydantic.Field(discriminator=_TAGS["model"])]
    augment: AugmentConfig
    criterion: Annotated[CriterionConfig, pydantic.Field(discriminator=_TAGS["criterion"])]
    merge: Annotated[MergeConfig, pydantic.Field(discriminator=_TAGS["merge"])]
    techniques: TechniquesConfig = field(default_factory=TechniquesConfig)
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    training: TrainingConfig = field(default_factory=TrainingConfig)
    evaluation_size: tuple[int, int] | FitConfig = (1281, 1281)  # (H, W) to fit images into, or a rule for each image
    seed: int = 1


def to_dict(config: RunConfig) -> dict:
    """Plain containers (tuples become lists), safe for YAML, JSON and ``weights_only`` checkpoints."""
    return json.loads(json.dumps(dataclasses.asdict(config)))


def from_dict(data: dict, source: str = "the configuration") -> RunConfig:
    """Checks every field's name and type.

    Raises:
        UserError: names the field, what was wrong, and the nearest field where the name is unknown.
    """
    _check_names(data, RunConfig, source, prefix="")
    try:
        return _adapter().validate_python(data)
    except pydantic.ValidationError as error:
        first = error.errors()[0]
        # after a group of several kinds, pydantic names the kind as if it were a field
        where = [str(part) for i, part in enumerate(first["loc"]) if i != 1 or first["loc"][0] not in _TAGS]
        raise UserError(f"{source}: {'.'.join(where)}: {first['msg']} (got {first['input']!r}).") from None


@cache
def _adapter() -> pydantic.TypeAdapter:
    """Made at first use: it takes a third of a second."""
    return pydantic.TypeAdapter(RunConfig)


def override(config: RunConfig, assignments: Iterable[str]) -> RunConfig:
    """Applies ``field.subfield=value`` texts (values in YAML) with a type check.

    A group that is off (None) or given in another form is switched on with its defaults when a field of it is set.

    Raises:
        UserError: for a misspelt field (with the nearest one) or a value of the wrong type.
    """
    data = to_dict(config)
    for assignment in assignments:
        path, equals, text = assignment.partition("=")
        if not equals:
            raise UserError(f"--set {assignment}: write field=value, for example --set training.steps=1000.")
        source = f"--set {assignment}"
        parts = path.strip().split(".")
        _check_path(parts, source)
        node: dict = data
        for part in parts[:-1]:
            if not isinstance(node.get(part), dict):
                node[part] = {}
            node = node[part]
        try:
            value = yaml.safe_load(text)
        except yaml.YAMLError:
            value = text
        node[parts[-1]] = _number(value)
        from_dict(data, source)
    return from_dict(data, "the overrides")


def without_download(config: RunConfig) -> RunConfig:
    """The same run for weights that come from a file: the backbone's ImageNet weights are not fetched."""
    return dataclasses.replace(config, model=dataclasses.replace(config.model, pretrained=False))


def save_yaml(config: RunConfig, path: Path) -> None:
    with replacing(path) as temporary:
        temporary.write_text(yaml.safe_dump(to_dict(config), sort_keys=False))


def load_yaml(path: Path) -> RunConfig:
    """Reads what ``save_yaml`` wrote."""
    try:
        data = yaml.safe_load(Path(path).read_text())
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; --config takes the config.yaml of a run folder.") from None
    except yaml.YAMLError as error:
        raise UserError(f"{path}: not YAML ({str(error).splitlines()[0]}).") from None
    if not isinstance(data, dict):
        raise UserError(f"{path}: expected the fields of a run, found {type(data).__name__}.")
    return from_dict(data, str(path))


def field_names(cls: type = RunConfig, prefix: str = "") -> list[str]:
    """Every dotted field of a config class, groups included."""
    names = []
    for item in dataclasses.fields(cls):
        names.append(prefix + item.name)
        for group in _groups(item.type):
            names += field_names(group, f"{prefix}{item.name}.")
    return list(dict.fromkeys(names))


def _groups(annotation: Any) -> list[type]:
    """The dataclasses in an annotation such as ``X``, ``X | None`` or ``X | Y``."""
    if dataclasses.is_dataclass(annotation):
        return [annotation]
    return [group for option in get_args(annotation) for group in _groups(option)]


def _check_path(parts: list[str], source: str) -> None:
    known = field_names()
    name = ".".join(parts)
    if name not in known:
        raise UserError(f"{source}: there is no field {name!r}{_suggestion(name, known)}")


def _check_names(data: dict, cls: type, source: str, prefix: str) -> None:
    """Unknown fields get a suggestion; pydantic alone would ignore them."""
    known = {item.name: item.type for item in dataclasses.fields(cls)}
    for name, value in data.items():
        if name not in known:
            raise UserError(f"{source}: there is no field {prefix + name!r}{_suggestion(prefix + name, field_names())}")
        groups = _groups(known[name])
        if isinstance(value, dict) and groups:
            _check_names(value, _chosen(groups, value, _TAGS.get(name)), source, f"{prefix}{name}.")


def _chosen(groups: list[type], value: dict, tag: str | None) -> type:
    """Of several kinds of a group, the one that the data names; pydantic tells when it is none of them."""
    for group in groups:
        if tag is not None and value.get(tag) in get_args(group.__annotations__[tag]):
            return group
    return groups[0]


def _suggestion(name: str, known: list[str]) -> str:
    """The nearest field: among the siblings, then by its last part anywhere, then by its whole name."""
    parent, _, leaf = name.rpartition(".")
    leaves = {k: k.rpartition(".")[2] for k in known}
    for candidates in ([k for k in known if k.rpartition(".")[0] == parent], known):
        near = difflib.get_close_matches(leaf, [leaves[k] for k in candidates], n=1, cutoff=0.7)
        if near:
            return f"; did you mean {next(k for k in candidates if leaves[k] == near[0])!r}?"
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.6)
    return f"; did you mean {near[0]!r}?" if near else "; `pantile models fields` lists them"


def _number(value: Any) -> Any:
    """YAML reads 1e-3 as text; a person means a number."""
    if isinstance(value, str):
        try:
            return float(value)
        except ValueError:
            return value
    return value
