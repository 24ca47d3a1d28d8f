"""``pantile data convert SRC DST --from FORMAT --to FORMAT``: labels into COCO-panoptic, and back."""

import argparse
from pathlib import Path

from pantile.cli.orientation_option import add_orientation_argument
from pantile.cli.output_arguments import output_folder
from pantile.cli.skip_missing import add_skip_missing


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("src", type=Path, metavar="SRC", help="folder of labels and images; it is only read")
    parser.add_argument("dst", type=output_folder, metavar="DST", help="new or empty folder")
    parser.add_argument(
        "--from", dest="source", default="auto", metavar="FORMAT", help="see docs/formats.md (default: what fits)"
    )
    parser.add_argument(
        "--to", dest="target", default="coco-panoptic", metavar="FORMAT", help="(default: coco-panoptic)"
    )
    parser.add_argument("--split", nargs="+", default=[], metavar="NAME", help="which splits (default: all)")
    parser.add_argument("--things", nargs="+", default=[], metavar="CLASS", help="classes with instances")
    parser.add_argument("--stuff", nargs="+", default=[], metavar="CLASS", help="classes without instances")
    parser.add_argument("--classes", type=Path, metavar="FILE", help="list of classes, if not beside the labels")
    parser.add_argument("--images", type=Path, metavar="DIR", help="folder of images, if not beside the labels")
    parser.add_argument(
        "--overlap",
        default="error",
        metavar="RULE",
        help="error, smaller-on-top, larger-on-top or last-on-top (default: error)",
    )
    parser.add_argument("--gap", default="void", metavar="void|CLASS", help="what unlabelled pixels become")
    parser.add_argument(
        "--unreadable",
        default="error",
        metavar="RULE",
        help="photos that Pantile cannot read: error, skip (leave out) or keep (copy as they are) (default: error)",
    )
    parser.add_argument(
        "--crowd-as-instances",
        nargs="*",
        metavar="CLASS",
        help="crowd regions of these classes, or of all things, become instances",
    )
    parser.add_argument(
        "--outline",
        metavar="centres|edges",
        help="what polygons run along: the centres of pixels, as contours of masks do, or their edges (default: what "
        "the areas in the file say, else edges)",
    )
    add_skip_missing(parser)
    add_orientation_argument(
        parser,
        "what labels of photos with an EXIF orientation lie on, where they do not tell (docs/orientation.md)",
        default=None,
    )
    parser.add_argument("--workers", type=int, metavar="N", help="processes (default: one per core)")
    parser.add_argument("--link", action="store_true", help="hard-link the images instead of copying them")


def run(args: argparse.Namespace) -> int:
    from rich.console import Console

    from pantile.contracts.errors import UserError
    from pantile.labels import ConvertOptions, ReadOptions, convert
    from pantile.score import usable_cores

    if args.workers is not None and args.workers < 1:
        raise UserError(f"--workers is {args.workers}: give a whole number from 1.")

    classes = (tuple(args.things), tuple(args.stuff))
    read = ReadOptions(
        tuple(args.split),
        args.classes,
        args.images,
        *classes,
        args.skip_missing,
        orientation=args.orientation,
        outline=args.outline,
    )
    options = ConvertOptions(
        args.source,
        args.target,
        read,
        args.overlap,
        args.gap,
        None if args.crowd_as_instances is None else tuple(args.crowd_as_instances),
        args.unreadable,
        args.link,
        progress=True,
        workers=args.workers or usable_cores(),
    )
    report = convert(args.src, args.dst, options)
    report.print(Console())
    print(args.dst)
    return 0
