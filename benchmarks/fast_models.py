"""Latency of the five fast SWideRNets beside ResNet-50, all as Panoptic-DeepLab, in turns within one process.

    python benchmarks/fast_models.py [--size 641x641] [--threads 2] [--repeats 5]

The paper (Table 5, GPU) orders them as listed, the first fastest, with SWideRNet-(0.25, 0.5, 1) about as fast as
ResNet-50. One image, fp32, batch norms folded, random weights. Prints medians and ratios to ResNet-50.
"""

import argparse
from functools import partial

import torch

from pantile.cli.models import size
from pantile.models import create_model, fold_batch_norms
from pantile.models.cost import count_cost
from pantile.recipes import make_recipe
from turns import alternating_medians

REFERENCE = "panoptic_deeplab_r50_coco"
RECIPES = [f"panoptic_deeplab_swidernet_025_{rest}_coco" for rest in ("025_075", "035_075", "035_1", "05_1", "075_1")]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", type=size, default=(641, 641))
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=5)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    images = torch.randn(1, 3, *arguments.size)
    calls, multiply_adds = {}, {}
    for recipe in (REFERENCE, *RECIPES):
        config = make_recipe(recipe).model
        config.pretrained = False
        model = create_model(config, 133)
        multiply_adds[recipe] = count_cost(model, arguments.size).multiply_adds
        calls[recipe] = partial(fold_batch_norms(model), images)
    with torch.inference_mode():
        seconds = alternating_medians(calls, arguments.repeats)
    for recipe in calls:
        ratio = seconds[recipe] / seconds[REFERENCE]
        print(f"{recipe:46} {multiply_adds[recipe] / 1e9:7.1f} G {1000 * seconds[recipe]:7.0f} ms  {ratio:.2f}")


if __name__ == "__main__":
    main()
