"""A run as a folder that others load: weights, config, and a model card that is made from what the run recorded."""

import json
import math
import shlex
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pantile import __version__
from pantile.contracts.atomic import replacing
from pantile.contracts.errors import UserError
from pantile.contracts.taxonomy import Taxonomy
from pantile.data import PanopticDataset, with_classes
from pantile.engine.checkpoint import (
    WEIGHTS,
    Checkpoint,
    Choice,
    halved,
    load_checkpoint,
    metric_title,
    save_weights,
    whole,
)
from pantile.engine.config import from_dict, save_yaml, to_dict
from pantile.engine.evaluate import evaluate
from pantile.engine.run_record import RunRecord, load_record
from pantile.predict.predictor import predictor_of

GROUPS = ("all", "things", "stuff")  # of classes, each with numbers of its own
SETTINGS = ("score_threshold",)  # numbers that say how something was measured
CARD, CONFIG, NUMBERS, PICTURES = "README.md", "config.yaml", "evaluation.json", "pictures"


@dataclass(frozen=True)
class PublishOptions:
    """
    Attributes:
        licence: of the weights, as the user states it: an identifier of the hub such as "apache-2.0", or "other".
        pictures: of the first validation images; 0 for none.
        evaluation: measure the whole validation split anew; else the run's own validation is told.
        weights: which of the run's, as ``load_checkpoint`` has it.
        halves: store large tensors as float16, in half the bytes.
    """

    licence: str
    pictures: int = 2
    evaluation: bool = False
    weights: Choice | None = None
    halves: bool = False


def publish(run: Path, folder: Path, options: PublishOptions) -> Path:
    """Writes ``weights.safetensors``, ``config.yaml``, ``README.md``, pictures and numbers.

    Of absolute paths only names are told: the folders of a machine are nobody else's business.

    Args:
        run: a folder that ``pantile train`` wrote.
        folder: new or empty.

    Returns:
        The card.

    Raises:
        UserError: no run, its data are not there for what is asked for, or the folder holds something.
    """
    if folder.exists() and any(folder.iterdir()):
        raise UserError(f"{folder} is not empty: name a new folder.")
    if not (run / WEIGHTS).exists():
        raise UserError(f"{run} holds no {WEIGHTS}: publish the folder of a run that was validated.")
    checkpoint, record = _without_folders(load_checkpoint(run, options.weights)), load_record(run)
    dataset = _validation_set(checkpoint, record) if options.pictures or options.evaluation else None
    stored = halved(checkpoint.state) if options.halves else checkpoint.state
    checkpoint = replace(checkpoint, state=whole(stored))  # numbers and pictures are those of what is written
    numbers = evaluate(checkpoint, dataset).to_dict() if options.evaluation else None
    drawn = _draw(checkpoint, dataset, options.pictures, folder) if options.pictures else []
    folder.mkdir(parents=True, exist_ok=True)
    measured = None if checkpoint.metric is None else (checkpoint.metric, checkpoint.value)
    save_weights(folder / WEIGHTS, stored, checkpoint.config, checkpoint.taxonomy, checkpoint.step, measured)
    save_yaml(checkpoint.config, folder / CONFIG)
    if numbers is not None:
        with replacing(folder / NUMBERS) as temporary:
            temporary.write_text(json.dumps(numbers, indent=2), encoding="utf-8")
    with replacing(folder / CARD) as temporary:  # last: a folder with a card is whole
        temporary.write_text(model_card(checkpoint, record, options.licence, numbers, drawn), encoding="utf-8")
    return folder / CARD


def model_card(
    checkpoint: Checkpoint, record: RunRecord, licence: str, numbers: dict | None, pictures: list[str]
) -> str:
    """Markdown with the header that the hub reads.

    Args:
        numbers: of ``Evaluation.to_dict``; None tells of the run's own validation.
        pictures: paths in the folder.
    """
    config, taxonomy = checkpoint.config, checkpoint.taxonomy
    model, data = config.model, Path(record.data).name
    title = f"{model.architecture} ({model.backbone}) on {data}"
    lines = [
        "---",
        f"license: {json.dumps(licence)}",
        "library_name: pantile",
        "pipeline_tag: image-segmentation",
        "tags: [panoptic-segmentation]",
        "---",
        "",
        f"# {title}",
        "",
        "```python",
        "import pantile",
        "",
        'predictor = pantile.load("PATH_OF_THIS_FOLDER")',
        'predictor("photo.jpg").save("overlay.jpg")',
        "```",
        "",
        *(f"![{Path(name).stem}]({name})" for name in pictures),
        *([""] if pictures else []),
        "## Data and training",
        "",
        f"- Data: `{data}`, trained on the split `{record.train_split}`, validated on `{record.val_split}`.",
        f"- Command: `{_command(record.command)}`",
        f"- Started {record.started} on {record.hardware}; {record.versions}.",
        f"- {checkpoint.describe().rpartition(': ')[0]}.",
        f"- The resolved configuration is in [{CONFIG}]({CONFIG}). This card was written by pantile {__version__}.",
        "",
        "## Numbers",
        "",
        *_numbers(checkpoint, record, numbers),
        "",
        "## Classes",
        "",
        f"{len(taxonomy.thing_indices)} things: {_names(taxonomy, taxonomy.thing_indices)}.",
        "",
        f"{len(taxonomy.stuff_indices)} stuff classes: {_names(taxonomy, taxonomy.stuff_indices)}.",
        "",
        "## Licence",
        "",
        f"The weights are published under: {licence}. This says nothing of the data's own terms.",
        "",
    ]
    return "\n".join(lines)


def _numbers(checkpoint: Checkpoint, record: RunRecord, numbers: dict | None) -> list[str]:
    if numbers is not None:
        rows = [f"| {name} | {100 * value:.1f} |" for name, value in _measures(numbers)]
        command = f"pantile eval FOLDER --data {Path(record.data).name} --split {record.val_split}"
        told = f"Of the whole split, in percent: `{command}`; all of them are in [{NUMBERS}]({NUMBERS})."
        return [told, "", "| measure | value |", "|---|---|", *rows]
    if checkpoint.value is None:
        return ["Nothing was measured in this run."]
    images = checkpoint.config.training.validation_images
    measured = f"the first {images} images" if images else "the images"
    return [
        f"{metric_title(checkpoint.metric)} {100 * checkpoint.value:.1f} on {measured} of `{record.val_split}`, as the "
        "training measured it (the command above)."
    ]


def _measures(numbers: dict) -> Iterator[tuple[str, float]]:
    """Name and value, 0..1, of what was measured over all classes, over things and over stuff."""
    for task, values in numbers.items():
        for name, value in values.items():
            if name in GROUPS:
                yield from ((f"{task} {measure}, {name}", value[measure]) for measure in ("pq", "sq", "rq"))
            elif isinstance(value, float) and math.isfinite(value) and name not in SETTINGS:
                yield f"{task} {name}", value


def _without_folders(checkpoint: Checkpoint) -> Checkpoint:
    """Files that the run started from, such as the backbone's weights, are not read again: their names tell enough."""
    config = from_dict(_named(to_dict(checkpoint.config)), source=str(checkpoint.path))
    return replace(checkpoint, config=config)


def _named(value: Any) -> Any:
    """Plain containers, with every absolute path as its name."""
    if isinstance(value, dict):
        return {name: _named(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_named(item) for item in value]
    return Path(value).name if isinstance(value, str) and Path(value).is_absolute() else value


def _command(text: str) -> str:
    """The same command, with the names of absolute paths, also of those in ``field=PATH``."""
    words = (word.rpartition("=") for word in shlex.split(text))
    return shlex.join(f"{field}{equals}{_named(value)}" for field, equals, value in words)


def _names(taxonomy: Taxonomy, indices: tuple[int, ...]) -> str:
    return ", ".join(taxonomy.names[index] for index in indices) or "none"


def _validation_set(checkpoint: Checkpoint, record: RunRecord) -> PanopticDataset:
    try:
        dataset = record.datasets()[1]
    except UserError as error:
        raise UserError(f"{error} (the run's data; --pictures 0 does without them)") from None
    return with_classes(dataset, checkpoint.taxonomy, "the data", f"the run {checkpoint.path}", "name another run")


def _draw(checkpoint: Checkpoint, dataset: PanopticDataset, count: int, folder: Path) -> list[str]:
    """Overlays of the first images, as paths in the folder."""
    predictor = predictor_of(checkpoint, device="cpu")
    names = []
    for index in range(min(count, len(dataset))):
        name = f"{PICTURES}/{index + 1}.jpg"
        predictor(dataset.load(index)[0]).save(folder / name)
        names.append(name)
    return names
