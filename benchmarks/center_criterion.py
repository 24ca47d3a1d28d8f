"""Panoptic-DeepLab's target maps, made for a batch at once, against a loop over instances in NumPy.

Claim: for a batch of 2 x 641 x 641 with 40 instances each, the maps take at most a third of the loop's time on one CPU
thread, and are equal.

    python benchmarks/center_criterion.py

The loop does for each instance what the public target generators do in their data loaders: finds its pixels, takes
their mean, writes their offsets and weights, and pastes a Gaussian. Both take turns in one process; times are medians.
"""

import argparse

import numpy as np
import torch

from claims import Claims
from pantile.contracts.targets import PanopticTargets
from pantile.losses.center_targets import center_targets
from turns import alternating_medians

THINGS, STUFF = 80, 53  # COCO
SIGMA, SMALL_AREA, SMALL_WEIGHT = 8, 4096, 3.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--size", type=int, default=641)
    parser.add_argument("--batch", type=int, default=2)
    parser.add_argument("--instances", type=int, default=40, help="per image")
    parser.add_argument("--repeats", type=int, default=11)
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)

    targets = scenes(args.batch, args.size, args.instances)
    is_thing = torch.arange(THINGS + STUFF) < THINGS
    things = is_thing.numpy()
    images = [
        tuple(t.numpy() for t in image) for image in zip(targets.ids, targets.classes, targets.crowd, strict=True)
    ]

    def loop() -> list[dict[str, np.ndarray]]:
        return [maps_by_loop(*image, things) for image in images]

    compare(center_targets(targets, is_thing), loop())
    times = alternating_medians({"loop": loop, "batch": lambda: center_targets(targets, is_thing)}, args.repeats)
    for name, seconds in times.items():
        print(f"{name:6} {1e3 * seconds:8.1f} ms")
    claims = Claims()
    claims.at_most("batch / loop", times["batch"] / times["loop"], 1 / 3)
    claims.finish()


def scenes(batch: int, size: int, instances: int) -> PanopticTargets:
    """Discs of 10 to 60 pixels' radius over four bands of stuff; a crowd region, and a tenth of padding."""
    random = torch.Generator().manual_seed(0)
    y, x = torch.arange(size)[:, None], torch.arange(size)
    ids = (y * 4 // size + 1).expand(batch, size, size).clone()
    ids[:, : size // 10, : size // 4] = 5
    for image in ids:
        for row in range(instances):
            cy, cx = (torch.randint(0, size, (), generator=random) for _ in range(2))
            radius = torch.randint(10, 61, (), generator=random)
            image[(y - cy) ** 2 + (x - cx) ** 2 < radius**2] = 6 + row
    ids[:, :, -size // 10 :] = 0
    classes = torch.cat(
        [
            torch.randint(THINGS, THINGS + STUFF, (batch, 4), generator=random),
            torch.randint(0, THINGS, (batch, 1 + instances), generator=random),
        ],
        dim=1,
    )
    crowd = (torch.arange(5 + instances) == 4).expand(batch, -1).clone()
    return PanopticTargets(ids, classes, crowd, tuple(f"image{i}" for i in range(batch)))


def maps_by_loop(ids: np.ndarray, classes: np.ndarray, crowd: np.ndarray, things: np.ndarray) -> dict[str, np.ndarray]:
    height, width = ids.shape
    reach = 3 * SIGMA + 1
    steps = np.arange(-reach, reach + 1)
    gaussian = np.exp(-(steps[:, None] ** 2 + steps**2) / (2 * SIGMA**2)).astype(np.float32)
    padded = np.zeros((height + 2 * reach, width + 2 * reach), np.float32)
    semantic, semantic_weight = np.full(ids.shape, -1), np.zeros(ids.shape, np.float32)
    heatmap_weight, offset_weight = np.zeros(ids.shape, np.float32), np.zeros(ids.shape, np.float32)
    offset = np.zeros((2, height, width), np.float32)
    for row, (class_index, is_crowd) in enumerate(zip(classes, crowd, strict=True)):
        mask = ids == row + 1
        semantic[mask] = class_index
        semantic_weight[mask] = 1
        if is_crowd:
            continue
        heatmap_weight[mask] = 1
        if not things[class_index]:
            continue
        y, x = np.nonzero(mask)
        if len(y) == 0:
            continue
        if len(y) < SMALL_AREA:
            semantic_weight[mask] = SMALL_WEIGHT
        center_y, center_x = round(y.mean()), round(x.mean())
        offset[0][y, x], offset[1][y, x] = center_y - y, center_x - x
        offset_weight[mask] = 1
        window = padded[center_y : center_y + 2 * reach + 1, center_x : center_x + 2 * reach + 1]
        np.maximum(window, gaussian, out=window)
    return {
        "semantic": semantic,
        "semantic_weight": semantic_weight,
        "heatmap": padded[None, reach:-reach, reach:-reach],
        "heatmap_weight": heatmap_weight[None],
        "offset": offset,
        "offset_weight": offset_weight[None],
    }


def compare(ours: object, images: list[dict[str, np.ndarray]]) -> None:
    for name in images[0]:
        looped = np.stack([image[name] for image in images])
        np.testing.assert_allclose(getattr(ours, name).numpy(), looped, rtol=1e-6, atol=1e-7, err_msg=name)
    print("the maps are equal")


if __name__ == "__main__":
    main()
