"""Time of the two forms of deformable attention's sampling, and of the whole layer.

    python benchmarks/deformable_attention.py [--size 480 640] [--threads 1] [--repeats 7] [--device cpu]

Maps of strides 32, 16 and 8 of one image, 256 channels, 8 heads, 4 points, float32. The forms take turns, so that
other load on the machine falls on both alike.
"""

import argparse
import statistics
import time

import torch

from pantile.layers.deformable_attention import (
    MultiScaleDeformableAttention,
    weighted_samples_by_bags,
    weighted_samples_by_grid,
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", type=int, nargs=2, default=(480, 640))
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--device", default="cpu")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(0)
    device = torch.device(arguments.device)

    height, width = arguments.size
    sizes = tuple((-(-height // stride), -(-width // stride)) for stride in (32, 16, 8))
    length = sum(h * w for h, w in sizes)
    values = torch.randn(1, length, 8, 32, device=device, requires_grad=True)
    x = torch.rand(1, length, 8, 12, device=device) * sizes[2][1]
    y = torch.rand(1, length, 8, 12, device=device) * sizes[2][0]
    weights = torch.rand(1, length, 8, 12, device=device)
    inputs = [values, *(t.requires_grad_() for t in (x, y, weights))]
    layer = MultiScaleDeformableAttention(256).to(device)
    pixels = torch.randn(1, length, 256, device=device)

    def run(form, backward):
        with torch.set_grad_enabled(backward):
            out = form(inputs[0], sizes, *inputs[1:])
            if backward:
                torch.autograd.grad(out.sum(), inputs)

    runs = {
        f"{form.__name__.removeprefix('weighted_samples_')}, {name}": lambda form=form, backward=backward: run(
            form, backward
        )
        for backward, name in ((False, "forward"), (True, "forward and backward"))
        for form in (weighted_samples_by_grid, weighted_samples_by_bags)
    }
    runs["whole layer, forward"] = torch.no_grad()(lambda: layer(pixels, pixels, sizes))

    milliseconds = {name: [] for name in runs}
    for repeat in range(arguments.repeats + 1):
        for name, function in runs.items():
            _wait(device)
            start = time.perf_counter()
            function()
            _wait(device)
            if repeat:  # the first round warms up
                milliseconds[name].append(1e3 * (time.perf_counter() - start))
    print(f"{height}x{width}, {length} pixels, {device}, {arguments.threads} threads, {arguments.repeats} rounds")
    for name, times in milliseconds.items():
        print(f"{name:32s} min {min(times):7.1f}  median {statistics.median(times):7.1f} ms")


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize()


if __name__ == "__main__":
    main()
