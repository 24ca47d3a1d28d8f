"""The verbs ``train``, ``eval`` and ``predict`` as functions of Python, with the same options and the same checks.

An option is the argument of its name (``--train-split`` is ``train_split``, ``--no-overlays`` is ``no_overlays``) and
has the default that ``pantile VERB --help`` tells. Bad values end in a ``UserError`` of one sentence.
"""

import argparse
import importlib
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pantile.contracts.errors import UserError

if TYPE_CHECKING:
    from pantile.engine.evaluate_videos import VideoEvaluation
    from pantile.engine.meters import Evaluation
    from pantile.predict.files import Predicted
    from pantile.predict.films import PredictedFilms

PathLike = str | os.PathLike
Overrides = Mapping[str, Any] | Sequence[str]


def train(recipe: str | None = None, data: PathLike | None = None, *, set: Overrides = (), **options: Any) -> Path:
    """``pantile train``: trains a recipe on a labelled data set.

    >>> run = pantile.train("remax_nano", "scenes", out="runs/first", set={"training.steps": 200})

    Args:
        recipe: a name of ``list_recipes()``; None with ``config=FILE`` or ``resume=True``.
        data: the folder of a labelled data set, or "scenes" for generated images.
        set: fields of the run, ``{"training.steps": 200}`` or ``["training.steps=200"]``.
        options: further ones of the verb: ``out``, ``train_split``, ``val_split``, ``limit``, ``init``, ``resume``,
            ``device``, ...

    Returns:
        The run folder, which ``load``, ``evaluate`` and ``predict`` take.

    Raises:
        UserError: what the verb would refuse.
        TypeError: an option that the verb does not have.
    """
    from pantile.cli.train import start

    refused = {"lr_range", "lr_range_steps"} & options.keys()
    if refused:
        raise TypeError(f"{sorted(refused)[0]} trains nothing: use pantile.engine.learning_rate_range.try_rates")
    return start(arguments_of("train", recipe=recipe, data=data, set=assignments(set), **options))


def evaluate(
    checkpoint: PathLike, data: PathLike, *, set: Overrides = (), **options: Any
) -> "Evaluation | VideoEvaluation":
    """``pantile eval``: how good trained weights are on a labelled data set.

    >>> pantile.evaluate("runs/first", "scenes", limit=20).quality.all.pq

    Args:
        checkpoint: a run folder or a file of weights, also of other projects or exported.
        data: the folder of a labelled data set, or "scenes".
        set: fields of the run to override, such as ``{"merge.overlap": 0.5}``.
        options: further ones of the verb: ``split``, ``limit``, ``weights``, ``scales``, ``flip``, ``device``, ...

    Returns:
        An ``Evaluation`` (``quality``, ``results``, ``per_image``, ``to_dict()``), of tracked videos a
        ``VideoEvaluation``. Numbers are fractions of 1.

    Raises:
        UserError: what the verb would refuse.
        TypeError: an option that the verb does not have.
    """
    from pantile.cli.eval import measure

    return measure(arguments_of("eval", checkpoint=checkpoint, data=data, set=assignments(set), **options))


def predict(
    checkpoint: PathLike, images: PathLike | Sequence[PathLike], out: PathLike, **options: Any
) -> "Predicted | PredictedFilms":
    """``pantile predict``: segments image files or films and writes COCO-panoptic files and overlays.

    For arrays in memory, ``load(checkpoint)`` gives a ``Predictor`` to call with them.

    >>> pantile.predict("runs/first", ["a.jpg", "folder"], "predictions").json

    Args:
        checkpoint: a run folder or a file of weights, also of other projects or exported.
        images: files or folders, one or several.
        out: the folder that receives ``annotations/`` and ``overlays/``.
        options: further ones of the verb: ``weights``, ``resume``, ``overwrite``, ``like``, ``tile``, ``device``, ...

    Returns:
        What was written: ``json`` is the path of the predictions, ``bad`` lists images that were left out.

    Raises:
        UserError: what the verb would refuse.
        TypeError: an option that the verb does not have.
    """
    from pantile.cli.predict import write_predictions

    several = [images] if isinstance(images, str | os.PathLike) else list(images)
    return write_predictions(arguments_of("predict", checkpoint=checkpoint, images=several, out=out, **options))


def assignments(values: Overrides) -> list[str]:
    """``field=value`` texts, as ``--set`` takes them; values in JSON, which is YAML."""
    import json

    if isinstance(values, Mapping):
        return [f"{name}={json.dumps(value)}" for name, value in values.items()]
    return list(values)


def arguments_of(verb: str, **values: Any) -> argparse.Namespace:
    """What the verb's parser gives for these options, through the same types and choices.

    Args:
        verb: a module of ``pantile.cli``.
        values: of options by the names of their arguments; None is the default.

    Raises:
        UserError: a value that the command line would refuse.
        TypeError: no such option.
    """
    parser = argparse.ArgumentParser(prog=verb)
    importlib.import_module(f"pantile.cli.{verb}").add_arguments(parser)
    actions = {action.dest: action for action in parser._actions if action.dest != "help"}
    if unknown := sorted(values.keys() - actions.keys()):
        known = ", ".join(sorted(actions))
        raise TypeError(f"pantile {verb} has no option {unknown[0]!r}: {known}")
    given = argparse.Namespace()
    for name, action in actions.items():
        value = values.get(name)
        setattr(given, name, _default(action) if value is None else _value(name, action, value))
    return given


def _default(action: argparse.Action) -> Any:
    default = action.default
    return action.type(default) if isinstance(default, str) and action.type else default


def _value(name: str, action: argparse.Action, value: Any) -> Any:
    if action.nargs == 0:  # a flag
        return bool(value)
    if action.nargs in ("+", "*"):
        values = [value] if isinstance(value, str | os.PathLike) else list(value)
        return [_converted(name, action, item) for item in values]
    return _converted(name, action, value)


def _converted(name: str, action: argparse.Action, value: Any) -> Any:
    text = os.fspath(value) if isinstance(value, os.PathLike) else str(value)
    try:
        converted = action.type(text) if action.type else text
    except (argparse.ArgumentTypeError, ValueError) as error:
        raise UserError(f"{name}={value!r}: {error}.") from None
    if action.choices is not None and converted not in action.choices:
        raise UserError(f"{name}={value!r}: choose from {', '.join(map(str, action.choices))}.")
    return converted
