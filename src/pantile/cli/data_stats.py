"""``pantile data stats DIR``: what a split holds, and whether a model's queries are enough for it."""

import argparse
from typing import TYPE_CHECKING

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from pantile.cli.output_arguments import output_file
from pantile.cli.skip_missing import add_skip_missing
from pantile.cli.tables import make_table

if TYPE_CHECKING:
    from pantile.labels.statistics import Statistics
    from pantile.labels.video_statistics import VideoStatistics

_BAR = 8  # characters
_ROWS = 8  # of the image sizes; the JSON holds all


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("dir", metavar="DIR", help="folder of a labelled data set, scenes:N or scenes:classes=K")
    parser.add_argument("--split", default="train", metavar="NAME", help="(default: train)")
    add_skip_missing(parser)
    model = parser.add_mutually_exclusive_group()
    model.add_argument("--queries", type=int, metavar="N", help="compare with a model of N queries")
    model.add_argument("--recipe", metavar="NAME", help="compare with the queries of this recipe's model")
    parser.add_argument(
        "--pixels", action="store_true", help="also read the images: mean and std of each channel, for dataset.yaml"
    )
    parser.add_argument("--json", type=output_file, metavar="FILE", help="also write the numbers to this file")


def run(args: argparse.Namespace) -> int:
    from pantile.data import open_dataset
    from pantile.labels.statistics import count_labels

    queries = _queries(args)
    dataset = open_dataset(args.dir, args.split, args.skip_missing, option="--split")
    statistics = count_labels(dataset, progress=True)
    print_statistics(statistics, queries, Console())
    if args.recipe is not None and queries is None:
        print(f"{args.recipe}: its model has no queries, so any number of segments fits.")
    if args.pixels and len(dataset):
        from pantile.labels.pixel_statistics import pixel_statistics

        statistics.channels = pixel_statistics(dataset, progress=True)
        for name, values in vars(statistics.channels).items():
            print(f"{name}: [{', '.join(f'{value:.3f}' for value in values)}]")
    if args.json:
        statistics.write(args.json, queries)
    return 0


def _queries(args: argparse.Namespace) -> int | None:
    from pantile.contracts.errors import UserError

    if args.recipe is not None:
        from pantile.recipes.registry import make_recipe

        return getattr(make_recipe(args.recipe).model, "num_queries", None)
    if args.queries is not None and args.queries < 1:
        raise UserError(f"--queries is {args.queries}: give a whole number from 1.")
    return args.queries


def print_statistics(statistics: "Statistics", queries: int | None, console: Console) -> None:
    void = f"{100 * statistics.void_share:.1f} % void"
    console.print(
        f"\n[bold]{statistics.images:,} images[/bold], {sum(statistics.segments):,} segments, "
        f"{statistics.crowd:,} crowd regions, {void}"
    )
    if statistics.without_segment:
        console.print(f"[bold red]{statistics.without_segment:,} images have no segment at all.")
    if not statistics.images:
        return
    if statistics.videos is not None:
        console.print(_videos(statistics.videos))
    console.print(_per_image(statistics), _sizes(statistics), _classes(statistics), _image_sizes(statistics))
    if queries is not None:
        console.print(_verdict(statistics, queries))


def _per_image(statistics: "Statistics") -> Table:
    from pantile.labels.statistics import Spread

    own = make_table("per image", "p50", "p95", "max")
    rows = {"segments": statistics.segments, "needing a query (stuff once per class)": statistics.targets}
    for what, counts in rows.items():
        spread = Spread.of(counts)
        own.add_row(what, f"{spread.p50:g}", f"{spread.p95:g}", f"{spread.max}")
    return own


def _videos(videos: "VideoStatistics") -> Table:
    from pantile.labels.statistics import Spread

    own = make_table(f"{len(videos.videos):,} videos, {sum(videos.tracks):,} tracks", "p50", "p95", "max")
    rows = {"frames of a video": videos.frames, "tracks of a video": videos.tracks, "frames of a track": videos.lengths}
    for what, counts in rows.items():
        spread = Spread.of(counts)
        own.add_row(what, f"{spread.p50:g}", f"{spread.p95:g}", f"{spread.max}")
    told = [f"{escape(name)} {count:,}" for name, count in videos.per_class.items() if count]
    own.caption = f"{videos.returning:,} tracks leave and come back" + (f"; {', '.join(told)}" if told else "")
    return own


def _verdict(statistics: "Statistics", queries: int) -> str:
    images, surplus = statistics.over(queries)
    if not images:
        return f"{queries} queries are enough for every image."
    return (
        f"[bold red]{images:,} of {statistics.images:,} images have more than {queries} segments:[/bold red] "
        f"{surplus:,} segments would be void in training; raise model.num_queries."
    )


def _sizes(statistics: "Statistics") -> Table:
    from pantile.labels.statistics import SIZES

    own = make_table("segments by size", "things", "", "stuff", "")
    own.columns[2].justify = own.columns[4].justify = "left"
    words = {"small": "small (under 32 x 32)", "medium": "medium (under 96 x 96)", "large": "large"}
    kinds = [
        [c for c, info in zip(statistics.per_class, statistics.taxonomy.classes, strict=True) if info.is_thing == thing]
        for thing in (True, False)
    ]
    totals = [sum(c.segments for c in classes) for classes in kinds]
    for size in (*SIZES, "large"):
        cells = []
        for classes, total in zip(kinds, totals, strict=True):
            count = sum(c.sizes[size] for c in classes)
            cells += [f"{count:,}", _bar(count, total)]
        own.add_row(words[size], *cells)
    return own


def _classes(statistics: "Statistics") -> Table:
    own = make_table("class", "% of pixels", "", "segments", "images", "crowd", "small", "medium", "large")
    own.columns[2].justify = "left"
    own.columns[2].no_wrap = True
    pairs = zip(statistics.taxonomy.classes, statistics.per_class, strict=True)
    occurring = [(info, c) for info, c in pairs if c.images]
    most = max((c.pixels for _, c in occurring), default=0)
    for info, c in sorted(occurring, key=lambda pair: -pair[1].pixels):
        share = f"{100 * c.pixels / max(1, statistics.pixels):.2f}"
        counts = (c.segments, c.images, c.crowd, *(c.sizes[size] for size in ("small", "medium", "large")))
        own.add_row(escape(info.name), share, _bar(c.pixels, most), *(f"{count:,}" for count in counts))
    absent = [i.name for i, c in zip(statistics.taxonomy.classes, statistics.per_class, strict=True) if not c.images]
    if absent:
        own.caption = escape(f"classes that never occur ({len(absent)}): {', '.join(absent)}")
    return own


def _image_sizes(statistics: "Statistics") -> Table:
    own = make_table("image size (width x height)", "images", "")
    own.columns[2].justify = "left"
    common = statistics.image_sizes.most_common(_ROWS)
    for (height, width), count in common:
        own.add_row(f"{width} x {height}", f"{count:,}", _bar(count, common[0][1]))
    others = len(statistics.image_sizes) - len(common)
    if others:
        own.caption = f"and {others:,} other sizes"
    return own


def _bar(count: int, full: int) -> str:
    return "▇" * round(_BAR * count / full) if full else ""
