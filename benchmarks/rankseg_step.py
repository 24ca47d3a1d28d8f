"""What ranking saves with 1284 classes: a training step of Segmenter, and evaluating a large image.

    python benchmarks/rankseg_step.py [--classes 1284] [--size 512] [--side 2048] [--rounds 3] [--threads 2]

Claims, RankSeg with k = 100 over the plain host, Segmenter ViT-S, batch of two at 512 x 512: at most 0.6 of the time
and 0.45 of the peak memory of a step; evaluating one image of 2048 x 2048 takes at most 0.25 of the memory of the
host's K float32 maps at full resolution (which cannot be had here: 21.5 GB, so they are computed, not held).

The host is measured twice: as it is here, its loss a few rows at a time, and with the logits of all rows at once, as
the originals do; the claims are held against the latter. A step is forward, losses and backward. Times are processor
time, medians of alternating rounds; the memory is the peak above what a process of its own holds before the step.
"""

import argparse
import statistics
import subprocess
import sys
import time
from pathlib import Path

import torch

from claims import Claims
from pantile.contracts.targets import collate_targets
from pantile.contracts.taxonomy import Taxonomy, plain_taxonomy
from pantile.engine.config import RunConfig, override
from pantile.engine.task import PanopticTask
from pantile.inference.images import predict_image
from pantile.inference.views import Views
from pantile.recipes import make_recipe

HOST = "segmenter_s_coco_lvis"
SIDES = {
    "host, all rows": (HOST, ["criterion.chunk_rows=null"]),
    "host": (HOST, []),
    "RankSeg": (f"{HOST}_rankseg", []),
    "RankSeg, tokens not pooled": (f"{HOST}_rankseg", ["techniques.rankseg.pooled_stride=0"]),
}


def taxonomy(classes: int) -> Taxonomy:
    return plain_taxonomy([f"class {k}" for k in range(classes)], [])


def config_of(side: str) -> RunConfig:
    recipe, settings = SIDES[side]
    return override(make_recipe(recipe), ["model.pretrained=false", *settings])


def make_step(side: str, classes: int, size: int):
    torch.manual_seed(0)
    task = PanopticTask(config_of(side), taxonomy(classes)).train()
    images = torch.randint(0, 256, (2, 3, size, size), dtype=torch.uint8)
    bands = torch.arange(size) * 20 // size + 1
    maps = [bands.expand(size, size)] * 2
    shown = [torch.randperm(classes)[:20] for _ in maps]
    targets = collate_targets(maps, shown, [torch.zeros(20, dtype=torch.bool)] * 2, ["a", "b"], classes)

    def step() -> None:
        losses, _ = task.losses(images, targets)
        torch.stack(list(losses.values())).sum().backward()
        task.zero_grad(set_to_none=True)

    return step


def peak_of(work) -> float:
    """MiB that ``work`` adds to this process at its highest (Linux)."""
    before, reached = resident("VmRSS"), resident("VmHWM")
    work()
    peak = resident("VmHWM")
    if peak <= reached:
        raise RuntimeError(f"It stayed below the {reached:.0f} MiB that building the model took.")
    return peak - before


def resident(field: str) -> float:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{field}:")) / 1024


def evaluation(side: str, classes: int, length: int):
    config = override(config_of(side), ["windows=null", f"evaluation_size=[{length},{length}]"])
    task = PanopticTask(config, taxonomy(classes)).eval()
    image = torch.randint(0, 256, (3, length, length), dtype=torch.uint8)
    return lambda: predict_image(task.network, image, Views(), tasks=frozenset({"panoptic", "semantic"}))


def measured_apart(arguments: argparse.Namespace, what: str, side: str) -> float:
    options = ["--classes", arguments.classes, "--size", arguments.size, "--side", arguments.side]
    command = [sys.executable, __file__, *options, "--threads", arguments.threads, "--peak", what, side]
    return float(subprocess.check_output(list(map(str, command)), text=True).split()[-1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--classes", type=int, default=1284)
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--side", type=int, default=2048)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--peak", nargs=2, metavar=("WHAT", "SIDE"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    if arguments.peak:
        what, side = arguments.peak
        make, size = (make_step, arguments.size) if what == "step" else (evaluation, arguments.side)
        print(peak_of(make(side, arguments.classes, size)))
        return
    memory = {side: measured_apart(arguments, "step", side) for side in SIDES}
    steps = {side: make_step(side, arguments.classes, arguments.size) for side in SIDES}
    seconds: dict[str, list[float]] = {side: [] for side in SIDES}
    for number in range(arguments.rounds + 1):
        for side, step in steps.items():
            start = time.process_time()
            step()
            if number:  # the first one warms up
                seconds[side].append(time.process_time() - start)
    plain, plain_memory = statistics.median(seconds["host, all rows"]), memory["host, all rows"]
    for side in SIDES:
        spent = statistics.median(seconds[side])
        print(f"{side:28} step {spent:6.2f} s ({spent / plain:.2f})  {memory[side]:6.0f} MiB "
              f"({memory[side] / plain_memory:.2f})")  # fmt: skip
    claims = Claims()
    claims.at_most("time of a step", statistics.median(seconds["RankSeg"]) / plain, 0.6)
    claims.at_most("memory of a step", memory["RankSeg"] / plain_memory, 0.45)
    maps = arguments.classes * arguments.side**2 * 4 / 2**20
    peak = measured_apart(arguments, "evaluation", "RankSeg")
    print(
        f"evaluating {arguments.side} x {arguments.side}: {peak:.0f} MiB; {arguments.classes} maps are {maps:.0f} MiB"
    )
    claims.at_most("memory of evaluation / K maps", peak / maps, 0.25)
    claims.finish()


if __name__ == "__main__":
    main()
