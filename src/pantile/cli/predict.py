"""``pantile predict CKPT IMAGE_OR_FOLDER... --out DIR``"""

import argparse
from pathlib import Path

from pantile.cli.checkpoint_argument import add_checkpoint_argument
from pantile.cli.reading_options import add_reading_arguments, reading_of
from pantile.cli.tile_options import add_tile_arguments, tiles_of
from pantile.cli.view_options import add_view_arguments, views_of


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_checkpoint_argument(parser)
    parser.add_argument("images", nargs="+", type=Path, help="image files or folders of images")
    parser.add_argument("--out", type=Path, required=True, help="receives annotations/ (COCO-panoptic) and overlays/")
    add_view_arguments(parser)
    add_tile_arguments(parser)
    add_reading_arguments(parser)
    parser.add_argument("--no-overlays", action="store_true", help="write only the COCO-panoptic files")


def run(args: argparse.Namespace) -> int:
    from pantile.engine.processes import processes
    from pantile.predict import find_images, load, predict_files
    from pantile.predict.distributed import join_processes

    tiling = tiles_of(args)
    world = processes()
    images = find_images(args.images)
    with join_processes(world):
        predictor = load(args.checkpoint, views=views_of(args), tiling=tiling)
        predictor.reading = reading_of(args, predictor.reading) or predictor.reading
        path = predict_files(predictor, images, args.out, world.rank, world.total, overlays=not args.no_overlays)
    if world.rank == 0:
        print(path)
    return 0
