"""``--orientation upright|stored``, the same for every verb that has it; docs/orientation.md says what it means."""

import argparse


def add_orientation_argument(parser: argparse.ArgumentParser, what: str, default: str | None = "upright") -> None:
    """
    Args:
        what: it decides, for the help.
    """
    parser.add_argument("--orientation", choices=("upright", "stored"), default=default, help=what)
