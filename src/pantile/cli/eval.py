"""``pantile eval CKPT --data DIR``"""

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING

from pantile.cli.checkpoint_argument import OR_EXPORTED, add_checkpoint_argument, is_exported, opened, opened_file
from pantile.cli.device_option import add_device_argument
from pantile.cli.numbers import at_least_one
from pantile.cli.output_arguments import output_file, output_folder
from pantile.cli.reading_options import add_reading_arguments, reading_of
from pantile.cli.skip_missing import add_skip_missing
from pantile.cli.tile_options import add_tile_arguments, tiles_of
from pantile.cli.view_options import add_view_arguments, views_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from pantile.engine.evaluate_videos import VideoEvaluation
    from pantile.engine.meters import Evaluation
    from pantile.inference.tiles import Tiling


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_checkpoint_argument(parser, OR_EXPORTED)
    parser.add_argument("--data", required=True, help="a folder of a labelled data set, or `scenes`")
    parser.add_argument("--split", default="val", help="default: val")
    parser.add_argument("--limit", type=at_least_one, help="only the first N images")
    parser.add_argument(
        "--track",
        choices=("overlap", "queries"),
        help="measure tracked videos, by STQ, VPQ and VC, in place of single images; --limit counts videos then",
    )
    add_skip_missing(parser)
    add_view_arguments(parser)
    add_tile_arguments(parser)
    add_reading_arguments(parser)
    add_device_argument(parser)
    parser.add_argument("--json", type=output_file, help="also write the numbers to this file")
    parser.add_argument(
        "--confused", type=output_folder, metavar="DIR", help="draw the most confused things into this folder"
    )
    parser.add_argument("--set", nargs="+", action="extend", default=[], metavar="FIELD=VALUE", help="override fields")


def run(args: argparse.Namespace) -> int:
    from pantile.cli.lean_imports import import_torchmetrics

    measure(args, import_torchmetrics, tell=True)
    return 0


def measure(
    args: argparse.Namespace, before_torch: "Callable[[], None]" = lambda: None, tell: bool = False
) -> "Evaluation | VideoEvaluation":
    """
    Args:
        before_torch: called when the data are there and the network is not.
        tell: print the numbers, before files are written.
    """
    from dataclasses import replace

    from pantile.cli.confused_things import confused_things, write_pictures
    from pantile.contracts.errors import UserError
    from pantile.data import open_dataset
    from pantile.data.bands import reading_for

    dataset = open_dataset(args.data, args.split, args.skip_missing, option="--split")
    before_torch()
    from pantile.data.reading import AS_STORED
    from pantile.engine.config import override
    from pantile.engine.devices import device_named
    from pantile.engine.evaluate import evaluate, in_its_classes, load_task
    from pantile.engine.measures import per_class
    from pantile.engine.processes import processes
    from pantile.predict import Predictor

    views, tiling = views_of(args), tiles_of(args)
    if is_exported(args.checkpoint):
        return _measure_exported(args, tiling, tell)
    checkpoint = opened(args.checkpoint, args.weights)
    checkpoint = replace(checkpoint, config=override(checkpoint.config, args.set))
    if args.confused and per_class(checkpoint.config):
        raise UserError(f"--confused: {checkpoint.path} classifies pixels and tells no things apart; leave it out.")
    dataset = in_its_classes(checkpoint, dataset)
    described = reading_for(dataset)
    reading = reading_of(args, checkpoint.config.images if described == AS_STORED else described)
    if args.track is not None:
        if args.confused:
            raise UserError("--confused draws things of single images: leave it out with --track.")
        from pantile.engine.evaluate_videos import evaluate_videos

        made = evaluate_videos(checkpoint, dataset, args.track, args.limit, views, tiling, reading, args.device)
        if tell:
            print_videos(made)
        if args.json:
            write_json(made.to_dict(), args.json)
        return made
    result = evaluate(checkpoint, dataset, args.limit, views, tiling=tiling, reading=reading, device=args.device)
    if processes().rank == 0:
        if tell:
            print_results(result)
        if args.json:
            write_json(result.to_dict(), args.json)
        if args.confused:
            predictor = Predictor(load_task(checkpoint), device_named(args.device), views=views, tiling=tiling)
            write_pictures(confused_things(predictor, dataset, result.confused), args.confused)
    return result


def _measure_exported(args: argparse.Namespace, tiling: "Tiling | None", tell: bool) -> "Evaluation":
    """The same of a file that ``pantile export`` wrote; one image at a time, as it is shipped."""
    from pantile.contracts.errors import UserError
    from pantile.data import open_dataset
    from pantile.predict.exported_evaluation import evaluate_exported

    if args.set or args.confused:
        option = "--set" if args.set else "--confused"
        raise UserError(f"{option} is of checkpoints; {args.checkpoint} is an exported file: leave it out.")
    file = opened_file(args)
    dataset = open_dataset(args.data, args.split, args.skip_missing, option="--split")
    result = evaluate_exported(file, dataset, args.limit, tiling, reading_of(args, file.header.reading))
    if tell:
        print_results(result)
    if args.json:
        write_json(result.to_dict(), args.json)
    return result


def interrupted(args: argparse.Namespace) -> str:
    return "nothing was measured to the end and nothing written: run it again, with --limit N for fewer images."


def print_results(evaluation: "Evaluation") -> None:
    """What every metric has to say, in percent, and the main one of single classes."""
    from pantile.metrics.registry import METRICS

    for name, result in evaluation.results.items():
        METRICS[name].show(result)
        if name == evaluation.main and METRICS[name].show_classes:
            METRICS[name].show_classes(result)


def print_videos(evaluation: "VideoEvaluation") -> None:
    """What every metric of videos has to say, in percent."""
    from rich.console import Console

    from pantile.cli.score_video_tables import print_measures

    print(f"{len(evaluation.videos)} videos, {evaluation.frames} frames")
    print_measures(evaluation.results, Console())


def write_json(content: dict, path: Path) -> None:
    """Atomic."""
    from pantile.contracts.atomic import replacing

    with replacing(path) as temporary:
        temporary.write_text(json.dumps(content, indent=2))
