"""The arguments by which verbs take trained weights, and the line that says which these are."""

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pantile.engine.checkpoint import Checkpoint


def add_checkpoint_argument(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "checkpoint",
        type=Path,
        help="a run folder, a .ckpt or a .safetensors file; or weights of others: an original .pkl or .pth, a folder "
        "of transformers, or a name on Hugging Face's hub",
    )
    add_weights_option(parser)


def add_weights_option(parser: argparse.ArgumentParser, of: str = "of a run folder") -> None:
    parser.add_argument(
        "--weights",
        choices=("best", "last"),
        help=f"{of}: those of its best validation or of its last (default: best)",
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
