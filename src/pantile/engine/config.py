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
from pantile.contracts.input_files import regular_file
from pantile.contracts.plugins import check_installed, required
from pantile.contracts.registry import Registry
from pantile.contracts.shortening import LIMIT, short
from pantile.data import AugmentConfig, FitConfig
from pantile.data.reading import Reading
from pantile.engine.config_lists import list_sentence
from pantile.inference.clip_windows import ClipWindows
from pantile.inference.windows import Windows
from pantile.losses.criterion import CRITERIA, CriterionConfig
from pantile.merge.registry import MERGERS, MergeConfig
from pantile.models import ARCHITECTURES, ModelConfig
from pantile.models.backbone_weights import with_statistics_of_backbone
from pantile.techniques import TECHNIQUES, TechniquesConfig


@dataclass(frozen=True)
class Kinds:
    """A group of fields that comes in several kinds.

    Attributes:
        registry: of parts with a ``config_class``.
        tag: the field that names the kind.
    """

    registry: Registry
    tag: str

    def classes(self) -> dict[str, type]:
        return {name: part.config_class for name, part in self.registry.items()}


KINDS = {
    "model": Kinds(ARCHITECTURES, "architecture"),
    "criterion": Kinds(CRITERIA, "kind"),
    "merge": Kinds(MERGERS, "kind"),
}


#: beside the fields of a run in files: the packages whose parts it uses
PLUGINS = "plugins"


# numbers without which a run is none, told when a config is read
Positive = Annotated[int, pydantic.Field(ge=1)]
NotNegative = Annotated[int, pydantic.Field(ge=0)]
Amount = Annotated[float, pydantic.Field(ge=0, allow_inf_nan=False)]


@dataclass
class OptimizerConfig:
    """An optimizer with a schedule in fractions of the run."""

    kind: Literal["adamw", "sgd"] = "adamw"  # betas and eps are of the one, momentum of the other
    learning_rate: Amount = 5e-4  # of the decoder, per effective batch (no scaling with devices)
    backbone_multiplier: Amount = 0.1  # learning rate of the backbone relative to the rest
    # a block of the backbone has this times the learning rate of the block behind it, its last this of the decoder's
    layer_decay: Annotated[float, pydantic.Field(gt=0, le=1)] = 1.0
    # parts of the model that do not learn, by their names: ["backbone"], ["backbone.model.layer1", "query_content"]
    frozen: tuple[str, ...] = ()
    weight_decay: Amount = 0.05  # on convolution and linear kernels
    decay_biases: bool = False  # and on the biases of these layers (detectron2); those of norms never decay
    betas: tuple[float, float] = (0.9, 0.999)  # of adamw
    eps: float = 1e-8  # of adamw
    momentum: float = 0.9  # of sgd
    schedule: Literal["poly", "step", "constant"] = "poly"  # of the learning rate, after its warm-up
    poly_power: float = 0.9  # base * (1 - step / steps) ** power, not shifted by the warm-up
    poly_end: Amount = (
        0.0  # fraction of the learning rate at which poly ends: base * (end + (1 - end) * (...) ** power)
    )
    milestones: tuple[float, ...] = (0.85, 0.95)  # step schedule: fractions of the run
    step_factor: float = 0.1  # step schedule: multiply by this at each milestone
    poly_after_warmup: bool = False  # poly counts from the end of the warm-up on (EoMT), not from the first step
    warmup: float = 5_000 / 150_000  # linear warm-up, fraction of the run
    # the backbone's own linear warm-up, which begins where the other parameters' ends (EoMT): until then it stands
    # still. Fraction of the run; null warms it up with the rest
    backbone_warmup: Annotated[float, pydantic.Field(ge=0, le=1)] | None = None
    warmup_start: float = 0.001  # fraction of the learning rate at step 0
    gradient_clip: float | None = None  # None is no clipping
    # what gradient_clip limits: the norm of all gradients together, or each number (detectron2's "value")
    clip_by: Literal["norm", "value"] = "norm"


@dataclass
class AverageConfig:
    """An exponential moving average of the weights, measured and saved beside them; see ``engine/weight_average.py``.

    Attributes:
        decay: how much of the average stays at an optimizer step; 0.999 remembers about the last 1,000 steps.
        warmup: less stays at first, ``(1 + n) / (10 + n)`` after n steps, so that the start is forgotten soon.
    """

    decay: Annotated[float, pydantic.Field(ge=0, lt=1)] = 0.999
    warmup: bool = True


@dataclass
class TrainingConfig:
    """Length, batch, precision and rhythm of a run."""

    steps: Positive = 150_000  # optimizer steps
    effective_batch: Positive = 64  # images per optimizer step over all devices and accumulation
    device_batch: Positive | None = None  # images per device at once; None: effective_batch / devices, no accumulation
    precision: Literal["auto", "fp32", "bf16"] = "auto"  # auto: bf16 on GPUs; fp32 on CPUs, many of which emulate bf16
    # compute the activations of each block again in the backward pass: less memory, about a third more time
    gradient_checkpointing: bool = False
    # torch.compile for the network of a training step: the first step takes minutes, later ones may take less
    compile: bool = False
    # of parameters, gradients and optimizer state over the processes: none (each holds all of them) or full (each holds
    # its part, fully sharded data parallelism); one process holds all
    shard: Literal["none", "full"] = "none"
    validate_every: Amount = 0.05  # fraction of the run between validations; there is always one at the end
    # of the validations, by which the best weights are chosen; the later of equal ones. auto: what the merge names, pq
    # but for pixel classifiers, where it is miou, and image classifiers, class_ap; others: engine/measures.py
    best_metric: str = "auto"
    # validations in a row without a better best_metric, of the weights or of their average, after which the run ends
    # before its last step; null goes on to the last step
    patience: Positive | None = None
    average: AverageConfig | None = None  # null keeps no average of the weights
    validation_images: NotNegative | None = (
        None  # at most so many per validation; None is the whole split, 0 no validation
    )
    checkpoint_minutes: Amount = 5.0  # between checkpoints to resume from
    workers: NotNegative = 4  # data loading processes per device
    log_every: Positive = 10  # optimizer steps between log rows
    # where they go beside the CSV file of the run folder: tensorboard, wandb, mlflow, aim (engine/loggers.py)
    loggers: tuple[str, ...] = ("tensorboard",)


def _read_kind(group: str) -> pydantic.PlainValidator:
    """Reads a group of ``KINDS`` into the config class that its tag names."""

    def read(value: Any, info: pydantic.ValidationInfo) -> Any:
        kinds = KINDS[group]
        name = value.get(kinds.tag) if isinstance(value, dict) else getattr(value, kinds.tag, None)
        if name is None:
            raise UserError(
                f"{info.context}: {group}: give its fields, {group}.{kinds.tag} among them, not {short(value)}."
            )
        part = kinds.registry.find(name, f"{info.context}: {group}.{kinds.tag}")
        return _read(part.config_class, value, group, info)

    return pydantic.PlainValidator(read)


def _read_techniques(value: Any, info: pydantic.ValidationInfo) -> TechniquesConfig:
    if not isinstance(value, dict | TechniquesConfig):
        raise UserError(f"{info.context}: techniques: name each with its settings, not {short(value)}.")
    configs = dict(value.items())
    return TechniquesConfig(
        **{
            name: None if config is None else _read(TECHNIQUES[name], config, f"techniques.{name}", info)
            for name, config in configs.items()
        }
    )


def _read(cls: type, value: Any, prefix: str, info: pydantic.ValidationInfo) -> Any:
    try:
        return _adapter(cls).validate_python(value, context=info.context)
    except pydantic.ValidationError as error:
        raise _explained(error, info.context, cls, value, f"{prefix}.") from None


@dataclass
class RunConfig:
    """A complete run. Class counts are not here: they come from the data set."""

    recipe: str  # its name, for people and files
    model: Annotated[ModelConfig, _read_kind("model")]
    augment: AugmentConfig
    criterion: Annotated[CriterionConfig, _read_kind("criterion")]
    merge: Annotated[MergeConfig, _read_kind("merge")]
    techniques: Annotated[TechniquesConfig, pydantic.PlainValidator(_read_techniques)] = field(
        default_factory=TechniquesConfig
    )
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    training: TrainingConfig = field(default_factory=TrainingConfig)
    images: Reading = field(default_factory=Reading)  # which pages, bands and values of the files the network takes
    evaluation_size: tuple[int, int] | FitConfig = (1281, 1281)  # (H, W) to fit images into, or a rule for each image
    windows: Windows | None = None  # sliding windows of the fitted image; None shows it to the network as a whole
    # windows in time by which a model that reads clips is shown a film; null takes the defaults
    clips: ClipWindows | None = None
    # 0..255, what images are padded with in inference, before the normalisation (EoMT: black); null pads with 0 after
    # it, which is the mean colour. augment.pad_value is what training pads with
    pad_value: Annotated[int, pydantic.Field(ge=0, le=255)] | None = None
    seed: int = 1  # of everything that is random


def to_dict(config: RunConfig) -> dict:
    """Plain containers (tuples become lists), safe for YAML, JSON and ``weights_only`` checkpoints.

    Where parts of other packages are used, ``plugins`` names them, so that a machine without them can say so.
    """
    shallow = {item.name: getattr(config, item.name) for item in dataclasses.fields(config)}
    techniques = {name: dataclasses.asdict(own) if own else None for name, own in config.techniques.items()}
    rest = {
        name: dataclasses.asdict(value) if dataclasses.is_dataclass(value) else value for name, value in shallow.items()
    }
    data = rest | {"techniques": techniques}
    if plugins := _plugins(config):
        data[PLUGINS] = plugins
    return json.loads(json.dumps(data))


def _plugins(config: RunConfig) -> dict[str, str]:
    """Packages, and their parts that this run uses."""
    parts = [(kinds.registry, getattr(getattr(config, group), kinds.tag)) for group, kinds in KINDS.items()]
    return required(parts + [(TECHNIQUES, name) for name, own in config.techniques.items() if own is not None])


def from_dict(data: dict, source: str = "the configuration") -> RunConfig:
    """Checks every field's name and type.

    Raises:
        UserError: names the field, what was wrong, and the nearest field where the name is unknown; or the packages
            whose parts are needed and missing.
    """
    check_installed(data.get(PLUGINS) or {}, source)
    data = {name: value for name, value in data.items() if name != PLUGINS}
    _check_names(data, RunConfig, source, prefix="")
    try:
        return _adapter(RunConfig).validate_python(data, context=source)
    except pydantic.ValidationError as error:
        raise _explained(error, source, RunConfig, data) from None


def _explained(error: pydantic.ValidationError, source: str, cls: type, value: dict, prefix: str = "") -> UserError:
    """The first mistake in the fields of ``cls``, which stand below ``prefix`` in the run's."""
    first = error.errors()[0]
    where = [str(part) for part in first["loc"]]
    if sentence := _list_sentence(where, cls, value, prefix):
        return UserError(f"{source}: {sentence}.")
    field = f"{prefix}{'.'.join(where)}".removesuffix(".")
    return UserError(f"{source}: {field}: {first['msg']} (got {short(first['input'])}).")


@cache
def _adapter(cls: type) -> pydantic.TypeAdapter:
    """Made at first use: it takes a third of a second."""
    return pydantic.TypeAdapter(cls)


def override(config: RunConfig, assignments: Iterable[str]) -> RunConfig:
    """Applies ``field.subfield=value`` texts (values in YAML) with a type check.

    A group that is off (None) or given in another form is switched on with its defaults when a field of it is set.
    Another backbone brings the mean and standard deviation of its images, unless they are set, too.

    Raises:
        UserError: for a misspelt field (with the nearest one) or a value of the wrong type.
    """
    data, assignments = to_dict(config), list(assignments)
    for assignment in assignments:
        _assign(data, assignment)
    try:
        changed = from_dict(data, "the overrides")
    except UserError:
        data = to_dict(config)
        for assignment in assignments:  # one by one, to say which it is; a check of all takes as long as of one
            _assign(data, assignment)
            from_dict(data, f"--set {assignment}")
        raise
    paths = {assignment.partition("=")[0].strip() for assignment in assignments}
    if changed.model.backbone != config.model.backbone and not paths & {"model.image_mean", "model.image_std"}:
        changed = dataclasses.replace(changed, model=with_statistics_of_backbone(changed.model))
    return changed


def _assign(data: dict, assignment: str) -> None:
    """``field.subfield=value`` into the plain containers of a config, values in YAML."""
    path, equals, text = assignment.partition("=")
    if not equals:
        raise UserError(f"--set {assignment}: write field=value, for example --set training.steps=1000.")
    parts = path.strip().split(".")
    _check_path(parts, f"--set {assignment}")
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


def without_download(config: RunConfig) -> RunConfig:
    """The same run for weights that come from a file: the backbone's ImageNet weights are not fetched."""
    return dataclasses.replace(config, model=dataclasses.replace(config.model, pretrained=False))


# PyYAML's safe ones in C, which are faster, where its wheel has them
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_DUMPER = getattr(yaml, "CSafeDumper", yaml.SafeDumper)


def save_yaml(config: RunConfig, path: Path) -> None:
    with replacing(path) as temporary:
        temporary.write_text(yaml.dump(to_dict(config), Dumper=_DUMPER, sort_keys=False))


def load_yaml(path: Path) -> RunConfig:
    """Reads what ``save_yaml`` wrote."""
    try:
        data = yaml.load(regular_file(path).read_text(), Loader=_LOADER)
    except (FileNotFoundError, NotADirectoryError):
        raise UserError(f"{path}: no such file; --config takes the config.yaml of a run folder.") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: not YAML ({str(error).splitlines()[0]}).") from None
    if not isinstance(data, dict):
        raise UserError(f"{path}: expected the fields of a run, found {type(data).__name__}.")
    return from_dict(data, str(path))


def field_names(cls: type = RunConfig, prefix: str = "") -> list[str]:
    """Every dotted field of a config class, groups included."""
    names = []
    for name, annotation in fields_of(cls).items():
        names.append(prefix + name)
        for group in field_groups(name, annotation):
            names += field_names(group, f"{prefix}{name}.")
    return list(dict.fromkeys(names))


def fields_of(cls: type) -> dict[str, Any]:
    """{name: annotation}"""
    if cls is TechniquesConfig:
        return dict(TECHNIQUES)
    return {item.name: item.type for item in dataclasses.fields(cls)}


def field_groups(name: str, annotation: Any) -> list[type]:
    """The config classes that a field may hold: of its registry, or in an annotation such as ``X`` or ``X | None``."""
    if name in KINDS:
        return list(dict.fromkeys(KINDS[name].classes().values()))
    if isinstance(annotation, type) and (dataclasses.is_dataclass(annotation) or annotation is TechniquesConfig):
        return [annotation]  # not pydantic's validator of an annotation, which is an instance of a dataclass
    return [group for option in get_args(annotation) for group in field_groups(name, option)]


def _list_sentence(where: list[str], cls: type, value: Any, prefix: str) -> str | None:
    """See ``list_sentence``; ``where`` may go on into the list, or name one of several types of it."""
    for position, part in enumerate(where):
        found = fields_of(cls).get(part)
        if found is None or not isinstance(value, dict) or part not in value:
            return None
        value = value[part]
        groups = field_groups(part, found)
        if not groups or not isinstance(value, dict):
            return list_sentence(prefix + ".".join(where[: position + 1]), found, value)
        cls = _chosen(part, groups, value)
    return None


def _check_path(parts: list[str], source: str) -> None:
    known = field_names()
    name = ".".join(parts)
    if name not in known:
        raise UserError(f"{source}: there is no field {name!r}{_suggestion(name, known)}")


def _check_names(data: dict, cls: type, source: str, prefix: str) -> None:
    """Unknown fields get a suggestion; pydantic alone would ignore them."""
    known = fields_of(cls)
    for name, value in data.items():
        if name not in known:
            own = f"{prefix}{short(name)[1:-1] if isinstance(name, str) else short(name)}"
            every = field_names()
            hint = (
                "; other kinds have it: start from a recipe of this kind" if own in every else _suggestion(own, every)
            )
            raise UserError(f"{source}: there is no field {own!r}{hint}")
        tag = value.get(KINDS[name].tag) if name in KINDS and isinstance(value, dict) else None
        if tag is not None and not (isinstance(tag, str) and len(tag) <= LIMIT):
            raise UserError(f"{source}: {name}.{KINDS[name].tag}: {short(tag)} is not the name of a kind.")
        groups = field_groups(name, known[name])
        if isinstance(value, dict) and groups:
            _check_names(value, _chosen(name, groups, value), source, f"{prefix}{name}.")


def _chosen(name: str, groups: list[type], value: dict) -> type:
    """Of several kinds of a group, the one that the data names; reading it tells when it is none of them."""
    if name not in KINDS:
        return groups[0]
    return KINDS[name].classes().get(value.get(KINDS[name].tag), groups[0])


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
