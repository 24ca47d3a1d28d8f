"""``pantile data show DIR``: a contact sheet, and a page that tells what lies under the pointer.

With ``--recipe`` they show what a training would see.
"""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from pantile.cli.output_arguments import output_folder
from pantile.cli.skip_missing import add_skip_missing
from pantile.data.scene_source import is_scenes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pantile.contracts.videos import Video

COLUMNS = 4
STRIP = 6  # frames of a video beside each other
MOST_IMAGES = 300  # a page with more takes browsers minutes to open


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "dir", metavar="DIR", help="folder of a labelled data set, scenes:N, scenes:classes=K or video-scenes:N"
    )
    parser.add_argument("--split", default="train", metavar="NAME", help="(default: train)")
    add_skip_missing(parser)
    parser.add_argument(
        "--images",
        type=int,
        default=24,
        metavar="N",
        help="how many, evenly from the whole split; with --recipe the first that a training draws (default: 24)",
    )
    parser.add_argument(
        "--recipe", metavar="NAME", help="show augmented crops with their targets, as this recipe draws them"
    )
    parser.add_argument(
        "--set", nargs="+", action="extend", default=[], metavar="FIELD=VALUE", help="override fields of the recipe"
    )
    parser.add_argument(
        "--out",
        type=output_folder,
        default="data_show",
        metavar="FOLDER",
        help="for contact_sheet.png and index.html (default: data_show)",
    )


def run(args: argparse.Namespace) -> int:
    from rich.console import Console
    from rich.progress import track

    from pantile.contracts.errors import UserError
    from pantile.data import open_dataset
    from pantile.data.image_files import save_image
    from pantile.data.videos import has_videos, videos_of
    from pantile.visualize.contact_sheet import contact_sheet
    from pantile.visualize.data_page import DataPage, write_data_page
    from pantile.visualize.labelled_image import draw_labelled

    if not 1 <= args.images <= MOST_IMAGES:
        raise UserError(f"--images is {args.images}: give a number from 1 to {MOST_IMAGES}.")
    if args.set and not args.recipe:
        raise UserError("--set changes fields of a recipe: name one by --recipe, or leave it out.")
    if args.recipe:
        from pantile.recipes.registry import ALL_RECIPES

        ALL_RECIPES.find(args.recipe)  # before torch is imported
    dataset = open_dataset(args.dir, args.split, args.skip_missing, option="--split")
    if not len(dataset):
        raise UserError(f"{args.dir}: the split {args.split!r} has no images: choose another one.")
    if args.recipe:
        from pantile.cli.data_show_recipe import draw_samples

        drawn, note, columns = draw_samples(args.recipe, args.set, dataset, args.images)
        print(note)
    else:
        columns = COLUMNS
        chosen = evenly(len(dataset), args.images)
        if has_videos(dataset):
            chosen = strips(videos_of(dataset), args.images)
            columns = STRIP
        drawn = [
            draw_labelled(dataset.name_of(index), *dataset.load(index), dataset.taxonomy)
            for index in track(chosen, "drawing", console=Console(stderr=True))
        ]
        note = f"{len(drawn)} of the {len(dataset)} images of the split {args.split!r}."
    save_image(contact_sheet(drawn, dataset.taxonomy, columns), args.out / "contact_sheet.png")
    write_data_page(args.out / "index.html", DataPage(_title(args.dir), note, drawn, dataset.taxonomy))
    for name in ("contact_sheet.png", "index.html"):
        print(args.out / name)
    return 0


def evenly(length: int, count: int) -> list[int]:
    """``count`` different indices, or all, spread from the first to the last: neighbours in a data set are alike."""
    count = min(length, count)
    return [k * (length - 1) // max(1, count - 1) for k in range(count)]


def strips(videos: "Sequence[Video]", count: int) -> list[int]:
    """At most ``count`` frames: some videos, evenly from all, of each a row of frames from its first to its last."""
    shown = []
    for number in evenly(len(videos), max(1, count // STRIP)):
        frames = videos[number].frames
        row = [frames[k] for k in evenly(len(frames), min(STRIP, count))]
        shown += row + row[-1:] * (min(STRIP, count) - len(row))  # a short video ends with its last frame
    return shown


def _title(source: str) -> str:
    return source if is_scenes(source) else Path(source).resolve().name
