"""The options by which verbs choose the views that a prediction is averaged over."""

import argparse
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pantile.inference.views import Views


def add_view_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--scales",
        nargs="+",
        default=["1"],
        metavar="FACTOR",
        help="average over these scales of the input, or over a published set: coco, cityscapes (default: 1)",
    )
    parser.add_argument("--flip", action="store_true", help="average over mirror images as well")


def views_of(args: argparse.Namespace) -> "Views":
    """
    Raises:
        UserError: a factor that is no number above 0.
    """
    from pantile.contracts.errors import UserError
    from pantile.inference.views import SCALE_SETS, Views

    if len(args.scales) == 1 and args.scales[0] in SCALE_SETS:
        return Views(SCALE_SETS[args.scales[0]], args.flip)
    try:
        scales = tuple(float(text) for text in args.scales)
    except ValueError:
        raise UserError(
            f"--scales {' '.join(args.scales)}: give factors such as 0.75 1 1.25, or one of {', '.join(SCALE_SETS)}."
        ) from None
    return Views(scales, args.flip)
