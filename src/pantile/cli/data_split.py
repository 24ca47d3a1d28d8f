"""``pantile data split DIR OUT --val 0.1``: train, val and test, with the images of one photo on one side."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from pantile.cli.output_arguments import output_folder
from pantile.cli.skip_missing import add_skip_missing

if TYPE_CHECKING:
    from rich.table import Table

    from pantile.contracts.taxonomy import Taxonomy
    from pantile.labels.splitting.split import SplitResult


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("dir", type=Path, metavar="DIR", help="folder of a labelled data set; it is only read")
    parser.add_argument("out", type=output_folder, metavar="OUT", help="new or empty folder, in COCO-panoptic layout")
    parser.add_argument("--split", default="train", metavar="NAME", help="the split of DIR to divide (default: train)")
    add_skip_missing(parser)
    parser.add_argument("--val", type=float, default=0.1, metavar="SHARE", help="of the images (default: 0.1)")
    parser.add_argument("--test", type=float, default=0.0, metavar="SHARE", help="of the images (default: none)")
    parser.add_argument("--seed", type=int, default=0, help="(default: 0)")
    parser.add_argument(
        "--group-by-name", metavar="REGEX", help="images whose names start with the same match stay together"
    )
    parser.add_argument(
        "--group-by-content",
        default="overlap",
        metavar="overlap|none",
        help="keep copies and overlapping crops together (default: overlap)",
    )
    parser.add_argument("--link", action="store_true", help="hard-link the images instead of copying them")


def run(args: argparse.Namespace) -> int:
    from rich.console import Console

    from pantile.contracts.errors import UserError
    from pantile.data import open_dataset
    from pantile.labels.splitting.split import SplitOptions, split_folder

    if not args.dir.exists():
        raise UserError(f"The data folder {args.dir} does not exist: name the folder of a labelled data set.")
    # resolved: a folder called "scenes" is meant as such
    dataset = open_dataset(args.dir.resolve(), args.split, args.skip_missing, option="--split")
    options = SplitOptions(
        args.val, args.test, args.seed, args.group_by_name, args.group_by_content, args.link, progress=True
    )
    result = split_folder(dataset, args.out, options)
    together = [group for group in result.groups if len(group) > 1]
    console = Console()
    console.print(
        f"{len(dataset)} images in {len(result.groups)} groups; {sum(map(len, together))} images share a group "
        f"with others, the largest has {max(map(len, result.groups))}."
    )
    console.print(_images_table(result, len(dataset)), _classes_table(result, dataset.taxonomy))
    print(args.out)
    return 0


def _images_table(result: "SplitResult", images: int) -> "Table":
    from pantile.cli.tables import make_table

    own = make_table("split", "images", "% of all")
    for split, indices in result.indices.items():
        own.add_row(split, f"{len(indices):,}", f"{100 * len(indices) / images:.1f}")
    return own


def _classes_table(result: "SplitResult", taxonomy: "Taxonomy") -> "Table":
    from rich.markup import escape

    from pantile.cli.tables import make_table

    own = make_table("images with", *result.indices)
    for k, name in enumerate(taxonomy.names):
        counts = [int(result.occurrence[indices, k].sum()) for indices in result.indices.values()]
        if any(counts):
            own.add_row(escape(name), *(f"{count:,}" if count else "[bold red]0[/bold red]" for count in counts))
    return own
