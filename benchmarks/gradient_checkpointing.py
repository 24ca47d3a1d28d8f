"""What gradient checkpointing saves and costs: bytes that a step keeps for its backward pass, and its time.

    python benchmarks/gradient_checkpointing.py [--only RECIPE ...] [--size 193] [--batch 4]

Model only, one thread, processor time; parameters do not count as kept.
"""

import argparse
import time

import torch
from torch import Tensor, nn

from pantile.model_check.tensors import pseudo_loss
from pantile.models import create_model
from pantile.models.gradient_checkpointing import checkpoint_blocks
from pantile.recipes import make_recipe

RECIPES = ("mask2former_nano", "kmax_nano", "segmenter_nano", "eomt_nano")


def kept_and_seconds(model: nn.Module, images: Tensor) -> tuple[float, float]:
    """Megabytes between the passes, and seconds of both."""
    parameters = {parameter.untyped_storage().data_ptr() for parameter in model.parameters()}
    storages: dict[int, int] = {}

    def count(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in parameters:
            storages[storage.data_ptr()] = storage.nbytes()
        return tensor

    start = time.process_time()
    with torch.autograd.graph.saved_tensors_hooks(count, lambda tensor: tensor):
        loss = pseudo_loss(model(images))
    loss.backward()
    return sum(storages.values()) / 1e6, time.process_time() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="+", default=RECIPES, metavar="RECIPE")
    parser.add_argument("--size", type=int, default=193)
    parser.add_argument("--batch", type=int, default=4)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    for recipe in arguments.only:
        figures = []
        for on in (False, True):
            torch.manual_seed(0)
            model = create_model(make_recipe(recipe).model, 10, [True] * 5 + [False] * 5).train()
            if on:
                checkpoint_blocks(model)
            images = torch.rand(arguments.batch, 3, arguments.size, arguments.size)
            kept_and_seconds(model, images)  # warm
            figures.append(kept_and_seconds(model, images))
        (plain, seconds), (less, longer) = figures
        print(f"{recipe:18} kept {plain:7.1f} MB -> {less:7.1f} MB ({less / plain:.2f}), time x {longer / seconds:.2f}")


if __name__ == "__main__":
    main()
