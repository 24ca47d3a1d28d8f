"""The options by which verbs say what of deep and multi-band files the network takes."""

import argparse
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pantile.data.reading import Reading


def add_reading_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--range",
        type=float,
        nargs="+",
        metavar="VALUE",
        help="LOW HIGH: values of the files that become 0 and 255 of the network; one such pair per band is allowed",
    )
    parser.add_argument(
        "--bands", type=int, nargs="+", metavar="N", help="bands of the files, from 1, in the network's order"
    )
    parser.add_argument("--pages", type=int, nargs="+", metavar="N", help="pages of the files, from 1")


def reading_of(args: argparse.Namespace, base: "Reading") -> "Reading | None":
    """``base`` with what the options say instead; None without options.

    Raises:
        UserError: numbers that make no sense.
    """
    from dataclasses import replace

    from pantile.contracts.errors import UserError

    given = {name: tuple(getattr(args, name)) for name in ("bands", "pages") if getattr(args, name) is not None}
    if args.range is not None:
        if len(args.range) % 2:
            raise UserError(f"--range has {len(args.range)} values: give LOW HIGH, or one such pair per band.")
        pairs = tuple(zip(args.range[::2], args.range[1::2], strict=True))
        given["range"] = pairs[0] if len(pairs) == 1 else pairs
    if not given:
        return None
    reading = replace(base, **given)
    reading.check("the options")
    return reading
