"""EoMT against transformers': forward, panoptic post-processing, training step, its peak memory, at 640x640.

    python benchmarks/eomt.py [--size b] [--threads 2] [--repeats 5]
    python benchmarks/eomt.py --size l --what forward
    python benchmarks/eomt.py --what step --profile

Claims, each ours over theirs: forward at most 0.85, post-processing of a photo of 480x640 0.25, step with two images of
ten segments 0.75 in time and 0.7 in memory, without gradient checkpointing; 0.35 in memory with ours alone.

The forward misses: four fifths of it are torch's attention and matrix products, which both sides call alike; EoMT-S
took 0.95 of theirs in CPU time of one thread. Two threads count only on a machine with nothing else to do.

Both sides have the same random weights, through the converter, and the same input, float32. Theirs obeys no mask in
the forward, as its published weights; in a step both obey all masks. Times are medians of alternating runs in one
process. A step is forward, losses and backward, without the optimizer; theirs gets dense masks, and making them is not
timed. The memory of a step is the peak above what a process of its own holds before it (Linux).
"""

import argparse
import gc
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace

import torch
import torch.nn.functional as F
from torch import nn
from transformers import EomtConfig, EomtForUniversalSegmentation, EomtImageProcessor

from claims import Claims
from mask2former_vs_transformers import backward, resident, show, show_times, step_input
from pantile.contracts.outputs import MaskOutput
from pantile.contracts.panoptic import PanopticMap
from pantile.convert.huggingface_eomt import export_huggingface_eomt
from pantile.data import fit_placement
from pantile.data.classes import coco
from pantile.losses.set_criterion import SetCriterion
from pantile.merge import QueryMergeConfig, merge
from pantile.models.eomt import EoMT
from pantile.models.gradient_checkpointing import checkpoint_blocks
from pantile.recipes import make_recipe

SIDE, PHOTO = 640, (480, 640)
CLASSES, QUERIES, CONFIDENT = 133, 200, 20
SIDES = ("ours", "transformers")
CHECKPOINTED = "ours, checkpointed"
WHAT = ("memory", "forward", "merge", "step")  # memory first, while this process is small


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", choices=("s", "b", "l"), default="b")
    parser.add_argument("--what", choices=WHAT, nargs="+", default=WHAT)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--profile", action="store_true", help="also the operators that take most of the step")
    parser.add_argument("--peak-of", choices=(*SIDES, CHECKPOINTED), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    if arguments.peak_of:
        print(peak_of_step(arguments.size, arguments.peak_of))
        return
    print(
        f"EoMT-{arguments.size.upper()}, {arguments.threads} threads, {arguments.repeats} rounds, {torch.__version__}"
    )
    claims = Claims()
    for what in WHAT:
        if what in arguments.what:
            {"memory": memory, "forward": forward, "merge": post_processing, "step": step}[what](arguments, claims)
    claims.finish()


def memory(arguments: argparse.Namespace, claims: Claims) -> None:
    print(f"\npeak memory of a step, 2 x {SIDE}x{SIDE}")
    command = [sys.executable, __file__, "--size", arguments.size, "--threads", str(arguments.threads), "--peak-of"]
    sides = ("ours", CHECKPOINTED, "transformers")
    shares = show({side: float(subprocess.check_output([*command, side], text=True)) for side in sides}, "MiB")
    claims.at_most("memory of a step", shares["ours"], 0.7)
    claims.at_most("memory of a step, ours checkpointed", shares[CHECKPOINTED], 0.35)


@torch.inference_mode()
def forward(arguments: argparse.Namespace, claims: Claims) -> None:
    print(f"\nforward, {SIDE}x{SIDE}")
    ours, theirs = models(arguments.size)
    images = torch.randn(1, 3, SIDE, SIDE)
    expected, output = theirs(images), ours(images)
    masks = (output.mask_logits - expected.masks_queries_logits).abs().max()
    classes = (output.class_logits - expected.class_queries_logits).abs().max()
    print(f"mask logits differ by {masks:.1e} at most, class logits by {classes:.1e}")
    calls = {"ours": lambda: ours(images), "transformers": lambda: theirs(images)}
    claims.at_most("forward", show_times(calls, arguments.repeats)["ours"], 0.85)


@torch.inference_mode()
def post_processing(arguments: argparse.Namespace, claims: Claims) -> None:
    print(f"\npost-processing of {CONFIDENT} confident queries of {QUERIES}, a photo of {PHOTO[0]}x{PHOTO[1]}")
    output = confident_output()
    stuff = [index for index, info in enumerate(coco.TAXONOMY.classes) if not info.is_thing]
    placement, config = fit_placement(PHOTO, (SIDE, SIDE)), QueryMergeConfig()
    processor = EomtImageProcessor(size={"shortest_edge": SIDE, "longest_edge": SIDE})
    told = SimpleNamespace(masks_queries_logits=output.mask_logits, class_queries_logits=output.class_logits)

    def ours() -> PanopticMap:
        return merge(output, coco.TAXONOMY, config, [placement])[0].panoptic

    def theirs() -> torch.Tensor:
        return processor.post_process_panoptic_segmentation(told, [PHOTO], stuff_classes=stuff)[0]["segmentation"]

    differing = int((ours().ids != theirs().numpy() + 1).sum())
    print(f"{len(ours().segments)} segments; {differing} of {PHOTO[0] * PHOTO[1]} pixels differ")
    calls = {"ours": ours, "transformers": theirs}
    claims.at_most("post-processing", show_times(calls, arguments.repeats)["ours"], 0.25)


def step(arguments: argparse.Namespace, claims: Claims) -> None:
    print(f"\nforward, losses and backward, 2 x {SIDE}x{SIDE}, 10 segments each")
    ours, theirs = models(arguments.size)
    calls = {"ours": our_step(ours), "transformers": their_step(theirs)}
    for side, call in calls.items():
        print(f"{side}: loss {call():.4f}, on random points of its own", flush=True)
    claims.at_most("step", show_times(calls, arguments.repeats)["ours"], 0.75)
    if arguments.profile:
        for call in calls.values():
            with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as profile:
                call()
            print(profile.key_averages().table(sort_by="self_cpu_time_total", row_limit=20, max_name_column_width=50))


def models(size: str) -> tuple[EoMT, nn.Module]:
    """Ours and theirs with the same random weights, in eval mode; ours obeys all masks in training."""
    config = replace(make_recipe(f"eomt_{size}_coco").model, pretrained=False, layer_scale=1.0)
    torch.manual_seed(0)
    ours = EoMT(config, CLASSES).eval()
    settings = EomtConfig(
        hidden_size=config.channels,
        num_hidden_layers=config.layers,
        num_attention_heads=config.num_heads,
        num_blocks=config.query_layers,
        num_labels=CLASSES,
    )
    with torch.device("meta"):
        theirs = EomtForUniversalSegmentation(settings)
    theirs = theirs.to_empty(device="cpu").eval()
    theirs.load_state_dict(export_huggingface_eomt(config, ours.state_dict()))
    theirs.embeddings.position_ids.copy_(torch.arange(theirs.embeddings.position_ids.shape[-1]).expand(1, -1))
    return ours, theirs


def our_step(model: EoMT) -> Callable[[], float]:
    images, targets, _, _ = step_input(SIDE)
    criterion = SetCriterion()
    model.train()

    def run() -> float:
        return backward(model, torch.stack(list(criterion(model(images), targets).losses.values())).sum())

    return run


def their_step(model: nn.Module) -> Callable[[], float]:
    images, _, masks, classes = step_input(SIDE)
    model.train().attn_mask_probs.fill_(1)
    return lambda: backward(model, model(images, mask_labels=masks, class_labels=classes).loss.sum())


def confident_output() -> MaskOutput:
    """Smooth masks, most of them small."""
    generator = torch.Generator().manual_seed(1)
    classes = torch.randn(1, QUERIES, CLASSES + 1, generator=generator)
    classes[..., -1] += 12
    chosen = torch.randperm(QUERIES, generator=generator)[:CONFIDENT]
    classes[0, chosen, torch.randint(CLASSES, (CONFIDENT,), generator=generator)] += 24
    coarse = torch.randn(1, QUERIES, 8, 8, generator=generator) * 8 - 14
    masks = F.interpolate(coarse, (SIDE // 4, SIDE // 4), mode="bicubic")
    nothing = masks[:, :, 0, :1]
    return MaskOutput(classes, masks, nothing, masks[:, :1], masks[:, :1])


def peak_of_step(size: str, side: str) -> float:
    """MiB that one step adds to this process at its highest."""
    ours, theirs = models(size)
    model, make = (theirs, their_step) if side == "transformers" else (ours, our_step)
    if side == CHECKPOINTED:
        checkpoint_blocks(ours)
    del ours, theirs
    gc.collect()
    with torch.no_grad():
        model(torch.randn(1, 3, SIDE, SIDE))  # libraries and what they allocate once
    run = make(model)
    gc.collect()
    before, peak_before = resident("VmRSS"), resident("VmHWM")
    run()
    peak = resident("VmHWM")
    if peak <= peak_before:
        raise RuntimeError(f"The step stayed below the {peak_before:.0f} MiB that building the models took.")
    return peak - before


if __name__ == "__main__":
    main()
