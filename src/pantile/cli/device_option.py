"""``--device``, which verbs that run a network share."""

import argparse


def add_device_argument(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--device",
        default="auto",
        metavar="NAME",
        help="auto (a CUDA GPU where there is one, else the CPU), cpu, cuda, cuda:1 or mps (default: auto)",
    )
