"""``pantile tune CKPT --data DIR``: the thresholds of the merge that suit a split."""

import argparse
from typing import Any

from pantile.cli.checkpoint_argument import add_checkpoint_argument, opened
from pantile.cli.device_option import add_device_argument
from pantile.cli.numbers import at_least_one
from pantile.cli.output_arguments import check_weights_name, output_file
from pantile.cli.skip_missing import add_skip_missing


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_checkpoint_argument(parser)
    parser.add_argument("--data", required=True, help="a folder of a labelled data set, or `scenes`")
    parser.add_argument("--split", default="val", help="default: val")
    parser.add_argument("--limit", type=at_least_one, help="only the first N images")
    parser.add_argument(
        "--try",
        dest="candidates",
        nargs="+",
        action="extend",
        type=candidate,
        default=[],
        metavar="FIELD=V1,V2",
        help="thresholds and values to try, such as merge.overlap=0.5,0.7 (default: those of this kind of merge)",
    )
    parser.add_argument("--out", type=output_file, help="write the weights with these thresholds, .safetensors")
    parser.add_argument("--set", nargs="+", action="extend", default=[], metavar="FIELD=VALUE", help="override fields")
    add_skip_missing(parser)
    add_device_argument(parser)


def candidate(text: str) -> tuple[str, tuple[Any, ...]]:
    """A field of the merge and values for it."""
    import yaml

    name, _, values = text.partition("=")
    if not name.startswith("merge.") or not values:
        raise argparse.ArgumentTypeError(f"{text!r}: give a threshold and its values, as in merge.overlap=0.5,0.7")
    return name.removeprefix("merge."), tuple(yaml.safe_load(value) for value in values.split(","))


def run(args: argparse.Namespace) -> int:
    import shlex
    import sys
    from dataclasses import replace

    from pantile.cli.lean_imports import import_torchmetrics
    from pantile.data import open_dataset

    if args.out:
        check_weights_name(args.out)
    dataset = open_dataset(args.data, args.split, args.skip_missing, option="--split")
    import_torchmetrics()
    from pantile.engine.checkpoint import save_weights
    from pantile.engine.config import override
    from pantile.engine.tuning import assignments, tune

    checkpoint = opened(args.checkpoint, args.weights)
    checkpoint = replace(checkpoint, config=override(checkpoint.config, args.set))

    def tell(line: str) -> None:
        print(f"pantile: {line}", file=sys.stderr, flush=True)

    found = tune(checkpoint, dataset, dict(args.candidates) or None, args.limit, args.device, tell)
    settings = assignments(found.settings)
    print(f"{found.images} images, {found.tried} combinations of thresholds")
    print(f"PQ {100 * found.before:5.1f}  as it is")
    print(f"PQ {100 * found.after:5.1f}  with {' '.join(settings) or 'the same thresholds: none is better'}")
    print(f"PQ {100 * found.expected:5.1f}  chosen on one half of the images and measured on the other: of new ones")
    if settings and found.expected <= found.before:
        print("The gain does not carry over to other images: keep the thresholds as they are, or tune on more images.")
    if args.out:
        config = override(checkpoint.config, settings)
        save_weights(args.out, checkpoint.state, config, checkpoint.taxonomy, checkpoint.step)
        print(f"{args.out}: the weights with these thresholds")
    elif settings:
        told = " ".join(shlex.quote(setting) for setting in settings)
        print(f"`--set {told}` of eval and export, or --out FILE.safetensors here, applies them.")
    return 0


def interrupted(args: argparse.Namespace) -> str:
    return "nothing was written: run it again, with --limit N for fewer images."
