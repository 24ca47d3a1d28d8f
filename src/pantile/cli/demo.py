"""``pantile demo``: the whole way on generated scenes, on a CPU, in minutes."""

import argparse

from pantile.cli.checkpoint_argument import opened
from pantile.cli.numbers import at_least_one
from pantile.cli.output_arguments import output_folder

TRAINING_IMAGES, UNSEEN_IMAGES = 2000, 100


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--out", type=output_folder, default="runs/demo", help="run folder (default: runs/demo)")
    parser.add_argument("--recipe", default="remax_nano", help="default: remax_nano")
    parser.add_argument("--steps", type=at_least_one, help="training steps (default: the recipe's)")


def run(args: argparse.Namespace) -> int:
    """Trains, evaluates on scenes that were never seen, and draws. Run again, it goes on where it stopped."""
    from pantile.cli.lean_imports import import_torchmetrics

    import_torchmetrics()
    from pantile.cli.eval import write_json
    from pantile.cli.report import report_run
    from pantile.data import first_images
    from pantile.engine.checkpoint import LAST, LAST_WEIGHTS, load_checkpoint
    from pantile.engine.config import override
    from pantile.engine.evaluate import evaluate
    from pantile.engine.run_record import RunRecord
    from pantile.engine.train import train
    from pantile.metrics.printing import print_quality
    from pantile.recipes import make_recipe

    config = make_recipe(args.recipe)
    if args.steps:
        config = override(config, [f"training.steps={args.steps}"])
    record = RunRecord.now(f"scenes:{TRAINING_IMAGES}", "train", "val", limit=None)
    training_set, validation_set = record.datasets()
    resume = (args.out / LAST).exists()
    done = (args.out / LAST_WEIGHTS).exists() and load_checkpoint(args.out, "last").step >= config.training.steps
    if not done:
        train(config, training_set, validation_set, args.out, resume=resume, record=record)
    unseen = first_images(validation_set, UNSEEN_IMAGES)
    quality = evaluate(opened(args.out, None), unseen).quality
    write_json(quality.to_dict(), args.out / "evaluation.json")
    print(f"Panoptic quality on {len(unseen)} unseen scenes:")
    print_quality(quality)
    print(f"Report: {report_run(args.out, limit=UNSEEN_IMAGES)}")
    return 0


def interrupted(args: argparse.Namespace) -> str:
    return f"run it again: it goes on where it stopped, in {args.out}."
