"""Batches padded to their own largest image against a fixed square canvas: time of a training step, share of image.

    python benchmarks/batch_padding.py [--recipes maskformer_r50_coco panoptic_fcn_r50_3x_coco] [--scale 0.5]
        [--batch 1] [--rounds 3]

The recipe's network, criterion and augmentation, all lengths in pixels times ``--scale``, on generated scenes of COCO's
commonest sizes, three of four landscape. The same images go through both kinds of batch, in turns in one process; the
median of the ratios of a step (forward, losses, backward) is printed, with the share of the input that shows the image.
The shares of other device batches need no network.
"""

import argparse
import statistics
import time
from dataclasses import replace
from itertools import islice

import numpy as np
import torch

from pantile.contracts.panoptic import PanopticMap
from pantile.data import AugmentConfig, Scenes, TrainingSamples, training_loader
from pantile.data.augment_config import PartConfig
from pantile.engine.config import RunConfig
from pantile.engine.task import PanopticTask
from pantile.recipes import make_recipe

COCO_SIZES = ((480, 640), (427, 640), (640, 480), (426, 640))  # (height, width)
KINDS = ("crop", "batch")
DEVICE_BATCHES = (1, 2, 4, 16, 64)
SAMPLES = 64  # for the shares


class ScenesOfCocoSizes:
    """``SAMPLES`` images, their sizes in turn; blank ones are made faster."""

    def __init__(self, blank: bool = False) -> None:
        self.parts = [Scenes(SAMPLES, size=size, seed=seed) for seed, size in enumerate(COCO_SIZES)]
        self.taxonomy = self.parts[0].taxonomy
        self.blank = blank

    def __len__(self) -> int:
        return SAMPLES

    def name_of(self, index: int) -> str:
        return f"scene {index}"

    def load(self, index: int) -> tuple[np.ndarray, PanopticMap]:
        if self.blank:
            size = COCO_SIZES[index % len(COCO_SIZES)]
            return np.zeros((*size, 3), np.uint8), PanopticMap(np.zeros(size, np.int32), ())
        return self.parts[index % len(self.parts)].load(index)


def scaled(config: AugmentConfig, scale: float) -> AugmentConfig:
    def times(lengths: tuple[int, ...]) -> tuple[int, ...]:
        return tuple(round(length * scale) for length in lengths)

    part = config.part and PartConfig(config.part.probability, times(config.part.short_side), times(config.part.sides))
    crop = tuple(-(-side // 32) * 32 for side in times(config.crop))
    return replace(
        config, crop=crop, short_side=times(config.short_side), max_side=round(config.max_side * scale), part=part
    )


def batches(config: RunConfig, kind: str, size: int, count: int) -> list:
    augment = replace(config.augment, pad=kind)
    return list(islice(training_loader(ScenesOfCocoSizes(), augment, size, seed=1), count))


def share_of_image(found: list) -> float:
    """Of all pixels of the batches."""
    pixels = sum(targets.ids.numel() for _, targets in found)
    return 1 - sum(0 if targets.padding is None else int(targets.padding.sum()) for _, targets in found) / pixels


def sample_sizes(config: RunConfig) -> np.ndarray:
    """(SAMPLES, 2): height and width of the recipe's samples."""
    samples = TrainingSamples(ScenesOfCocoSizes(blank=True), replace(config.augment, pad="batch"), seed=1)
    return np.array([samples[number, number].image.shape[1:] for number in range(SAMPLES)])


def share_by_batch(sizes: np.ndarray, batch: int, multiple: int) -> float:
    """What ``share_of_image`` would be for batches padded to their own largest."""
    groups = sizes.reshape(-1, batch, 2)
    padded = -(-groups.max(axis=1) // multiple) * multiple
    return float(sizes.prod(axis=1).sum() / (batch * padded.prod(axis=1).sum()))


def step(task: PanopticTask, batch: tuple) -> float:
    """Seconds."""
    start = time.perf_counter()
    losses, _ = task.losses(*batch)
    torch.stack(list(losses.values())).sum().backward()
    task.zero_grad(set_to_none=True)
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--recipes", nargs="+", default=["maskformer_r50_coco", "panoptic_fcn_r50_3x_coco"])
    parser.add_argument("--scale", type=float, default=0.5)
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    torch.set_num_threads(2)
    for name in arguments.recipes:
        config = make_recipe(name)
        config.model.pretrained = False
        config.augment = scaled(config.augment, arguments.scale)
        torch.manual_seed(0)
        task = PanopticTask(config, ScenesOfCocoSizes().taxonomy).train()
        found = {kind: batches(config, kind, arguments.batch, arguments.rounds + 1) for kind in KINDS}
        times = {kind: [] for kind in KINDS}
        for number in range(arguments.rounds + 1):
            for kind in KINDS:
                seconds = step(task, found[kind][number])
                if number:  # the first one warms up
                    times[kind].append(seconds)
        print(f"{name}, lengths times {arguments.scale:g}, {arguments.batch} image(s) a device")
        for kind in KINDS:
            shares = share_of_image(found[kind][1:])
            print(f"  pad={kind:5}  step {statistics.median(times[kind]):.2f} s, image {shares:.2f} of the input")
        ratios = [one / other for one, other in zip(times["crop"], times["batch"], strict=True)]
        print(f"  step on the canvas / padded per batch: median {statistics.median(ratios):.2f}, " +
              f"from {min(ratios):.2f} to {max(ratios):.2f}")  # fmt: skip
        sizes = sample_sizes(config)
        row = [f"{b}: {share_by_batch(sizes, b, config.augment.pad_multiple):.2f}" for b in DEVICE_BATCHES]
        print(f"  pad=batch  image by device batch  {', '.join(row)}")
        print(f"  pad=crop   image {sizes.prod(axis=1).mean() / np.prod(config.augment.crop):.2f}")


if __name__ == "__main__":
    main()
