"""``pantile data VERB``: look after labels. Every sub-verb is a file ``data_<verb>.py``; this one only finds it."""

import argparse
import importlib

#: sub-verb -> what it does; ``pantile.cli.data_<sub-verb>`` has ``add_arguments(parser)`` and ``run(args)``.
SUBVERBS = {
    "check": "find what is wrong with labels, and write a repaired copy",
    "convert": "labels of other tools and data sets into COCO-panoptic, and back",
    "show": "a contact sheet and a page that tells what lies under the pointer",
    "stats": "segments per image, classes, sizes and void",
    "merge": "several labelled folders as one",
    "subset": "some of a folder's images, by number, by name or by what they show",
    "split": "train, val and test, with the images of one photo on one side",
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
