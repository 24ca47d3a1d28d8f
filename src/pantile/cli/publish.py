"""``pantile publish RUN DIR --license TEXT``"""

import argparse
from pathlib import Path

from pantile.cli.checkpoint_argument import add_weights_option
from pantile.cli.output_arguments import output_folder


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run", type=Path, help="the folder of a run")
    parser.add_argument("folder", type=output_folder, help="a new folder")
    parser.add_argument(
        "--license",
        required=True,
        help="of the weights, in words of the hub, such as apache-2.0, cc-by-nc-4.0 or other",
    )
    parser.add_argument(
        "--pictures", type=int, default=2, metavar="N", help="draw the first N validation images (default: 2)"
    )
    add_weights_option(parser, "of the run")
    parser.add_argument(
        "--precision", choices=["fp32", "fp16"], default="fp32", help="fp16 stores large tensors in half the bytes"
    )
    parser.add_argument("--evaluate", action="store_true", help="measure the whole validation split for the card")


def run(args: argparse.Namespace) -> int:
    from pantile.contracts.errors import UserError
    from pantile.predict.publishing import PublishOptions, publish

    if not args.license.strip():
        raise UserError("--license is empty: state the licence of the weights, such as apache-2.0 or other.")
    if args.pictures < 0:
        raise UserError(f"--pictures {args.pictures}: give 0 or more.")
    options = PublishOptions(
        args.license, args.pictures, args.evaluate, weights=args.weights, halves=args.precision == "fp16"
    )
    print(publish(args.run, args.folder, options))
    return 0


def interrupted(args: argparse.Namespace) -> str:
    return f"{args.folder} is not whole: remove it and run it again."
