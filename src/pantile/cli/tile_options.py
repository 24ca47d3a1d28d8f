"""The options by which verbs cut large images into tiles."""

import argparse
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pantile.inference.tiles import Tiling


def add_tile_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--tile",
        type=int,
        metavar="SIZE",
        help="cut images larger than SIZE pixels into tiles of SIZE x SIZE, at their own resolution, and stitch them",
    )
    parser.add_argument(
        "--overlap", type=int, metavar="N", help="pixels that neighbouring tiles share at least (default: SIZE / 8)"
    )
    parser.add_argument(
        "--tile-scale",
        metavar="FACTOR",
        help="resize every image by this factor before it is cut, also those that fit into one tile; `fit` is the "
        "size at which images are predicted without --tile (default: own resolution for images larger than a tile)",
    )


def tiles_of(args: argparse.Namespace) -> "Tiling | None":
    """None without ``--tile``.

    Raises:
        UserError: numbers that make no sense, or options that need ``--tile``.
    """
    from pantile.contracts.errors import UserError
    from pantile.inference.tiles import Tiling

    if args.tile is None:
        for option, value in (("--overlap", args.overlap), ("--tile-scale", args.tile_scale)):
            if value is not None:
                raise UserError(f"{option} {value} needs --tile SIZE, the side of a tile in pixels.")
        return None
    scale = args.tile_scale
    if scale not in (None, "fit"):
        try:
            scale = float(scale)
        except ValueError:
            raise UserError(f"--tile-scale {scale}: give a factor above 0, such as 0.5, or `fit`.") from None
    return Tiling(args.tile, args.overlap, scale)
