"""Mask2Former R50 against transformers': forward, panoptic post-processing, training step, its peak memory.

    python benchmarks/mask2former_vs_transformers.py [--threads 2] [--repeats 5]
    python benchmarks/mask2former_vs_transformers.py --what step --profile

Claims, each ours over theirs: forward at 480x640 at most 0.65, post-processing (benchmarks/mask2former_merge.py) 0.5,
step at 512x512 with two images of ten segments 0.7 in time and 0.8 in memory.

Both sides have the same random weights, through the converter, and the same input, float32. Times are medians of
alternating runs in one process. A step is forward, losses and backward, without the optimizer; theirs gets dense masks,
and making them is not timed. Their batch norms are frozen as ours are, as the original trains. The memory of a step
is the peak above what a process of its own holds before it (Linux).
"""

import argparse
import gc
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn

from claims import Claims
from pantile.convert.huggingface_mask2former import import_mask2former
from pantile.losses.set_criterion import SetCriterion
from pantile.models import fold_batch_norms
from pantile.models.mask2former import Mask2Former, Mask2FormerConfig
from set_criterion import synthetic_targets
from turns import alternating_medians

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent / "tests" / "models"))
from huggingface import huggingface_mask2former  # noqa: E402

CLASSES = 133
SIDES = ("ours", "transformers")
WHAT = ("memory", "forward", "merge", "step")  # memory first, while this process is small


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--what", choices=WHAT, nargs="+", default=WHAT)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--profile", action="store_true", help="also the operators that take most of our step")
    parser.add_argument("--peak-of", choices=SIDES, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    if arguments.peak_of:
        print(peak_of_step(arguments.peak_of))
        return
    print(f"{arguments.threads} threads, {arguments.repeats} rounds, torch {torch.__version__}")
    claims = Claims()
    for what in WHAT:
        if what in arguments.what:
            {"memory": memory, "forward": forward, "merge": merge, "step": step}[what](arguments, claims)
    claims.finish()


def memory(arguments: argparse.Namespace, claims: Claims) -> None:
    print("\npeak memory of a step, 2 x 512x512")
    command = [sys.executable, __file__, "--threads", str(arguments.threads), "--peak-of"]
    shares = show({side: float(subprocess.check_output([*command, side], text=True)) for side in SIDES}, "MiB")
    claims.at_most("memory of a step", shares["ours"], 0.8)


@torch.inference_mode()
def forward(arguments: argparse.Namespace, claims: Claims) -> None:
    print("\nforward, 480x640")
    ours, theirs = models()
    folded = fold_batch_norms(ours)
    images = torch.randn(1, 3, 480, 640)
    expected = theirs(images)
    for name, model in (("ours", ours), ("ours, batch norms folded", folded)):
        output = model(images)
        masks = (output.mask_logits - expected.masks_queries_logits).abs().max()
        classes = (output.class_logits - expected.class_queries_logits).abs().max()
        print(f"{name}: mask logits differ by {masks:.1e} at most, class logits by {classes:.1e}")
    calls = {
        "ours": lambda: ours(images),
        "ours, batch norms folded": lambda: folded(images),
        "transformers": lambda: theirs(images),
    }
    claims.at_most(
        "forward, batch norms folded", show_times(calls, arguments.repeats)["ours, batch norms folded"], 0.65
    )


def merge(arguments: argparse.Namespace, _: Claims) -> None:
    print("\npost-processing, by benchmarks/mask2former_merge.py", flush=True)
    options = ["--threads", str(arguments.threads), "--repeats", str(arguments.repeats)]
    subprocess.run([sys.executable, str(HERE / "mask2former_merge.py"), *options], check=True)


def step(arguments: argparse.Namespace, claims: Claims) -> None:
    print("\nforward, losses and backward, 2 x 512x512, 10 segments each")
    ours, theirs = models()
    calls = {"ours": our_step(ours, 512), "transformers": their_step(theirs, 512)}
    for side, call in calls.items():
        print(f"{side}: loss {call():.4f}, on random points of its own")
    claims.at_most("step", show_times(calls, arguments.repeats)["ours"], 0.7)
    if arguments.profile:
        with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as profile:
            calls["ours"]()
        print(profile.key_averages().table(sort_by="self_cpu_time_total", row_limit=25, max_name_column_width=50))


def models() -> tuple[nn.Module, nn.Module]:
    """Ours and theirs with the same random weights, in eval mode."""
    config = Mask2FormerConfig()
    theirs = huggingface_mask2former(config, CLASSES)
    ours = Mask2Former(config, CLASSES).eval()
    ours.load_state_dict(import_mask2former(config, theirs.state_dict()))
    return ours, theirs


def our_step(model: nn.Module, size: int) -> Callable[[], float]:
    images, targets, _, _ = step_input(size)
    criterion = SetCriterion()
    model.train()

    def run() -> float:
        losses = criterion(model(images), targets).losses
        return backward(model, torch.stack(list(losses.values())).sum())

    return run


def their_step(model: nn.Module, size: int) -> Callable[[], float]:
    images, _, masks, classes = step_input(size)
    model.train()
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.eval().requires_grad_(False)

    return lambda: backward(model, model(images, mask_labels=masks, class_labels=classes).loss.sum())


def step_input(size: int) -> tuple[Tensor, object, list[Tensor], list[Tensor]]:
    """Two noise images, and their bands of ten classes as our targets and as dense masks with classes."""
    torch.manual_seed(0)
    images = torch.randn(2, 3, size, size)
    targets = synthetic_targets(argparse.Namespace(batch=2, segments=10, classes=CLASSES), size)
    masks = [torch.stack([(ids == row + 1).float() for row in range(10)]) for ids in targets.ids]
    return images, targets, masks, list(targets.classes)


def backward(model: nn.Module, loss: Tensor) -> float:
    loss.backward()
    model.zero_grad(set_to_none=True)
    return loss.item()


def peak_of_step(side: str) -> float:
    """MiB that one step adds to this process at its highest."""
    ours, theirs = models()
    model, make = (ours, our_step) if side == "ours" else (theirs, their_step)
    del ours, theirs
    gc.collect()
    with torch.no_grad():
        model(torch.randn(1, 3, 64, 64))  # libraries and what they allocate once
    run = make(model, 512)
    before, peak_before = resident("VmRSS"), resident("VmHWM")
    run()
    peak = resident("VmHWM")
    if peak <= peak_before:
        raise RuntimeError(f"The step stayed below the {peak_before:.0f} MiB that building the models took.")
    return peak - before


def resident(field: str) -> float:
    """MiB: "VmRSS" now, "VmHWM" at the highest, which unlike ``ru_maxrss`` forgets the parent process."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{field}:")) / 1024


def show_times(calls: dict[str, Callable[[], object]], repeats: int) -> dict[str, float]:
    return show({name: 1000 * seconds for name, seconds in alternating_medians(calls, repeats).items()}, "ms")


def show(values: dict[str, float], unit: str) -> dict[str, float]:
    """Values as shares of transformers'."""
    for name, value in values.items():
        print(f"{name:26s} {value:8.1f} {unit}   {value / values['transformers']:.3f} of transformers", flush=True)
    return {name: value / values["transformers"] for name, value in values.items()}


if __name__ == "__main__":
    main()
