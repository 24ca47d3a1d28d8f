"""``pantile data subset DIR OUT --images 100``: some of a folder's images, by number, by name or by what they show."""

import argparse
from pathlib import Path

from pantile.cli.output_arguments import output_folder
from pantile.cli.skip_missing import add_skip_missing


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("dir", type=Path, metavar="DIR", help="folder of a labelled data set; it is only read")
    parser.add_argument("out", type=output_folder, metavar="OUT", help="new or empty folder, in COCO-panoptic layout")
    parser.add_argument("--split", nargs="+", default=[], metavar="NAME", help="which splits (default: all)")
    parser.add_argument("--images", type=int, metavar="N", help="so many of each split, drawn by chance")
    parser.add_argument("--seed", type=int, default=0, help="of the draw (default: 0)")
    parser.add_argument("--names", type=Path, metavar="FILE", help="the images that this file names, one a line")
    parser.add_argument("--classes", nargs="+", default=[], metavar="CLASS", help="images that show one of these")
    add_skip_missing(parser)
    parser.add_argument("--link", action="store_true", help="hard-link the images instead of copying them")


def run(args: argparse.Namespace) -> int:
    from pantile.labels.splitting.subset import SubsetOptions, take_subset

    options = SubsetOptions(
        tuple(args.split),
        args.images,
        args.seed,
        args.names,
        tuple(args.classes),
        args.skip_missing,
        args.link,
        progress=True,
    )
    for split, (taken, total) in take_subset(args.dir, args.out, options).items():
        print(f"{split}: {taken:,} of {total:,} images")
    print(args.out)
    return 0
