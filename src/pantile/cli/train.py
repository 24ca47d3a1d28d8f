"""``pantile train RECIPE --data DIR``"""

import argparse
import time
from pathlib import Path

from pantile.cli.checkpoint_argument import add_weights_option, opened
from pantile.cli.device_option import add_device_argument
from pantile.cli.numbers import at_least_one
from pantile.cli.output_arguments import output_folder
from pantile.cli.rate_range import add_rate_range_arguments, run_rate_range
from pantile.cli.skip_missing import add_skip_missing


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("recipe", nargs="?", help="a name from `pantile models list`")
    parser.add_argument("--data", help="a folder of a labelled data set, or `scenes` for generated images")
    parser.add_argument("--train-split", default="train", help="split to train on (default: train)")
    parser.add_argument("--val-split", default="val", help="split to validate on (default: val)")
    parser.add_argument("--limit", type=at_least_one, help="train on the first N images only")
    add_skip_missing(parser)
    parser.add_argument("--out", type=output_folder, help="run folder (default: runs/RECIPE-DATE-TIME)")
    parser.add_argument("--init", type=Path, help="start from what `pantile eval` reads; heads match by class name")
    add_weights_option(parser, of="of a run folder that --init names")
    parser.add_argument(
        "--init-min-share",
        type=float,
        metavar="SHARE",
        help="how much of the model --init has to fill, 0..1; 0 takes anything (default: 0.9)",
    )
    parser.add_argument("--resume", action="store_true", help="continue the run folder --out from its last checkpoint")
    parser.add_argument("--set", nargs="+", action="extend", default=[], metavar="FIELD=VALUE", help="override fields")
    add_rate_range_arguments(parser)
    add_device_argument(parser)
    parser.add_argument("--config", type=Path, help="config.yaml of an earlier run, instead of a recipe")


def run(args: argparse.Namespace) -> int:
    from pantile.cli.lean_imports import import_torchmetrics
    from pantile.recipes.registry import ALL_RECIPES

    if args.recipe is not None:
        ALL_RECIPES.find(args.recipe)  # misspelt names are told before torch is imported
    import_torchmetrics()
    from pantile.engine.processes import processes

    made = start(args)
    if processes().rank == 0 and made is not None:
        print(made)
    return 0


def start(args: argparse.Namespace) -> Path | None:
    """Trains; gives the run folder, or None after a range test."""
    from dataclasses import replace

    from pantile.contracts.errors import UserError
    from pantile.data.bands import check_bands, for_data, reading_for
    from pantile.engine.config import override
    from pantile.engine.processes import processes
    from pantile.engine.train import train

    least = init_share(args)
    record = data_record(args)
    training_set, validation_set = record.datasets()
    config = starting_config(args)
    if not args.resume and not args.config:
        config = replace(config, model=for_data(config.model, training_set), images=reading_for(training_set))
    config = override(config, args.set)
    for dataset in (training_set, validation_set):
        check_bands(config.model, dataset)
    if args.weights and not args.init:
        raise UserError("--weights chooses among the weights of a run folder: it goes with --init.")
    if processes().rank == 0:
        warn_of_crowd(training_set, record.train_split)
        warn_of_crowd(validation_set, record.val_split)
    init = opened(args.init, args.weights) if args.init else None
    out = args.out or output_folder(f"runs/{config.recipe}-{time.strftime('%Y%m%d-%H%M%S')}")
    if args.lr_range is not None:
        run_rate_range(args, config, training_set, init, out)
        return None
    begin = {"init": init, "init_min_share": least, "resume": args.resume}
    return train(config, training_set, validation_set, out, record=record, device=args.device, **begin)


def warn_of_crowd(dataset: object, split: str) -> None:
    """Things that nothing separates are no training targets, which a loss does not show."""
    import warnings

    from pantile.data.crowd import count_crowd

    counts, images = count_crowd(dataset)
    part = f" ({images:,} of {len(dataset):,} images looked at)" if images < len(dataset) else ""
    for text in counts.warnings("correct the labels, or convert them with --crowd-as-instances"):
        warnings.warn(f"{split}{part}: {text}", stacklevel=2)


def interrupted(args: argparse.Namespace) -> str:
    """Before the first step or after the last; in between, training itself says what it saved."""
    if args.lr_range is not None:
        return "the range test was not over and nothing was written: run it again, with fewer --lr-range-steps."
    if args.resume:
        return f"{args.out} is as it was: run the same command again."
    return "no step was trained: start it again, with another --out if the run folder is there already."


def init_share(args: argparse.Namespace) -> float:
    """``--init-min-share``, once it and ``--init`` make sense."""
    from pantile.contracts.errors import UserError
    from pantile.engine.transfer import MIN_SHARE

    if args.init and args.resume:
        raise UserError("--init starts a new run and --resume continues one: leave one of them out.")
    if args.resume and args.lr_range is not None:
        raise UserError("--lr-range tries rates before a run: leave --resume out.")
    if args.lr_range_steps is not None and args.lr_range is None:
        raise UserError("--lr-range-steps goes with --lr-range: give both, or leave it out.")
    if args.init_min_share is None:
        return MIN_SHARE
    if not args.init:
        raise UserError("--init-min-share goes with --init: name the weights to start from, or leave it out.")
    if not 0 <= args.init_min_share <= 1:
        raise UserError(f"--init-min-share is {args.init_min_share:g}: give a share from 0 to 1.")
    return args.init_min_share


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
        return RunRecord.now(args.data, args.train_split, args.val_split, args.limit, args.skip_missing, args.device)
    if args.resume:
        return load_record(args.out)
    raise UserError("--data is missing: name the folder of a labelled data set, or `scenes` for generated images.")
