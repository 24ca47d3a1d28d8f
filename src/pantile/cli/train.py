"""``pantile train RECIPE --data DIR``"""

import argparse
import time
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("recipe", nargs="?", help="a name from `pantile models list`")
    parser.add_argument("--data", help="a folder of a labelled data set, or `scenes` for generated images")
    parser.add_argument("--train-split", default="train", help="split to train on (default: train)")
    parser.add_argument("--val-split", default="val", help="split to validate on (default: val)")
    parser.add_argument("--limit", type=int, help="train on the first N images only")
    parser.add_argument("--out", type=Path, help="run folder (default: runs/RECIPE-DATE-TIME)")
    parser.add_argument("--init", type=Path, help="start from what `pantile eval` reads; heads match by class name")
    parser.add_argument("--resume", action="store_true", help="continue the run folder --out from its last checkpoint")
    parser.add_argument("--set", nargs="+", action="extend", default=[], metavar="FIELD=VALUE", help="override fields")
    parser.add_argument("--config", type=Path, help="config.yaml of an earlier run, instead of a recipe")


def run(args: argparse.Namespace) -> int:
    from dataclasses import replace

    from pantile.convert.open_checkpoint import open_checkpoint
    from pantile.data.bands import check_bands, for_data, reading_for
    from pantile.engine.config import override
    from pantile.engine.processes import processes
    from pantile.engine.train import train

    record = data_record(args)
    training_set, validation_set = record.datasets()
    config = starting_config(args)
    if not args.resume and not args.config:
        config = replace(config, model=for_data(config.model, training_set), images=reading_for(training_set))
    config = override(config, args.set)
    for dataset in (training_set, validation_set):
        check_bands(config.model, dataset)
    init = open_checkpoint(args.init) if args.init else None
    out = args.out or Path("runs") / f"{config.recipe}-{time.strftime('%Y%m%d-%H%M%S')}"
    train(config, training_set, validation_set, out, init=init, resume=args.resume, record=record)
    if processes().rank == 0:
        print(out)
    return 0


def starting_config(args: argparse.Namespace) -> object:
    """Of the resumed run, the given file or the recipe, before ``--set``."""
    from pantile.contracts.errors import UserError
    from pantile.engine.config import load_yaml
    from pantile.engine.train import CONFIG
    from pantile.recipes import make_recipe

    if args.resume:
        if args.out is None:
            raise UserError("--resume needs --out: name the run folder to continue.")
        if not (args.out / CONFIG).exists():
            raise UserError(f"{args.out}: nothing to resume ({CONFIG} is missing); start it without --resume.")
        config = load_yaml(args.out / CONFIG)
        if args.recipe not in (None, config.recipe):
            raise UserError(f"{args.out}: made by recipe {config.recipe}, not {args.recipe}; leave the recipe out.")
        return config
    if args.config:
        return load_yaml(args.config)
    if args.recipe:
        return make_recipe(args.recipe)
    raise UserError("Name a recipe (`pantile models list` shows them) or give --config FILE.")


def data_record(args: argparse.Namespace) -> object:
    """Where the images are: as given, or for a resumed run as it was started."""
    from pantile.contracts.errors import UserError
    from pantile.engine.run_record import RunRecord, load_record

    if args.data is not None:
        return RunRecord.now(args.data, args.train_split, args.val_split, args.limit)
    if args.resume:
        return load_record(args.out)
    raise UserError("--data is missing: name the folder of a labelled data set, or `scenes` for generated images.")
