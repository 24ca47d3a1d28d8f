"""``pantile VERB``: every verb is a plain function in its own file; this file only finds it and prints mistakes."""

import argparse
import importlib
import sys
import warnings
from collections.abc import Sequence

#: verb -> what it does; the module of the same name, with underscores, has ``add_arguments(parser)`` and ``run(args)``.
VERBS = {
    "demo": "train, evaluate and draw on generated scenes, in minutes on a CPU",
    "train": "train a recipe on the folder of a labelled data set",
    "eval": "panoptic quality, average precision and mean IoU of a checkpoint",
    "score": "panoptic quality, and what went wrong, of predictions from anywhere",
    "data": "look after labels: check and repair them, convert them, show and count them, split them",
    "predict": "segment images; writes COCO-panoptic files and overlays",
    "models": "list recipes, count parameters and multiply-adds",
    "report": "draw a run as one HTML page",
    "bench": "measure models on this device: the grid search of SWideRNet's paper",
    "convert": "load checkpoints of the original repositories and of Hugging Face, and export back",
    "export-hf": "write a folder that Hugging Face's transformers loads",
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs a verb. Returns the exit code: 0; 2 for bad input, which is told in one sentence on stderr; 128 + the number
    of the signal that ended it, such as 130 after Ctrl-C and 143 after SIGTERM."""
    from pantile.contracts.errors import UserError
    from pantile.contracts.interruption import Interrupted, handling, raise_interrupted

    arguments = list(sys.argv[1:] if arguments is None else arguments)
    warnings.formatwarning = lambda message, *_, **__: f"pantile: warning: {message}\n"
    parser = make_parser(verb=arguments[0] if arguments else None)
    options = parser.parse_args(arguments)
    try:
        with handling(raise_interrupted):
            return options.function(options) or 0
    except UserError as error:
        print(f"pantile: {error}", file=sys.stderr)
        return 2
    except FloatingPointError as error:
        print(f"pantile: {error}", file=sys.stderr)
        return 3
    except Interrupted as interrupted:
        if not interrupted.told:
            print(f"pantile: interrupted; {_advice(options)}", file=sys.stderr)
        return interrupted.code
    except KeyboardInterrupt:  # raised by hand: the signal is answered above
        print(f"pantile: interrupted; {_advice(options)}", file=sys.stderr)
        return 130


def _advice(options: argparse.Namespace) -> str:
    """What an interrupted verb left behind and how to go on: its module's ``interrupted(args)``."""
    function = getattr(options, "subverb", options.function)
    advice = getattr(sys.modules[function.__module__], "interrupted", None)
    return advice(options) if advice else "nothing was written: run it again."


def make_parser(verb: str | None) -> argparse.ArgumentParser:
    """A parser that imports only the verb in use, so that ``pantile --help`` is instant."""
    from pantile import __version__

    parser = argparse.ArgumentParser(prog="pantile", description="Panoptic segmentation.")
    parser.add_argument("--version", action="version", version=__version__)
    verbs = parser.add_subparsers(metavar="VERB", required=True)
    for name, summary in VERBS.items():
        sub = verbs.add_parser(name, help=summary, description=summary)
        if name == verb:
            module = importlib.import_module(f"pantile.cli.{name.replace('-', '_')}")
            module.add_arguments(sub)
            sub.set_defaults(function=module.run)
    return parser


if __name__ == "__main__":
    sys.exit(main())
