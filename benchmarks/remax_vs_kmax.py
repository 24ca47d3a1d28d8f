"""ReMaX against plain kMaX on generated scenes: same seeds, same steps, unseen images.

    python benchmarks/remax_vs_kmax.py --out runs/compare [--steps 600] [--seeds 3] [--recipes kmax_nano remax_nano]

Trains every recipe with every seed, in turns, validating on 100 unseen scenes, then prints PQ of the
last weights (mean and standard deviation over seeds) and draws PQ over steps. Run again, it goes on where it
stopped.
"""

import argparse
from pathlib import Path

import matplotlib
import numpy as np

from learning import Variant, groups_of, spread, train_and_evaluate
from pantile.data import open_dataset
from pantile.visualize.run_log import read_run_log

matplotlib.use("Agg")
import matplotlib.pyplot as plt

TRAINING_SCENES, UNSEEN_SCENES = 2000, 100


def run_once(recipe: str, seed: int, steps: int, run: Path) -> dict[str, float]:
    """PQ of the last weights in percent: all, things, stuff."""
    config = Variant(recipe, recipe).config(f"seed={seed}", f"training.steps={steps}", "training.validate_every=0.2")
    config.training.validation_images = UNSEEN_SCENES
    training_set = open_dataset(f"scenes:{TRAINING_SCENES}", "train")
    unseen = open_dataset(f"scenes:{UNSEEN_SCENES}", "val")
    return groups_of(train_and_evaluate(config, training_set, unseen, run))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=600)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--recipes", nargs="+", default=["kmax_nano", "remax_nano"])
    arguments = parser.parse_args()
    results: dict[str, list[dict]] = {recipe: [] for recipe in arguments.recipes}
    for seed in range(1, arguments.seeds + 1):
        for recipe in arguments.recipes:
            run = arguments.out / f"{recipe}-{seed}"
            results[recipe].append(run_once(recipe, seed, arguments.steps, run))
            print(recipe, seed, {name: round(value, 1) for name, value in results[recipe][-1].items()}, flush=True)
    print(f"PQ on {UNSEEN_SCENES} unseen scenes after {arguments.steps} steps, mean (standard deviation) of seeds:")
    for recipe, rows in results.items():
        print(f"  {recipe:12}", "  ".join(f"{group} {spread([r[group] for r in rows])}" for group in rows[0]))
    draw(arguments, results)


def draw(arguments: argparse.Namespace, results: dict) -> None:
    figure, axes = plt.subplots(figsize=(7, 4))
    for recipe in results:
        curves = []
        for seed in range(1, arguments.seeds + 1):
            log = read_run_log(arguments.out / f"{recipe}-{seed}")
            seen = ~np.isnan(log["val/pq"])
            steps, quality = log["step"][seen] + 1, 100 * log["val/pq"][seen]
            curves.append(quality)
        mean, low, high = np.mean(curves, axis=0), np.min(curves, axis=0), np.max(curves, axis=0)
        (line,) = axes.plot(steps, mean, label=recipe)
        axes.fill_between(steps, low, high, alpha=0.2, color=line.get_color())
    axes.set(xlabel="step", ylabel="PQ on unseen scenes (%)", title=f"Mean and range of {arguments.seeds} seeds")
    axes.grid(alpha=0.3)
    axes.legend()
    figure.savefig(arguments.out / "pq_over_steps.png", dpi=120, bbox_inches="tight")


if __name__ == "__main__":
    main()
