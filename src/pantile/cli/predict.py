"""``pantile predict CKPT IMAGE_OR_FOLDER_OR_FILM... --out DIR``"""

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from pantile.cli.checkpoint_argument import OR_EXPORTED, add_checkpoint_argument, is_exported, opened, opened_file
from pantile.cli.device_option import add_device_argument
from pantile.cli.orientation_option import add_orientation_argument
from pantile.cli.output_arguments import output_folder
from pantile.cli.reading_options import add_reading_arguments, reading_of
from pantile.cli.tile_options import add_tile_arguments, tiles_of
from pantile.cli.view_options import add_view_arguments, views_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from pantile.inference.tiles import Tiling
    from pantile.predict.files import Predicted
    from pantile.predict.films import PredictedFilms
    from pantile.predict.images import ImageFile
    from pantile.predict.like import GroundTruth
    from pantile.predict.protocol import ImagePredictor


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_checkpoint_argument(parser, OR_EXPORTED)
    parser.add_argument("images", nargs="+", type=Path, help="image files, folders of images, or films")
    parser.add_argument(
        "--out",
        type=output_folder,
        required=True,
        help="receives annotations/ (COCO-panoptic) and overlays/; of films pred.json and pan_pred/ (VIPSeg)",
    )
    parser.add_argument(
        "--recursive", action="store_true", help="also the subfolders of folders; names keep them: a/x.jpg, b/x.jpg"
    )
    parser.add_argument(
        "--like",
        type=Path,
        metavar="JSON",
        help="take ids and file names of the images, and ids of the categories, from this ground truth",
    )
    existing = parser.add_mutually_exclusive_group()
    existing.add_argument(
        "--resume", action="store_true", help="go on with the predictions in --out: what is finished is kept"
    )
    existing.add_argument("--overwrite", action="store_true", help="replace the predictions in --out")
    parser.add_argument(
        "--skip-bad", action="store_true", help="leave out images that cannot be used: the others are predicted, exit 1"
    )
    parser.add_argument(
        "--track",
        choices=("overlap", "queries"),
        help="how things of a film keep their ids (default: overlap); makes the images of a folder frames of a film",
    )
    add_view_arguments(parser)
    add_tile_arguments(parser)
    add_orientation_argument(parser, "what to take of photos that their EXIF orientation turns (default: upright)")
    add_reading_arguments(parser)
    add_device_argument(parser)
    parser.add_argument(
        "--inside",
        type=output_folder,
        metavar="DIR",
        help="also draw how the model comes to its segments: assignments and attention of each layer",
    )
    parser.add_argument(
        "--to",
        metavar="FORMAT",
        help="also write the predictions for an annotation tool, with copies of the images, to the folder of this name "
        "in --out: label-studio, cvat, labelme, yolo-seg or another that data convert writes",
    )
    parser.add_argument("--no-overlays", action="store_true", help="write only the COCO-panoptic files")


def run(args: argparse.Namespace) -> int:
    if not is_exported(args.checkpoint):
        from pantile.cli.lean_imports import import_torchmetrics

        import_torchmetrics()
    made = write_predictions(args, tell=True)
    return 1 if made.incomplete else 0


def write_predictions(args: argparse.Namespace, tell: bool = False) -> "Predicted | PredictedFilms":
    """``tell``: print what was made, and what could not be."""
    if is_exported(args.checkpoint):
        return _run_exported(args, tell)
    from pantile.data.films import is_film

    if args.track is not None or any(map(is_film, args.images)):
        return _run_films(args, tell)
    return _run_images(args, _predictor, tell)


def _run_exported(args: argparse.Namespace, tell: bool) -> "Predicted":
    from pantile.contracts.errors import UserError
    from pantile.data.films import is_film

    if args.inside is not None:
        raise UserError(f"--inside draws layers, which {args.checkpoint} does not give: name the run instead.")
    if args.track is not None or any(map(is_film, args.images)):
        raise UserError(f"Films are predicted by checkpoints only, not by {args.checkpoint}: name the run instead.")
    return _run_images(args, _exported_predictor, tell)


def _run_images(
    args: argparse.Namespace,
    predictor_of: "Callable[[argparse.Namespace, Tiling | None], ImagePredictor]",
    tell: bool,
) -> "Predicted":
    from pantile.engine.processes import processes
    from pantile.predict import PredictOptions, find_images, predict_files
    from pantile.predict.distributed import join_processes
    from pantile.predict.images import tell_bad
    from pantile.predict.job import JobFolder

    tiling = tiles_of(args)
    world = processes()
    if args.to is not None:
        from pantile.labels.suggestions import check_target

        check_target(args.to, args.out / args.to)
    images = find_images(args.images, args.recursive, leave_out=JobFolder(args.out).written)
    options = PredictOptions(
        overlays=not args.no_overlays,
        existing="resume" if args.resume else "overwrite" if args.overwrite else "refuse",
        skip_bad=args.skip_bad,
        like=_ground_truth(args.like) if args.like else None,
    )
    with join_processes(world):
        predictor = predictor_of(args, tiling)
        predictor.reading = reading_of(args, predictor.reading) or predictor.reading
        made = predict_files(predictor, images, args.out, world.rank, world.total, options)
        if args.inside is not None:
            from pantile.predict.inside import write_inside

            bad = {image.name for image in made.bad}
            mine = [image for image in images if image.name not in bad][world.rank :: world.total]
            write_inside(predictor, mine, args.inside)
    if world.rank == 0 and args.to is not None:
        _suggest(made.json, images, options.like, args.out / args.to, args.to)
        if tell:
            print(args.out / args.to)
    if world.rank == 0 and tell:
        if made.kept:
            print(f"{made.kept} of {made.images} images were finished by an earlier run.")
        if made.bad:
            print(f"pantile: {tell_bad(made.bad, len(images))}", file=sys.stderr)
        print(made.json)
    return made


def _suggest(predictions: Path, images: "list[ImageFile]", like: "GroundTruth | None", dst: Path, target: str) -> None:
    """Writes the predictions as an annotation tool takes them."""
    from pantile.labels.suggestions import write_suggestions
    from pantile.predict.like import name_like

    named = images if like is None else name_like(images, like)
    report = write_suggestions(predictions, {image.name: image.path for image in named}, dst, target)
    for (name, reason), (segments, _) in report.lost.items():
        print(f"pantile: {name}: {segments} segments lost ({reason}).", file=sys.stderr)


def _exported_predictor(args: argparse.Namespace, tiling: "Tiling | None") -> "ImagePredictor":
    file = opened_file(args)
    from pantile.predict.exported import ExportedPredictor

    return ExportedPredictor(file, tiling, args.orientation)


def _predictor(args: argparse.Namespace, tiling: "Tiling | None") -> "ImagePredictor":
    from pantile.engine.devices import device_named
    from pantile.engine.measures import check_segments
    from pantile.predict import predictor_of

    device = device_named(args.device)
    checkpoint = opened(args.checkpoint, args.weights)
    check_segments(checkpoint.config, str(checkpoint.path))
    return predictor_of(checkpoint, device, views=views_of(args), tiling=tiling, orientation=args.orientation)


def _ground_truth(path: Path) -> "GroundTruth":
    from pantile.predict import read_ground_truth

    return read_ground_truth(path)


def _run_films(args: argparse.Namespace, tell: bool) -> "PredictedFilms":
    from pantile.contracts.errors import UserError
    from pantile.data.films import open_films
    from pantile.engine.devices import device_named
    from pantile.engine.processes import processes
    from pantile.predict import PredictOptions, predictor_of
    from pantile.predict.films import predict_films

    given = {
        "--to": args.to,
        "--like": args.like,
        "--inside": args.inside,
        "--recursive": args.recursive,
        "--skip-bad": args.skip_bad,
    }
    wrong = [option for option, value in given.items() if value]
    if wrong:
        raise UserError(f"{wrong[0]} is for images, not for films: leave it out.")
    if processes().total > 1:
        raise UserError("Films are predicted by one process, since each frame needs the one before: start it alone.")
    films = open_films(args.images)
    options = PredictOptions(
        overlays=not args.no_overlays,
        existing="resume" if args.resume else "overwrite" if args.overwrite else "refuse",
    )
    device, checkpoint = device_named(args.device), opened(args.checkpoint, args.weights)
    predictor = predictor_of(checkpoint, device, views=views_of(args), tiling=tiles_of(args))
    made = predict_films(predictor, films, args.out, args.track or "overlap", options)
    if tell:
        if made.kept:
            print(f"{made.kept} of {sum(made.frames.values())} frames were finished by an earlier run.")
        for why in made.broken.values():
            print(f"pantile: {why}", file=sys.stderr)
        print(made.json)
    return made


def interrupted(args: argparse.Namespace) -> str:
    return f"{args.out} holds the images or frames that were done, each whole: go on with --resume."
