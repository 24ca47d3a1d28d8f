"""What ``training.compile`` gives: seconds of a training step as it is and compiled, forward and backward, per family.

    python benchmarks/compiled_step.py [--only RECIPE ...] [--size 193] [--batch 4] [--rounds 5] [--threads 1]

Network only, processor time, the two alternating in one run after the compilation; median of the rounds.
"""

import argparse
import statistics
import time

import torch
from torch import Tensor, nn

from pantile.engine.compiling import as_it_is, compile_network
from pantile.model_check.tensors import pseudo_loss
from pantile.models import ARCHITECTURES, create_model
from pantile.recipes import make_recipe

NO_IMAGES = ("videomt", "mask2former_video")  # these take clips


def seconds(model: nn.Module, images: Tensor, compiled: bool) -> float:
    start = time.process_time()
    with as_it_is(not compiled):
        pseudo_loss(model(images)).backward()
    return time.process_time() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    recipes = [f"{name}_nano" for name in sorted(ARCHITECTURES) if name not in NO_IMAGES]
    parser.add_argument("--only", nargs="+", default=recipes, metavar="RECIPE")
    parser.add_argument("--size", type=int, default=193)
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    for recipe in arguments.only:
        torch.manual_seed(0)
        model = create_model(make_recipe(recipe).model, 10, [True] * 5 + [False] * 5).train()
        images = torch.rand(arguments.batch, 3, arguments.size, arguments.size)
        compile_network(model)
        start = time.monotonic()
        seconds(model, images, compiled=True)
        compilation = time.monotonic() - start
        rounds = [[seconds(model, images, compiled) for compiled in (False, True)] for _ in range(arguments.rounds + 1)]
        plain, compiled = (statistics.median(values) for values in zip(*rounds[1:], strict=True))
        print(
            f"{recipe:24} {plain:6.3f} s -> {compiled:6.3f} s (x {compiled / plain:.2f}), "
            f"first step {compilation:.0f} s of wall time",
            flush=True,
        )


if __name__ == "__main__":
    main()
