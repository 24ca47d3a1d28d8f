"""The argument by which verbs take trained weights."""

import argparse
from pathlib import Path


def add_checkpoint_argument(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "checkpoint",
        type=Path,
        help="a run folder, a .ckpt or a .safetensors file; or weights of others: an original .pkl or .pth, a folder "
        "of transformers, or a name on Hugging Face's hub",
    )
