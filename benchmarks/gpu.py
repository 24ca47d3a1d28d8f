"""One GPU in ten minutes: every R50, Swin-T and ViT-L model, against transformers where it has the model.

    python benchmarks/gpu.py --out runs/gpu
    python benchmarks/gpu.py --out runs/gpu --device cpu --tiny      # tries the script itself, with nano models

Per model: frames per second and peak memory of a forward pass (fp32, bf16 by autocast, bf16 compiled), of merging on
the device, of a training step in bf16 (losses, backward, optimizer); once, counting of maps that lie on the device.
Random weights; batches of one image of ``--size``, steps of two. Each model and side is a process of its own with a
limit of time, and each of its measurements stands alone: what fails is a row with its reason, and the rest goes on.

Writes DIR/gpu.json and DIR/gpu.md, a table with the name of the device, after every model.
"""

import argparse
import json
import statistics
import subprocess
import sys
import time
from argparse import Namespace
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import torch
from torch import nn

from gpu_models import CLASSES, TAXONOMY, counterpart, recipes
from pantile.contracts.placement import Placement
from pantile.engine.task import PanopticTask
from pantile.merge import merge
from pantile.metrics import PanopticQuality
from pantile.recipes import make_recipe
from pq_counting import TAXONOMY as COUNTED
from pq_counting import tiled_map
from set_criterion import synthetic_targets

COUNTING = "counting"
MINUTES = 9.5


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--tiny", action="store_true", help="nano models at 64x64")
    parser.add_argument("--size", type=int, default=640)
    parser.add_argument("--repeats", type=int, default=10)
    parser.add_argument("--minutes", type=float, default=MINUTES, help="for everything")
    parser.add_argument("--models", nargs="+", help="recipes (default: all)")
    parser.add_argument("--child", nargs=2, metavar=("MODEL", "SIDE"), help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.tiny:
        args.size, args.repeats = 64, 1
    if args.child:
        for row in measured(args, *args.child):
            print(json.dumps(row), flush=True)
        return
    args.out.mkdir(parents=True, exist_ok=True)
    jobs = [(COUNTING, "pantile")]
    for name in args.models or recipes(args.tiny):
        sides = ("pantile", "transformers") if counterpart(name) else ("pantile",)
        jobs += [(name, side) for side in sides]
    rows: list[dict] = []
    end = time.monotonic() + 60 * args.minutes
    for number, job in enumerate(jobs):
        fair_share = 2 * (end - time.monotonic()) / (len(jobs) - number)
        rows += in_process(args, job, min(fair_share, end - time.monotonic()))
        write(rows, args)
    print(table(rows, args))


def in_process(args: argparse.Namespace, job: tuple[str, str], seconds: float) -> list[dict]:
    """The rows of a model and side, and one that says why there are no more."""
    options = [
        "--out",
        str(args.out),
        "--device",
        args.device,
        "--size",
        str(args.size),
        "--repeats",
        str(args.repeats),
    ]
    command = [sys.executable, __file__, *options, *(["--tiny"] if args.tiny else []), "--child", *job]
    base = {"model": job[0], "side": job[1]}
    if seconds <= 1:
        return [base | {"what": "everything", "reason": "no time left"}]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            out, errors = process.communicate(timeout=seconds)
            reason = (errors.strip().splitlines() or ["it died"])[-1] if process.returncode else None
        except subprocess.TimeoutExpired:
            process.kill()
            out, _ = process.communicate()
            reason = f"stopped after {seconds:.0f} s"
    rows = [base | json.loads(line) for line in out.splitlines() if line.startswith("{")]
    return rows + ([base | {"what": "the rest", "reason": reason}] if reason else [])


def measured(args: argparse.Namespace, name: str, side: str) -> Iterator[dict]:
    """A row for each measurement, also of those that fail."""
    makers = {COUNTING: lambda: {COUNTING: lambda: counting(args.device)}, "pantile": lambda: ours(args, name)}
    makers = makers.get(name) or makers.get(side) or (lambda: theirs(args, name))
    for what, make in makers().items():
        try:
            yield {"what": what} | timed(make(), args)
        except Exception as error:  # whatever it is, the others are worth having
            yield {"what": what, "reason": f"{type(error).__name__}: {(str(error).splitlines() or [''])[0]}"}


def timed(call: Callable[[], object], args: argparse.Namespace) -> dict:
    """Median milliseconds, frames per second, and peak MiB on a CUDA device."""
    on_gpu = args.device.startswith("cuda")
    wait = torch.cuda.synchronize if on_gpu else lambda: None
    for _ in range(1 if args.tiny else 3):
        images = call()
    wait()
    if on_gpu:
        torch.cuda.reset_peak_memory_stats()
    times = []
    for _ in range(args.repeats):
        start = time.perf_counter()
        call()
        wait()
        times.append(time.perf_counter() - start)
    seconds = statistics.median(times)
    peak = torch.cuda.max_memory_allocated() / 2**20 if on_gpu else None
    return {"ms": 1000 * seconds, "fps": images / seconds, "peak_mib": peak}


def ours(args: argparse.Namespace, name: str) -> dict[str, Callable[[], Callable[[], int]]]:
    """What to measure -> what makes the call, which returns how many images it took."""
    config = make_recipe(name)
    config.model.pretrained = False
    task = PanopticTask(config, TAXONOMY).to(args.device).eval()
    image = torch.randint(0, 256, (1, config.model.in_channels, args.size, args.size), device=args.device).float()
    placement = Placement(padded=image.shape[-2:], content=image.shape[-2:], original=image.shape[-2:])

    def merging() -> Callable[[], int]:
        with torch.inference_mode():
            output = task(image)

        def run() -> int:
            merge(output, TAXONOMY, config.merge, [placement])
            return 1

        return run

    def step() -> Callable[[], int]:
        task.train()
        optimizer = torch.optim.SGD(task.parameters(), lr=1e-6)
        images = image.expand(2, -1, -1, -1)
        bands = synthetic_targets(Namespace(batch=2, segments=10, classes=CLASSES), args.size)
        targets = bands.to(args.device)

        def run() -> int:
            with autocast(args, "bf16"):
                losses, _ = task.losses(images, targets)
            torch.stack(list(losses.values())).sum().backward()
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
            return 2

        return run

    forwards = {f"forward, {kind}": forward(args, task, image, kind) for kind in ("fp32", "bf16")}
    compiled = {"forward, bf16 compiled": forward(args, task, image, "bf16 compiled")}
    return forwards | {"merge": merging, "training step, bf16": step} | compiled


def theirs(args: argparse.Namespace, name: str) -> dict[str, Callable[[], Callable[[], int]]]:
    model = counterpart(name)(args.size).to(args.device).eval()
    image = torch.randn(1, 3, args.size, args.size, device=args.device)
    kinds = ("fp32", "bf16", "bf16 compiled")
    return {f"forward, {kind}": forward(args, model, image, kind) for kind in kinds}


def forward(
    args: argparse.Namespace, model: nn.Module, image: torch.Tensor, kind: str
) -> Callable[[], Callable[[], int]]:
    def make() -> Callable[[], int]:
        model.eval()
        call = torch.compile(model) if "compiled" in kind else model

        def run() -> int:
            with torch.inference_mode(), autocast(args, kind):
                call(image)
            return len(image)

        return run

    return make


def autocast(args: argparse.Namespace, kind: str):
    return torch.autocast(args.device.split(":")[0], torch.bfloat16) if kind.startswith("bf16") else nullcontext()


def counting(device: str) -> Callable[[], int]:
    """PQ of a pair of 480 x 640 whose ids are tensors on the device."""
    pair = [tiled_map(0, 12, (480, 640), shift) for shift in (9, 0)]
    maps = [replace(one, ids=torch.from_numpy(one.ids).to(device)) for one in pair]
    metric = PanopticQuality(COUNTED).to(device)

    def run() -> int:
        metric.update(*maps)
        return 1

    return run


def write(rows: list[dict], args: argparse.Namespace) -> None:
    content = {"device": device_name(args.device), "torch": torch.__version__, "size": args.size, "rows": rows}
    (args.out / "gpu.json").write_text(json.dumps(content, indent=2))
    (args.out / "gpu.md").write_text(table(rows, args))


def table(rows: list[dict], args: argparse.Namespace) -> str:
    head = f"{device_name(args.device)}, torch {torch.__version__}, {args.size}x{args.size}\n\n"
    lines = ["| model | by | what | images a second | ms | peak MiB |", "|---|---|---|---:|---:|---:|"]
    for row in rows:
        numbers = [row.get(key) for key in ("fps", "ms", "peak_mib")]
        shown = ["-" if value is None else f"{value:.1f}" for value in numbers]
        what = row["what"] + (f" (failed: {row['reason']})" if "reason" in row else "")
        lines.append(f"| {row['model']} | {row['side']} | {what} | {' | '.join(shown)} |")
    return head + "\n".join(lines) + "\n"


def device_name(device: str) -> str:
    return torch.cuda.get_device_name(device) if device.startswith("cuda") else device


if __name__ == "__main__":
    main()
