"""The nano models of all families on facades, from an ImageNet EfficientNet-Lite0, each trained for the same time.

    python benchmarks/families_on_facades.py --out runs/families_facades --data DATA/facades
        --weights DATA/backbones/tf_efficientnet_lite0.safetensors
        [--core-minutes 10] [--seeds 1] [--size 385] [--only NAME ...] [--set FIELD=VALUE ...]

First measures the seconds of one core that a step of each takes, then trains each for as many steps as fit into the
minutes, its schedule stretched over them, and prints what the 40 unseen photos of `val` say. Run again, it goes on
where it stopped.
"""

import argparse
from pathlib import Path

import torch

from learning import Variant, scores_of, spread, steps_within, train_and_evaluate
from pantile.data import open_dataset

QUERIES = "model.num_queries=100"  # every second photo has more than 30 segments
FROZEN = "model.frozen_batch_norm=true"
REMAX = ("techniques.remask.stages=2", "techniques.remask.channels=32", "techniques.reclass.eta=0.1")
VARIANTS = (
    Variant("mask2former", "mask2former_nano", (QUERIES, FROZEN)),
    Variant("maskformer", "maskformer_nano", (QUERIES, FROZEN)),
    Variant("kmax", "kmax_nano", (QUERIES,)),
    Variant("kmax with ReMaX", "kmax_nano", (QUERIES, *REMAX)),
    Variant("panoptic_fcn", "panoptic_fcn_nano", (FROZEN,)),
    Variant("panoptic_deeplab", "panoptic_deeplab_nano", ("model.output_stride=32",)),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--data", type=Path, required=True, help="the folder facades")
    parser.add_argument("--weights", type=Path, required=True, help="timm's weights of EfficientNet-Lite0")
    parser.add_argument("--core-minutes", type=float, default=10.0)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--size", type=int, default=385, help="of crops and of the photos in evaluation")
    parser.add_argument("--only", nargs="+", choices=[v.name for v in VARIANTS], default=[v.name for v in VARIANTS])
    parser.add_argument("--set", nargs="+", default=[], metavar="FIELD=VALUE", help="override fields of all recipes")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    side = arguments.size
    common = (
        "model.backbone=tf_efficientnet_lite0",
        f"model.backbone_weights={arguments.weights}",
        f"augment.crop=[{side},{side}]",
        f"evaluation_size=[{side},{side}]",
        "training.effective_batch=2",
        "training.workers=0",
        "training.validate_every=1",
        "training.validation_images=4",
        *arguments.set,
    )
    variants = [v for v in VARIANTS if v.name in arguments.only]
    folders = {v.name: arguments.out / v.name.replace(" ", "_") for v in variants}
    training_set, unseen = (open_dataset(str(arguments.data), split) for split in ("train", "val"))
    steps = {
        v.name: steps_within(arguments.core_minutes, v.config(*common), training_set, folders[v.name]) for v in variants
    }
    print("steps:", steps, flush=True)
    results: dict[str, list[dict]] = {v.name: [] for v in variants}
    for seed in range(1, arguments.seeds + 1):
        for variant in variants:
            config = variant.config(*common, f"seed={seed}", f"training.steps={steps[variant.name]}")
            run = folders[variant.name] / f"seed_{seed}"
            results[variant.name].append(scores_of(train_and_evaluate(config, training_set, unseen, run)))
            print(variant.name, seed, {k: round(v, 1) for k, v in results[variant.name][-1].items()}, flush=True)
    print(f"on {len(unseen)} unseen photos after {arguments.core_minutes:g} core minutes, mean (deviation):")
    for name, rows in results.items():
        print(f"  {name:18} {steps[name]:5} steps", "  ".join(f"{g} {spread([r[g] for r in rows])}" for g in rows[0]))


if __name__ == "__main__":
    main()
