"""``pantile export CKPT --format onnx --out FILE``"""

import argparse
import sys
import time
from pathlib import Path

from pantile.cli.checkpoint_argument import add_checkpoint_argument, opened
from pantile.cli.numbers import at_least_one
from pantile.cli.output_arguments import output_file

FORMATS = {"onnx": ".onnx", "torch": ".pt2"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_checkpoint_argument(parser)
    parser.add_argument("--format", choices=FORMATS, default="onnx", help="onnx, or torch: an exported program, .pt2")
    parser.add_argument("--out", type=output_file, required=True, help="the file to write, .onnx or .pt2")
    parser.add_argument(
        "--precision", choices=("fp32", "fp16", "int8"), default="fp32", help="of the weights (default: fp32)"
    )
    parser.add_argument("--merge", choices=("inside", "outside"), default="outside", help="merge in the graph as well")
    parser.add_argument(
        "--data", type=Path, metavar="DIR", help="photos on which file and network are compared (default: drawn scenes)"
    )
    parser.add_argument("--compare", type=at_least_one, default=2, metavar="N", help="images at each size (default: 2)")
    parser.add_argument("--calibrate", action="store_true", help="with int8: quantize convolutions, too, by --data")
    parser.add_argument(
        "--size",
        type=int,
        nargs=2,
        metavar=("H", "W"),
        help="input to export at (default: evaluation size)",
    )
    parser.add_argument("--tolerance", type=float, metavar="SHARE", help="of pixels that may differ, 0 to 1")
    parser.add_argument("--set", nargs="+", action="extend", default=[], metavar="FIELD=VALUE", help="override fields")


def run(args: argparse.Namespace) -> int:
    from dataclasses import replace

    from pantile.contracts.errors import UserError
    from pantile.engine.config import override
    from pantile.export.checkpoint_export import ExportOptions, export_checkpoint
    from pantile.export.pictures import pictures

    if args.out.suffix.lower() != FORMATS[args.format]:
        raise UserError(f"--out {args.out}: end the name in {FORMATS[args.format]} for --format {args.format}.")
    if args.calibrate and args.data is None:
        raise UserError("--calibrate needs photos: name their folder with --data.")
    checkpoint = opened(args.checkpoint, args.weights)
    checkpoint = replace(checkpoint, config=override(checkpoint.config, args.set))
    options = ExportOptions(
        args.format,
        args.precision,
        args.merge == "inside",
        args.calibrate,
        tuple(args.size) if args.size else None,
        args.tolerance,
        args.compare,
    )
    images = pictures(args.data, checkpoint.config, args.compare, args.calibrate)
    begun = time.monotonic()

    def tell(phase: str) -> None:
        print(f"pantile: {time.monotonic() - begun:4.0f} s  {phase}", file=sys.stderr, flush=True)

    made = export_checkpoint(checkpoint, args.out, images, options, tell)
    for line in (*made.limits, *made.parities):
        print(line)
    if made.hidden:
        print(
            f"pantile: warning: {len(made.hidden)} norms have weight 0 (the first is {made.hidden[0]}), as before a "
            "training: what stands before them was not compared.",
            file=sys.stderr,
        )
    size = args.out.stat().st_size / 2**20
    print(f"{args.out}: {size:.1f} MiB, {made.header.weights}, inputs of {made.header.sizes}")
    return 0


def interrupted(args: argparse.Namespace) -> str:
    return f"{args.out} was not written: run it again."
