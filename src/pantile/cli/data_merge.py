"""``pantile data merge DIR DIR... OUT``: several labelled folders as one."""

import argparse
from pathlib import Path

from pantile.cli.output_arguments import output_folder
from pantile.cli.skip_missing import add_skip_missing


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "dirs", type=Path, nargs="+", metavar="DIR", help="folders of labelled data sets; they are only read"
    )
    parser.add_argument("out", type=output_folder, metavar="OUT", help="new or empty folder, in COCO-panoptic layout")
    parser.add_argument("--union", action="store_true", help="keep classes that only some of the folders have")
    add_skip_missing(parser)
    parser.add_argument("--link", action="store_true", help="hard-link the images instead of copying them")


def run(args: argparse.Namespace) -> int:
    from pantile.labels.splitting.merging import MergeOptions, merge_folders

    merged = merge_folders(args.dirs, args.out, MergeOptions(args.union, args.skip_missing, args.link, progress=True))
    for split, counts in merged.images.items():
        print(f"{split}: {' + '.join(f'{n:,}' for n in counts)} = {sum(counts):,} images")
    print(f"{len(merged.taxonomy)} classes")
    if merged.renamed:
        print(f"{merged.renamed:,} images have the name of their folder before theirs, which another has too")
    if merged.renumbered:
        print("the ids of the images count anew, because two had one")
    print(args.out)
    return 0
