"""The nano models of all families on generated scenes, each trained for the same time.

    python benchmarks/families_on_scenes.py --out runs/families [--core-minutes 6] [--seeds 2] [--only NAME ...]
        [--set training.precision=bf16 ...]

First measures the seconds of one core that a step of each takes, then trains each for as many steps as fit into the
minutes, its schedule stretched over them, and prints PQ on 100 unseen scenes. Run again, it goes on where it stopped.
"""

import argparse
from pathlib import Path

import torch

from learning import Variant, groups_of, spread, steps_within, train_and_evaluate
from pantile.data import open_dataset

TRAINING_SCENES, UNSEEN_SCENES = 2000, 100
REMAX = ("techniques.remask.stages=2", "techniques.remask.channels=32", "techniques.reclass.eta=0.1")
VARIANTS = (
    Variant("kmax_nano", "kmax_nano"),
    Variant("panoptic_deeplab_nano", "panoptic_deeplab_nano"),
    Variant("mask2former_nano", "mask2former_nano"),
    Variant("mask2former_nano with ReMaX", "mask2former_nano", REMAX),
)
COMMON = ("training.workers=0", "training.validate_every=1", "training.validation_images=4")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--core-minutes", type=float, default=6.0)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--only", nargs="+", choices=[v.name for v in VARIANTS], default=[v.name for v in VARIANTS])
    parser.add_argument("--set", nargs="+", default=[], metavar="FIELD=VALUE", help="override fields of all recipes")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    variants = [v for v in VARIANTS if v.name in arguments.only]
    folders = {v.name: arguments.out / v.name.replace(" ", "_") for v in variants}
    training_set = open_dataset(f"scenes:{TRAINING_SCENES}", "train")
    steps = {
        v.name: steps_within(arguments.core_minutes, v.config(*arguments.set), training_set, folders[v.name])
        for v in variants
    }
    print("steps:", steps, flush=True)
    unseen = open_dataset(f"scenes:{UNSEEN_SCENES}", "val")
    results: dict[str, list[dict]] = {v.name: [] for v in variants}
    for seed in range(1, arguments.seeds + 1):
        for variant in variants:
            config = variant.config(*COMMON, *arguments.set, f"seed={seed}", f"training.steps={steps[variant.name]}")
            run = folders[variant.name] / f"seed_{seed}"
            results[variant.name].append(groups_of(train_and_evaluate(config, training_set, unseen, run)))
            print(variant.name, seed, {k: round(v, 1) for k, v in results[variant.name][-1].items()}, flush=True)
    print(f"PQ on {UNSEEN_SCENES} unseen scenes after {arguments.core_minutes:g} core minutes, mean (deviation):")
    for name, rows in results.items():
        print(f"  {name:28} {steps[name]:5} steps", "  ".join(f"{g} {spread([r[g] for r in rows])}" for g in rows[0]))


if __name__ == "__main__":
    main()
