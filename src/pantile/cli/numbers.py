"""Numbers of the command line, refused where they cannot be meant."""

import argparse


def at_least_one(text: str) -> int:
    """The type of an option that counts something there must be one of."""
    return _whole(text, 1)


def at_least_zero(text: str) -> int:
    """The type of an option that may ask for nothing."""
    return _whole(text, 0)


def above_zero(text: str) -> float:
    """The type of an option that measures something."""
    try:
        number = float(text)
    except ValueError:
        number = 0.0
    if not 0 < number < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r}: give a number above 0")
    return number


def _whole(text: str, least: int) -> int:
    try:
        number = int(text)
    except ValueError:
        number = least - 1
    if number < least:
        raise argparse.ArgumentTypeError(f"{text!r}: give a whole number from {least}")
    return number
