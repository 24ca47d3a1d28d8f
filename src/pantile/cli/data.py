"""``pantile data VERB``: look after labels. Every sub-verb is a file ``data_<verb>.py``; this one only finds it."""

import argparse
import importlib

#: sub-verb -> what it does; ``pantile.cli.data_<sub-verb>`` has ``add_arguments(parser)`` and ``run(args)``.
SUBVERBS = {
    "convert": "labels of other tools and data sets into COCO-panoptic, and back",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    subverbs = parser.add_subparsers(metavar="|".join(SUBVERBS), required=True)
    for name, summary in SUBVERBS.items():
        module = importlib.import_module(f"pantile.cli.data_{name}")
        sub = subverbs.add_parser(name, help=summary, description=summary)
        module.add_arguments(sub)
        sub.set_defaults(subverb=module.run)


def run(args: argparse.Namespace) -> int:
    return args.subverb(args)
