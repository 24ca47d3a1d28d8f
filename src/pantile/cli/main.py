"""``pantile VERB``: every verb is a plain function in its own file; this file only finds it and prints mistakes."""

import argparse
import importlib
import os
import select
import sys
import warnings
from collections.abc import Sequence

#: verb -> what it does; the module of the same name, with underscores, has ``add_arguments(parser)`` and ``run(args)``.
VERBS = {
    "demo": "train, evaluate and draw on generated scenes, in minutes on a CPU",
    "start": "look at data and machine, and propose (--go: run) the command to train with",
    "train": "train a recipe on the folder of a labelled data set",
    "eval": "panoptic quality, average precision and mean IoU of a checkpoint",
    "tune": "find the thresholds of the merge that suit a split",
    "score": "panoptic quality, and what went wrong, of predictions from anywhere",
    "data": "look after labels: check and repair them, convert them, show and count them, split them",
    "predict": "segment images; writes COCO-panoptic files and overlays",
    "models": "list recipes, count parameters and multiply-adds",
    "report": "draw a run as one HTML page",
    "bench": "measure models on this device: the grid search of SWideRNet's paper",
    "convert": "load checkpoints of the original repositories and of Hugging Face, and export back",
    "export": "write one file for other runtimes, checked there: ONNX, or a program of torch",
    "serve": "answer images over HTTP, with a page to try a model on",
    "publish": "write a run as a folder for a hub: weights, config and a model card",
    "export-hf": "write a folder that Hugging Face's transformers loads",
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs a verb. Returns the exit code: 0; 2 for bad input, which is told in one sentence on stderr; 128 + the number
    of the signal that ended it, such as 130 after Ctrl-C and 143 after SIGTERM."""
    from pantile.contracts.errors import UserError
    from pantile.contracts.full_install import remedy
    from pantile.contracts.interruption import Interrupted, handling, raise_interrupted

    arguments = list(sys.argv[1:] if arguments is None else arguments)
    warnings.formatwarning = lambda message, *_, **__: f"pantile: warning: {message}\n"
    try:
        parser = make_parser(verb=arguments[0] if arguments else None)
        options = parser.parse_args(arguments)
        with handling(raise_interrupted):
            code = options.function(options) or 0
            sys.stdout.flush()
            return code
    except UserError as error:
        print(f"pantile: {error}", file=sys.stderr)
        return 2
    except ModuleNotFoundError as error:
        if (sentence := remedy(error, arguments[0])) is None:
            raise
        print(f"pantile: {sentence}", file=sys.stderr)
        return 2
    except OSError as error:
        if _nobody_reads():
            return 128 + 13  # as a shell says it of a program that SIGPIPE ends
        if error.errno is None:  # a library's own use of the class, or ours: nothing that the system said
            raise
        print(f"pantile: {_sentence(error)}", file=sys.stderr)
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


def _sentence(error: OSError) -> str:
    """What the system refused: which file, and why."""
    names = [os.fsdecode(name) for name in (error.filename, error.filename2) if isinstance(name, str | bytes)]
    reason = error.strerror or str(error)
    if not names:
        return f"{reason}: what was being read or written is not complete; make room or name another place."
    return f"{' -> '.join(names)}: {reason}; name another place, or make this one usable."


def _nobody_reads() -> bool:
    """Whether a reader of our output is gone, as ``head`` is after ten lines; then nothing more is written to it."""
    gone = False
    for stream in (sys.stdout, sys.stderr):
        try:
            number = stream.fileno()
            poll = select.poll()
            poll.register(number, select.POLLOUT)
            broken = any(event & select.POLLERR for _, event in poll.poll(0))
        except (AttributeError, OSError, ValueError):  # closed, or no file of the system
            continue
        if broken:
            os.dup2(os.open(os.devnull, os.O_WRONLY), number)  # else the interpreter complains at its end
            gone = True
    return gone


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
