"""What the kMaX criterion costs, against the same losses written the plain way.

    python benchmarks/kmax_criterion.py            # R50 at 513x513, batch 2, 128 queries, 7 outputs, 2 threads
    python benchmarks/kmax_criterion.py --reps 3 --threads 1

The plain way resizes every map of every output to the final resolution, keeps dense (B, N, HW) targets and
probabilities, and builds the K x K matrices of similarities and of "same segment" for instance discrimination. Both
ways take turns on the same synthetic outputs; they draw the same pixels, so their losses are compared as well (with
fewer labelled pixels than samples they differ: the plain way, like the original, contrasts with void pixels too). Times
are wall seconds: minimum and median. CPU seconds of all threads are printed too, as a check on a busy machine. Peak
memory is what each way adds to the resident size of a process of its own.
"""

import argparse
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional as F

from pantile.contracts.outputs import MaskOutput
from pantile.contracts.targets import MaskTargets, PanopticTargets
from pantile.losses import KMaXCriterion, KMaXCriterionConfig, draw_pixels, hungarian

STRIDES = (32, 32, 16, 16, 8, 8, 4)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--size", type=int, default=513, help="input height and width, 32k+1")
    parser.add_argument("--batch", type=int, default=2)
    parser.add_argument("--segments", type=int, default=10, help="per image")
    parser.add_argument("--queries", type=int, default=128)
    parser.add_argument("--classes", type=int, default=133)
    parser.add_argument("--reps", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--peak-of", choices=["plain", "ours"], help=argparse.SUPPRESS)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    output, targets = synthetic_step(args)
    ways: dict[str, Callable[[], dict[str, Tensor]]] = {
        "plain": lambda: plain_criterion(output, targets, KMaXCriterionConfig(), torch.Generator().manual_seed(1)),
        "ours": lambda: KMaXCriterion()(output, targets, torch.Generator().manual_seed(1)).losses,
    }
    if args.peak_of:
        before = peak_rss()
        sum(ways[args.peak_of]().values()).backward()
        print(peak_rss() - before)
        return
    compare(ways, output)
    report(ways, args.reps)
    print("peak memory above the outputs, forward and backward (MiB):", end="")
    for name in ways:
        call = [sys.executable, str(Path(__file__)), *sys.argv[1:], "--peak-of", name]
        print(f"  {name} {int(subprocess.check_output(call, text=True)) / 2**20:.0f}", end="")
    print()


def synthetic_step(args: argparse.Namespace) -> tuple[MaskOutput, PanopticTargets]:
    bands = torch.arange(args.size) * args.segments // args.size + 1
    look_of_band = torch.randn(args.segments + 1, 128)

    def output(stride: int, layers: tuple[MaskOutput, ...] = ()) -> MaskOutput:
        n = (args.size - 1) // stride + 1
        embed = torch.randn(args.batch, 128, n, n) + look_of_band[bands[::stride]].T[None, :, :, None]
        embed = F.normalize(embed, dim=1)
        semantic = torch.randn(args.batch, args.classes + 1, n, n, requires_grad=True) if layers else None
        return MaskOutput(
            class_logits=torch.randn(args.batch, args.queries, args.classes + 1, requires_grad=True),
            mask_logits=torch.randn(args.batch, args.queries, n, n, requires_grad=True),
            query_embed=torch.zeros(0),
            pixel_embed=embed.requires_grad_(),
            pixel_feature=torch.zeros(0),
            layers=layers,
            semantic_logits=semantic,
        )

    ids = bands[None, :, None].expand(args.batch, -1, args.size).clone()
    ids[:, :, -args.size // 10 :] = 0  # a tenth is padding
    classes = torch.randint(0, args.classes, (args.batch, args.segments))
    names = tuple(f"image{i}" for i in range(args.batch))
    targets = PanopticTargets(ids, classes, torch.zeros_like(classes, dtype=torch.bool), names)
    return output(STRIDES[-1], tuple(output(s) for s in STRIDES[:-1])), targets


def compare(ways: dict[str, Callable], output: MaskOutput) -> None:
    found = {}
    for name, way in ways.items():
        losses = way()
        gradient = torch.autograd.grad(sum(losses.values()), [output.mask_logits, output.layers[0].pixel_embed])
        found[name] = (losses, gradient)
    (plain, plain_gradient), (ours, our_gradient) = found["plain"], found["ours"]
    worst = max(abs(ours[k].item() / plain[k].item() - 1) for k in plain)
    apart = max(float((a - b).abs().max() / b.abs().max()) for a, b in zip(our_gradient, plain_gradient, strict=True))
    print(f"losses differ by {worst:.1e} (relative), gradients by {apart:.1e} of their largest value")


def report(ways: dict[str, Callable], reps: int) -> None:
    wall = {(name, what): [] for name in ways for what in ("forward", "forward+backward")}
    cpu = {key: [] for key in wall}
    for rep in range(reps + 1):
        for name, way in ways.items():
            began, cpu_began = time.perf_counter(), time.process_time()
            loss = sum(way().values())
            middle, cpu_middle = time.perf_counter(), time.process_time()
            loss.backward()
            ended, cpu_ended = time.perf_counter(), time.process_time()
            if rep:  # the first is a warm-up
                wall[name, "forward"].append(middle - began)
                wall[name, "forward+backward"].append(ended - began)
                cpu[name, "forward"].append(cpu_middle - cpu_began)
                cpu[name, "forward+backward"].append(cpu_ended - cpu_began)
    print(f"{'seconds':18}{'wall min':>10}{'median':>10}{'CPU min':>10}")
    for key, values in wall.items():
        name = f"{key[0]} {key[1]}"
        print(f"{name:24}{min(values):8.3f}{statistics.median(values):10.3f}{min(cpu[key]):10.3f}")
    for what in ("forward", "forward+backward"):
        ratios = [a / b for a, b in zip(wall["plain", what], wall["ours", what], strict=True)]
        of_cpu = min(cpu["plain", what]) / min(cpu["ours", what])
        print(f"plain / ours, {what}: {statistics.median(ratios):.2f} (median of turns), {of_cpu:.2f} (CPU time)")


def peak_rss() -> int:
    """Bytes; read from /proc because getrusage's value outlives the start of a new program."""
    line = next(x for x in Path("/proc/self/status").read_text().splitlines() if x.startswith("VmHWM"))
    return int(line.split()[1]) * 1024


# --- the plain way ---------------------------------------------------------------------------------------------------


def plain_criterion(
    output: MaskOutput, targets: PanopticTargets, config: KMaXCriterionConfig, generator: torch.Generator
) -> dict[str, Tensor]:
    size = tuple(output.mask_logits.shape[-2:])
    masks = targets.masks_at(size)
    truth, void = masks.one_hot(), masks.void.flatten(1)
    outputs = (*output.layers, output)
    with torch.no_grad():
        dice, probability, void_share = plain_similarity(output, truth, void, masks.labels)
        matching = hungarian(-dice * probability, masks.present)
    draws = draw_pixels(
        masks.index,
        masks.areas(),
        config.instance_samples,
        config.instance_sampling_temperature,
        len(outputs),
        generator,
    )
    sums = dict.fromkeys(("class", "mask", "mask_id", "instance"), 0)
    for one, drawn in zip(outputs, draws, strict=True):
        resized = F.interpolate(one.mask_logits, size=size, mode="bilinear", align_corners=True).flatten(2)
        embed = F.interpolate(one.pixel_embed, size=size, mode="bilinear", align_corners=True).flatten(2)
        target, weights, of_mask, labels = plain_targets(
            one, truth, matching, masks.labels, dice, probability, void_share
        )
        share = torch.where(labels < one.num_classes, 0.75, 0.25)
        classes = F.cross_entropy(one.class_logits.transpose(1, 2), labels, reduction="none")
        sums["class"] += nonzero_mean(share * weights * classes).mean()
        masked = resized.softmax(dim=1) * ~void[:, None]
        overlap = 1 - (2 * (masked * target).sum(2) + 1) / (masked.sum(2) + target.sum(2) + 1)
        sums["mask"] += (0.75 * of_mask * overlap).mean(dim=1).mean()
        sums["mask_id"] += nonzero_mean(-(target * resized.log_softmax(dim=1)).sum(dim=1)).mean()
        features = embed.gather(2, drawn[:, None].expand(-1, embed.shape[1], -1))
        chosen = target.gather(2, drawn[:, None].expand(-1, target.shape[1], -1))
        same = chosen.transpose(1, 2) @ chosen
        same = same / same.sum(dim=2, keepdim=True).clamp(min=1)
        similar = features.transpose(1, 2) @ features / config.similarity_temperature
        sums["instance"] += nonzero_mean(-(same * similar.log_softmax(dim=2)).sum(dim=2)).mean()
    losses = {name: getattr(config, f"{name}_weight") * value for name, value in sums.items()}
    losses["semantic"] = config.semantic_weight * plain_semantic(output.semantic_logits, masks, config, generator)
    return losses


def plain_similarity(output: MaskOutput, truth: Tensor, void: Tensor, labels: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    soft = output.mask_logits.flatten(2).softmax(dim=1)
    masked = soft * ~void[:, None]
    dice = masked @ truth.transpose(1, 2) / ((masked.sum(2)[:, :, None] + truth.sum(2)[:, None]) / 2 + 1e-5)
    chance = output.class_logits.softmax(dim=2)
    probability = torch.stack([c[:, g.clamp(min=0)] for c, g in zip(chance, labels, strict=True)])
    return dice, probability, (soft * void[:, None]).sum(2) / (soft.sum(2) + 1e-5)


def plain_targets(
    output: MaskOutput,
    truth: Tensor,
    matching: Tensor,
    labels: Tensor,
    dice: Tensor,
    probability: Tensor,
    void_share: Tensor,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Dense targets per query: masks (B, N, HW), class weights, mask weights, class labels."""
    batch, queries = output.class_logits.shape[:2]
    target = truth.new_zeros(batch, queries, truth.shape[2])
    of_class, of_mask = void_share.clamp(min=1e-5), torch.zeros(batch, queries)
    classes = torch.full((batch, queries), output.num_classes)
    for image in range(batch):
        for row, query in enumerate(matching[image].tolist()):
            if query >= 0:
                target[image, query] = truth[image, row]
                of_class[image, query] = dice[image, query, row].clamp(min=1e-5)
                of_mask[image, query] = probability[image, query, row].clamp(min=1e-5)
                classes[image, query] = labels[image, row]
    return target, of_class, of_mask, classes


def plain_semantic(
    logits: Tensor, masks: MaskTargets, config: KMaXCriterionConfig, generator: torch.Generator
) -> Tensor:
    drawn = draw_pixels(
        masks.index,
        masks.areas(),
        config.semantic_samples,
        config.semantic_sampling_temperature,
        generator=generator,
    )[0]
    classes = masks.semantic().flatten(1).gather(1, drawn)
    chosen = logits.flatten(2).gather(2, drawn[:, None].expand(-1, logits.shape[1], -1))
    return nonzero_mean(F.cross_entropy(chosen, classes, reduction="none", ignore_index=-1)).mean()


def nonzero_mean(values: Tensor) -> Tensor:
    return values.sum(dim=1) / (values != 0).sum(dim=1).clamp(min=1)


if __name__ == "__main__":
    main()
