"""RankSeg step by step on generated scenes of many classes: host, + multi-label loss, + selection, + ranks, + truth.

    python benchmarks/rankseg_on_scenes.py --out runs/rankseg [--steps 400] [--seeds 3] [--classes 200] [--selected 25]
        [--size 257] [--models segmenter_nano mask2former_nano] [--set FIELD=VALUE ...] [--threads 1]

The rows of the paper's Table 1, and its oracle (ground truth decides which classes compete, in training and in
evaluation). Same seeds, steps and images for all rows of a model, and the settings of ``--set``, but that
those of ``techniques.rankseg`` are not the host's; mIoU on unseen scenes, mean and standard deviation
over seeds. Run again, it goes on where it stopped; processes may share the work by ``--models`` and ``--seed-list``.
"""

import argparse
from pathlib import Path

import matplotlib
import numpy as np
import torch

from learning import Variant, spread, train_and_evaluate
from pantile.data import open_dataset

matplotlib.use("Agg")
import matplotlib.pyplot as plt

MODELS = ("segmenter_nano", "mask2former_nano")
TRAINING_SCENES, UNSEEN_SCENES = 2000, 100


def variants(model: str, selected: int) -> list[Variant]:
    rank = "techniques.rankseg."
    few = (f"{rank}selected={selected}",)
    return [
        Variant("host", model),
        Variant("+ multi-label", model, (f"{rank}selection=none", f"{rank}temperature=host")),
        Variant("+ selection", model, (*few, f"{rank}temperature=shared")),
        Variant("+ rank-adaptive", model, few),
        Variant("ground truth", model, (f"{rank}selection=ground_truth", *few)),
    ]


def mean_iou(result: dict) -> float:
    """In percent."""
    return 100 * result["semantic"]["miou"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=400)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--seed-list", type=int, nargs="+", help="only these (default: 1 to --seeds)")
    parser.add_argument("--classes", type=int, default=200)
    parser.add_argument("--size", type=int, default=257, help="of the scenes; crops are a recipe's (--set)")
    parser.add_argument("--selected", type=int, default=25, help="k")
    parser.add_argument("--models", nargs="+", default=list(MODELS), choices=list(MODELS))
    parser.add_argument("--set", nargs="+", default=[], metavar="FIELD=VALUE", help="override fields of the rows")
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    training_set, unseen = (
        open_dataset(f"scenes:{count},classes={arguments.classes},size={arguments.size}", split)
        for count, split in ((TRAINING_SCENES, "train"), (UNSEEN_SCENES, "val"))
    )
    results: dict[str, dict[str, list[float]]] = {model: {} for model in arguments.models}
    for seed in arguments.seed_list or range(1, arguments.seeds + 1):
        for model in arguments.models:
            for variant in variants(model, arguments.selected):
                further = (f"seed={seed}", f"training.steps={arguments.steps}", "training.validation_images=0")
                given = [s for s in arguments.set if variant.name != "host" or not s.startswith("techniques.rankseg")]
                config = variant.config(*given, *further)
                run = arguments.out / model / variant.name.replace(" ", "_").replace("+", "and") / f"seed_{seed}"
                value = mean_iou(train_and_evaluate(config, training_set, unseen, run))
                results[model].setdefault(variant.name, []).append(value)
                print(f"{model} {variant.name} seed {seed}: mIoU {value:.1f}", flush=True)
    print(f"mIoU on {UNSEEN_SCENES} unseen scenes of {arguments.classes} classes after {arguments.steps} steps,")
    print(f"k = {arguments.selected}, mean (standard deviation) of seeds, percent:")
    for model, rows in results.items():
        for name, values in rows.items():
            print(f"  {model:18} {name:16} {spread(values)}")
    draw(results, arguments.out / "miou.png")


def draw(results: dict[str, dict[str, list[float]]], path: Path) -> None:
    figure, panels = plt.subplots(1, len(results), figsize=(5 * len(results), 3.5), squeeze=False)
    for panel, (model, rows) in zip(panels[0], results.items(), strict=True):
        panel.bar(range(len(rows)), [np.mean(values) for values in rows.values()], color="#9ecae1")
        for place, values in enumerate(rows.values()):
            panel.plot([place] * len(values), values, "k.", markersize=5)
        panel.set_xticks(range(len(rows)), rows, rotation=20, ha="right")
        panel.set(title=model, ylabel="mIoU on unseen scenes (%)")
        panel.grid(axis="y", alpha=0.3)
    figure.savefig(path, dpi=120, bbox_inches="tight")


if __name__ == "__main__":
    main()
