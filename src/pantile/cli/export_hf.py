"""``pantile export-hf RUN_OR_CKPT --out DIR``: a folder for ``transformers``."""

import argparse
from pathlib import Path

from pantile.cli.checkpoint_argument import add_weights_option, opened
from pantile.cli.output_arguments import output_folder


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("checkpoint", type=Path, help="a run folder, a .ckpt or a .safetensors file")
    add_weights_option(parser)
    parser.add_argument("--out", type=output_folder, required=True, help="the folder to write")


def run(args: argparse.Namespace) -> int:
    from pantile.convert.huggingface_folder import write_huggingface_folder

    write_huggingface_folder(opened(args.checkpoint, args.weights, ours_only=True), args.out)
    print(args.out)
    return 0
