"""The arguments by which verbs take trained weights, and the line that says which these are."""

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pantile.engine.checkpoint import Checkpoint
    from pantile.runtime.images import ExportedFile


def add_checkpoint_argument(parser: argparse.ArgumentParser, also: str = "") -> None:
    """``also``: what else the verb takes, for the help."""
    parser.add_argument(
        "checkpoint",
        type=Path,
        help="a run folder, a .ckpt or a .safetensors file; or weights of others: an original .pkl or .pth, a folder "
        "of transformers, or a name on Hugging Face's hub" + also,
    )
    add_weights_option(parser)


def add_weights_option(parser: argparse.ArgumentParser, of: str = "of a run folder") -> None:
    parser.add_argument(
        "--weights",
        choices=("best", "last", "ema", "ema-last"),
        help=f"{of}: those of its best validation or of its last, or the same of the average of its weights, where it "
        "keeps one (default: best)",
    )


def opened(path: Path, weights: str | None, ours_only: bool = False) -> "Checkpoint":
    """The checkpoint, after a line on stderr that says which step it is of and how good that was.

    Args:
        path: as ``open_checkpoint`` reads it.
        weights: of ``--weights``.
        ours_only: weights of other projects are refused.
    """
    from pantile.convert.open_checkpoint import open_checkpoint
    from pantile.engine.checkpoint import load_checkpoint

    checkpoint = load_checkpoint(path, weights) if ours_only else open_checkpoint(path, weights)
    tell(checkpoint)
    return checkpoint


def tell(checkpoint: "Checkpoint") -> None:
    """On stderr, in one line, by the first process: which weights these are."""
    from pantile.engine.processes import processes

    if processes().rank == 0:
        print(f"pantile: {checkpoint.describe()}", file=sys.stderr)


#: what verbs that take exported files say of them in their help
OR_EXPORTED = "; or an .onnx or .pt2 file of `pantile export`"


def is_exported(path: Path) -> bool:
    """Whether it has the name of a file that ``pantile export`` writes."""
    return path.suffix.lower() in (".onnx", ".pt2")


def opened_file(args: argparse.Namespace) -> "ExportedFile":
    """The exported file of a verb, after a line on stderr that says what it is.

    Raises:
        UserError: not such a file, or options of checkpoints only.
    """
    from pantile.contracts.errors import UserError
    from pantile.predict.open_file import open_exported

    if args.weights is not None:
        raise UserError(f"{args.checkpoint}: --weights chooses among the weights of a run folder; leave it out here.")
    if args.device not in ("auto", "cpu"):
        raise UserError(f"{args.checkpoint}: exported files run on the CPU here; leave --device {args.device} out.")
    if args.scales != ["1"] or args.flip:
        raise UserError(f"{args.checkpoint}: views are averaged of checkpoints only: leave --scales and --flip out.")
    file = open_exported(args.checkpoint)
    header = file.header
    made = f"{header.architecture}, {header.weights}, exported by pantile {header.version}"
    print(f"pantile: {made}: {args.checkpoint}", file=sys.stderr)
    return file
