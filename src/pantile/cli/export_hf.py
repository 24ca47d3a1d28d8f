"""``pantile export-hf RUN_OR_CKPT --out DIR``: a folder for ``transformers``."""

import argparse
from pathlib import Path

from pantile.cli.output_arguments import output_folder


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("checkpoint", type=Path, help="a run folder, a .ckpt or a .safetensors file")
    parser.add_argument("--out", type=output_folder, required=True, help="the folder to write")


def run(args: argparse.Namespace) -> int:
    from pantile.convert.huggingface_folder import write_huggingface_folder
    from pantile.engine.checkpoint import load_checkpoint

    write_huggingface_folder(load_checkpoint(args.checkpoint), args.out)
    print(args.out)
    return 0
