"""The option ``--skip-missing`` of every verb that opens a labelled data set."""

import argparse


def add_skip_missing(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--skip-missing", action="store_true", help="leave out images of which a file is missing, and say how many"
    )
