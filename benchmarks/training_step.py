"""A training step of kMaX-DeepLab R50 with and without ReMaX, and the criterion's share of the forward pass.

    python benchmarks/training_step.py [--size 513] [--batch 2] [--segments 10] [--rounds 5]

Steps with and without alternate in one process; medians of times, ratios of medians. Peak memory is that of a process
that does one variant only. Targets: ReMaX at most 1.15 times the step without; criterion at most 0.35 of forward
including criterion.
"""

import argparse
import resource
import statistics
import subprocess
import sys
import time

import torch

from claims import Claims
from pantile.contracts.targets import collate_targets
from pantile.contracts.taxonomy import plain_taxonomy
from pantile.engine.task import PanopticTask
from pantile.recipes import make_recipe
from pantile.techniques import TechniquesConfig


def make_task(remax: bool) -> PanopticTask:
    config = make_recipe("remax_b_coco")
    config.model.pretrained = False
    if not remax:
        config.techniques = TechniquesConfig()
    torch.manual_seed(0)
    names = [f"class {k}" for k in range(133)]
    return PanopticTask(config, plain_taxonomy(names, names[:80])).train()


def make_batch(size: int, batch: int, segments: int) -> tuple:
    """Noise images; labels of ``segments`` vertical stripes with some void."""
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (batch, 3, size, size), dtype=torch.uint8, generator=generator)
    stripe = torch.arange(size) * segments // size + 1
    ids = stripe.expand(size, size).clone().to(torch.int16)
    ids[: size // 10] = 0
    classes = [torch.randperm(133, generator=generator)[:segments] for _ in range(batch)]
    crowd = [torch.zeros(segments, dtype=torch.bool)] * batch
    return images, collate_targets([ids] * batch, classes, crowd, [f"image {i}" for i in range(batch)])


def step(task: PanopticTask, batch: tuple) -> dict[str, float]:
    """Seconds of the model's forward, of everything up to the losses, and of the whole step."""
    images, targets = batch
    spent = {}
    start = time.perf_counter()
    output = task(images)
    spent["model"] = time.perf_counter() - start
    raw = output
    for technique in task.techniques.values():
        output = technique.before_loss(output, raw, targets)
    before = time.perf_counter()
    result = task.criterion(output, targets)
    spent["criterion"] = time.perf_counter() - before
    losses = dict(result.losses)
    for name, technique in task.techniques.items():
        losses |= {f"{name}_{k}": v for k, v in technique.extra_losses(output, targets, result.assignment).items()}
    spent["forward"] = time.perf_counter() - start
    torch.stack(list(losses.values())).sum().backward()
    task.zero_grad(set_to_none=True)
    spent["step"] = time.perf_counter() - start
    return spent


def measure(arguments: argparse.Namespace) -> None:
    batch = make_batch(arguments.size, arguments.batch, arguments.segments)
    tasks = {"kMaX": make_task(remax=False), "ReMaX": make_task(remax=True)}
    times: dict[str, list[dict]] = {name: [] for name in tasks}
    for round_ in range(arguments.rounds + 1):
        for name, task in tasks.items():
            spent = step(task, batch)
            if round_ > 0:  # the first one warms up
                times[name].append(spent)
    median = {
        name: {part: statistics.median(t[part] for t in rows) for part in rows[0]} for name, rows in times.items()
    }
    for name, parts in median.items():
        print(name, ", ".join(f"{part} {seconds:.2f} s" for part, seconds in parts.items()))
    share = median["kMaX"]["criterion"] / median["kMaX"]["forward"]
    claims = Claims()
    claims.at_most("step with ReMaX / without", median["ReMaX"]["step"] / median["kMaX"]["step"], 1.15)
    claims.at_most("criterion / forward including criterion, kMaX", share, 0.35)
    share = median["ReMaX"]["criterion"] / median["ReMaX"]["forward"]
    print(f"criterion / forward including criterion, ReMaX: {share:.3f}")
    for name in tasks:
        command = [sys.executable, __file__, "--peak", name, "--size", str(arguments.size)]
        command += ["--batch", str(arguments.batch), "--segments", str(arguments.segments)]
        subprocess.run(command, check=True)
    claims.finish()


def peak(arguments: argparse.Namespace) -> None:
    task = make_task(remax=arguments.peak == "ReMaX")
    batch = make_batch(arguments.size, arguments.batch, arguments.segments)
    for _ in range(2):
        step(task, batch)
    gibibytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(f"peak memory of a process that trains {arguments.peak}: {gibibytes:.2f} GiB")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", type=int, default=513)
    parser.add_argument("--batch", type=int, default=2)
    parser.add_argument("--segments", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--peak", choices=["kMaX", "ReMaX"])
    arguments = parser.parse_args()
    torch.set_num_threads(2)
    (peak if arguments.peak else measure)(arguments)


if __name__ == "__main__":
    main()
