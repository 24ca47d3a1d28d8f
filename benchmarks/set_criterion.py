"""What the criterion of Mask2Former and MaskFormer costs, against transformers' losses.

    python benchmarks/set_criterion.py                  # 512 x 512, batch 2, 10 segments, 100 queries, 10 outputs
    python benchmarks/set_criterion.py --form maskformer

Both sides see the same synthetic outputs. transformers wants dense masks of the ground truth; making them is not
timed. Times are medians of alternating runs in one process, forward and backward, with one thread by default. Peak
memory is what each side adds to the resident size of a process of its own.
"""

import argparse
import resource
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from pantile.contracts.outputs import MaskOutput
from pantile.contracts.targets import PanopticTargets, collate_targets
from pantile.losses.set_criterion import SetCriterion, SetCriterionConfig, maskformer_criterion
from turns import alternating_medians


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--form", choices=["mask2former", "maskformer"], default="mask2former")
    parser.add_argument("--size", type=int, default=512, help="input height and width")
    parser.add_argument("--batch", type=int, default=2)
    parser.add_argument("--segments", type=int, default=10, help="per image")
    parser.add_argument("--queries", type=int, default=100)
    parser.add_argument("--classes", type=int, default=133)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--peak-of", choices=["ours", "transformers"], help=argparse.SUPPRESS)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.manual_seed(0)

    if args.peak_of:
        call = sides(args, small=False)[args.peak_of]
        sides(args, small=True)[args.peak_of]()  # what is allocated once, libraries above all
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        call()
        print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
        return

    print("peak memory above the outputs, forward and backward (MiB):", end="", flush=True)
    for side in ("ours", "transformers"):  # first, while this process is small: a child starts with its parent's peak
        command = [sys.executable, str(Path(__file__)), *sys.argv[1:], "--peak-of", side]
        print(f"  {side} {int(subprocess.check_output(command, text=True)) / 2**10:.0f}", end="", flush=True)
    print()
    calls = sides(args, small=False)
    for side, call in calls.items():
        print(f"{side:12s}", "  ".join(f"{name} {value:.4f}" for name, value in call().items()))
    seconds = alternating_medians(calls, args.repeats)
    for side, value in seconds.items():
        print(f"{side:12s} {1000 * value:8.1f} ms   {value / seconds['transformers']:.3f} of transformers")


def sides(args: argparse.Namespace, small: bool) -> dict[str, Callable[[], dict[str, float]]]:
    """One forward and backward pass of each side; they return their terms, weights applied."""
    size = 64 if small else args.size
    layers = 9 if args.form == "mask2former" else 5
    outputs = [synthetic_output(args, size // 4) for _ in range(layers + 1)]
    targets = synthetic_targets(args, size)
    final = replace(outputs[-1], layers=tuple(outputs[:-1]))
    config = SetCriterionConfig() if args.form == "mask2former" else maskformer_criterion()
    weights = {"class": config.class_weight, "mask": config.mask_weight, "dice": config.dice_weight}
    keys = {"class": "loss_cross_entropy", "mask": "loss_mask", "dice": "loss_dice"}
    criterion, theirs = SetCriterion(config), transformers_loss(args, config)
    masks = [torch.stack([(ids == row + 1).float() for row in range(args.segments)]) for ids in targets.ids]
    auxiliary = [{"masks_queries_logits": o.mask_logits, "class_queries_logits": o.class_logits} for o in outputs[:-1]]

    def ours() -> dict[str, float]:
        return backward(criterion(final, targets).losses, outputs)

    def transformers() -> dict[str, float]:
        found = theirs(final.mask_logits, final.class_logits, masks, list(targets.classes), auxiliary)
        return backward(
            {name: weights[name] * sum(v for k, v in found.items() if k.startswith(keys[name])) for name in keys},
            outputs,
        )

    return {"ours": ours, "transformers": transformers}


def backward(losses: dict[str, Tensor], outputs: list[MaskOutput]) -> dict[str, float]:
    torch.stack(list(losses.values())).sum().backward()
    for output in outputs:
        output.mask_logits.grad = output.class_logits.grad = None
    return {name: loss.item() for name, loss in losses.items()}


def transformers_loss(args: argparse.Namespace, config: SetCriterionConfig) -> torch.nn.Module:
    if args.form == "mask2former":
        from transformers import Mask2FormerConfig
        from transformers.models.mask2former.modeling_mask2former import Mask2FormerLoss

        return Mask2FormerLoss(Mask2FormerConfig(num_labels=args.classes), {})
    from transformers.models.maskformer.modeling_maskformer import MaskFormerHungarianMatcher, MaskFormerLoss

    matcher = MaskFormerHungarianMatcher(config.class_weight, config.mask_weight, config.dice_weight)
    return MaskFormerLoss(args.classes, matcher, {}, eos_coef=config.no_object_weight)


def synthetic_output(args: argparse.Namespace, side: int) -> MaskOutput:
    unused = torch.zeros(0)
    return MaskOutput(
        class_logits=torch.randn(args.batch, args.queries, args.classes + 1, requires_grad=True),
        mask_logits=(3 * torch.randn(args.batch, args.queries, side, side)).requires_grad_(),
        query_embed=unused,
        pixel_embed=unused,
        pixel_feature=unused,
    )


def synthetic_targets(args: argparse.Namespace, size: int) -> PanopticTargets:
    """Horizontal bands, and a tenth of the image void."""
    ids = (torch.arange(size) * args.segments // size + 1)[:, None].repeat(1, size)
    ids[:, : size // 10] = 0
    classes = torch.randint(0, args.classes, (args.segments,))
    crowd = torch.zeros(args.segments, dtype=torch.bool)
    return collate_targets(
        [ids] * args.batch, [classes] * args.batch, [crowd] * args.batch, [f"image{i}" for i in range(args.batch)]
    )


if __name__ == "__main__":
    main()
