"""What Intra-Batch Supervision costs: a training step with it against the step without.

    python benchmarks/intra_batch_step.py [--rounds 3] [--size 512] [--batch 2] [--segments 10]

Claim: at most 1.10 times. Full-size models with ResNet-50 and random weights on synthetic images whose segments are all
things; both steps in turns in one process, medians of ratios.
"""

import argparse
import statistics
import time

import torch

from claims import Claims
from pantile.data.classes.coco import TAXONOMY
from pantile.engine.config import override
from pantile.engine.task import PanopticTask
from pantile.recipes import make_recipe
from training_step import make_batch

CASES = {
    "mask2former_r50_coco": ("techniques.intra_batch.weight=100",),
    "panoptic_fcn_r50_1x_coco": ("techniques.intra_batch.weight=1", "techniques.intra_batch.points=0"),
    "kmax_r50_coco": ("techniques.intra_batch.weight=1",),
}


def make_task(recipe: str, overrides: tuple[str, ...]) -> PanopticTask:
    torch.manual_seed(0)
    config = override(make_recipe(recipe), ["model.pretrained=false", "training.precision=fp32", *overrides])
    return PanopticTask(config, TAXONOMY).train()


def step(task: PanopticTask, batch: tuple) -> float:
    """Seconds."""
    start = time.perf_counter()
    losses, _ = task.losses(*batch)
    torch.stack(list(losses.values())).sum().backward()
    task.zero_grad(set_to_none=True)
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--batch", type=int, default=2)
    parser.add_argument("--segments", type=int, default=10)
    parser.add_argument("--recipes", nargs="+", default=list(CASES), choices=list(CASES))
    arguments = parser.parse_args()
    claims = Claims()
    for recipe in arguments.recipes:
        size = arguments.size + 1 if recipe.startswith("kmax") else arguments.size
        images, targets = make_batch(size, arguments.batch, arguments.segments)
        targets.classes.remainder_(80)  # the things of COCO come first
        tasks = {"with": make_task(recipe, CASES[recipe]), "without": make_task(recipe, ())}
        for task in tasks.values():
            step(task, (images, targets))
        ratios, plain = [], []
        for _ in range(arguments.rounds):
            seconds = {name: step(task, (images, targets)) for name, task in tasks.items()}
            ratios.append(seconds["with"] / seconds["without"])
            plain.append(seconds["without"])
        claims.at_most(f"{recipe}, of {statistics.median(plain):.2f} s,", statistics.median(ratios), 1.10)
    claims.finish()


if __name__ == "__main__":
    main()
