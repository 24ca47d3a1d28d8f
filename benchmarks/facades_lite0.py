"""Does it learn, from real features: a mask transformer on an ImageNet EfficientNet-Lite0, facades `train` to `val`.

    python benchmarks/facades_lite0.py --out runs/facades_lite0 --data DATA/facades
        --weights DATA/backbones/tf_efficientnet_lite0.safetensors
        [--steps 7000] [--seeds 1 2] [--only trained scratch frozen] [--recipe mask2former_nano] [--set FIELD=VALUE ...]

Three ways of starting the same network, for the same steps on the same samples:

- trained: from ImageNet, batch norms as they are where the model can leave them;
- scratch: from random numbers, batch norms learn;
- frozen: from ImageNet, and the backbone stays.

Prints PQ, things, stuff, AP and mIoU on `val`, and PQ over steps and seconds of a core. Run again, it goes on where it
stopped.
"""

import argparse
import json
import time
from pathlib import Path

import lightning as L
import torch
from lightning.pytorch.callbacks import Callback

from learning import scores_of, spread, train_and_evaluate
from pantile.data import open_dataset
from pantile.engine.config import RunConfig, override
from pantile.recipes import make_recipe

BACKBONE = "tf_efficientnet_lite0"
#: windows are 25 pixels wide at 512, and every second photo has more than 30 segments
COMMON = (
    f"model.backbone={BACKBONE}",
    "model.num_queries=100",
    "augment.crop=[512,512]",
    "augment.scale_range=[0.8,1.6]",
    "evaluation_size=[512,512]",
    "optimizer.learning_rate=5e-4",
    "optimizer.backbone_multiplier=0.3",
    "optimizer.warmup=0.02",
    "training.effective_batch=2",
    "training.workers=0",
    "training.validate_every=0.1",
    "training.validation_images=40",
)
VARIANTS = {
    "trained": (),
    "scratch": ("optimizer.backbone_multiplier=1",),
    "frozen": ("optimizer.frozen=[backbone]",),
}


class Curve(Callback):
    """PQ and seconds of a core at each validation, a line of JSON each; a resumed run goes on counting."""

    def __init__(self, file: Path) -> None:
        self.file = file
        rows = self.rows()
        self._before = rows[-1]["core_seconds"] if rows else 0.0
        self._start = time.process_time()

    def rows(self) -> list[dict]:
        return [json.loads(line) for line in self.file.read_text().splitlines()] if self.file.exists() else []

    def on_validation_end(self, trainer: L.Trainer, *_: object) -> None:
        metrics = trainer.callback_metrics
        row = {name: 100 * metrics[f"val/{name}"].item() for name in ("pq", "pq_things", "pq_stuff")}
        row |= {"step": trainer.global_step, "core_seconds": self._before + time.process_time() - self._start}
        self.file.parent.mkdir(parents=True, exist_ok=True)
        with self.file.open("a") as out:
            out.write(json.dumps(row) + "\n")


def config_of(arguments: argparse.Namespace, variant: str, seed: int) -> RunConfig:
    recipe = make_recipe(arguments.recipe)
    start = [] if variant == "scratch" else [f"model.backbone_weights={arguments.weights}"]
    if hasattr(recipe.model, "frozen_batch_norm"):
        start.append(f"model.frozen_batch_norm={variant != 'scratch'}")
    length = (f"training.steps={arguments.steps}", f"seed={seed}")
    return override(recipe, [*COMMON, *arguments.set, *VARIANTS[variant], *start, *length])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--data", type=Path, required=True, help="the folder facades")
    parser.add_argument("--weights", type=Path, required=True, help="timm's weights of EfficientNet-Lite0")
    parser.add_argument("--steps", type=int, default=7000)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--only", nargs="+", choices=list(VARIANTS), default=list(VARIANTS))
    parser.add_argument("--recipe", default="mask2former_nano")
    parser.add_argument("--set", nargs="+", default=[], metavar="FIELD=VALUE", help="override fields of all variants")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    training_set, unseen = (open_dataset(str(arguments.data), split) for split in ("train", "val"))
    results: dict[str, list[dict]] = {variant: [] for variant in arguments.only}
    for seed in arguments.seeds:
        for variant in arguments.only:
            folder = arguments.out / variant / f"seed_{seed}"
            curve = Curve(arguments.out / variant / f"curve_{seed}.jsonl")
            config = config_of(arguments, variant, seed)
            result = train_and_evaluate(config, training_set, unseen, folder, callbacks=[curve])
            scores = scores_of(result)
            results[variant].append(scores)
            print(variant, seed, {name: round(value, 1) for name, value in scores.items()})
            for row in curve.rows():
                print(f"  step {row['step']:6} {row['core_seconds']:8.0f} core seconds  PQ {row['pq']:.1f}", flush=True)
    print(f"on {len(unseen)} unseen photos after {arguments.steps} steps, mean (deviation):")
    for variant, rows in results.items():
        print(f"  {variant:8}", "  ".join(f"{name} {spread([row[name] for row in rows])}" for name in rows[0]))


if __name__ == "__main__":
    main()
