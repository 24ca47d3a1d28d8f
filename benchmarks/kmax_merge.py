"""Mask-wise merging against the time of a ResNet-50, and its memory.

Claims: merging 128 queries from a 641 x 641 input to 480 x 640 takes at most half the time of timm's ResNet-50
(features_only, 641 x 641, batch 1, float32) on the same CPU; memory does not grow with queries x resolution.

    python benchmarks/kmax_merge.py

Times are medians of alternating runs in one process, with two threads by default; peaks of resident memory come from
one process for each case, as growth over what was resident once the model's output existed.
"""

import argparse
import json
import resource
import subprocess
import sys

import numpy as np
import torch
import torch.nn.functional as F

from claims import Claims
from pantile.contracts.outputs import MaskOutput
from pantile.contracts.placement import Placement
from pantile.contracts.taxonomy import Taxonomy, plain_taxonomy
from pantile.merge import coco, merge_masks
from turns import alternating_medians

KEPT = 35
SMALL = {"queries": 128, "placement": Placement((641, 641), (481, 641), (480, 640)), "logits": (161, 161)}
LARGE = {"queries": 256, "placement": Placement((2049, 4097), (2049, 4097), (2048, 4096)), "logits": (513, 1025)}
CASES = {"480x640": SMALL, "2048x4096": LARGE}


def taxonomy() -> Taxonomy:
    names = [f"class {k}" for k in range(133)]
    return plain_taxonomy(names, things=names[:80])


def confident_output(queries: int, logits: tuple[int, int], placement: Placement) -> MaskOutput:
    """35 queries tile the image in irregular regions, the others are no-object."""
    random = torch.Generator().manual_seed(0)
    height, width = logits
    centres = torch.rand(KEPT, 2, generator=random) * torch.tensor(
        [height * placement.content[0] / placement.padded[0], width * placement.content[1] / placement.padded[1]]
    )
    rows, columns = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    mask_logits = torch.randn(1, queries, height, width, generator=random)
    for query, (y, x) in enumerate(centres.tolist()):
        distance = ((rows - y) ** 2 + (columns - x) ** 2).sqrt()
        mask_logits[0, query] += 12.0 - 60.0 * distance / max(height, width)
    class_logits = torch.randn(1, queries, 134, generator=random)
    class_logits[0, :KEPT].scatter_add_(
        1, torch.randint(0, 133, (KEPT, 1), generator=random), torch.full((KEPT, 1), 12.0)
    )
    class_logits[0, KEPT:, -1] += 12.0
    unused = torch.zeros(1, 1, 1, 1)
    return MaskOutput(class_logits, mask_logits, unused[0], unused, unused)


def plain_merge(output: MaskOutput, classes: Taxonomy, placement: Placement) -> tuple[np.ndarray, int]:
    """The published steps as they are written down: everything at full resolution, query by query."""
    config = coco()
    padded = F.interpolate(output.mask_logits, placement.padded, mode="bilinear", align_corners=True)
    cropped = padded[:, :, : placement.content[0], : placement.content[1]]
    logits = F.interpolate(cropped, placement.original, mode="bilinear", align_corners=True)[0]
    class_score, label = output.class_logits[0].softmax(-1)[:, :-1].max(-1)
    probability = logits.softmax(0)
    masks = probability > config.pixel_confidence
    flat = masks.flatten(1).float()
    mask_score = (probability.flatten(1) * flat).sum(1) / flat.sum(1).clamp(min=1)
    ids = torch.zeros(placement.original, dtype=torch.int32)
    segments, stuff = 0, {}
    for query in (class_score * mask_score).argsort(descending=True).tolist():
        thing = classes.classes[int(label[query])].is_thing
        threshold = config.thing_class_threshold if thing else config.stuff_class_threshold
        free = masks[query] & (ids == 0)
        accepted = class_score[query].item() > threshold and free.sum() > masks[query].sum() * config.overlap
        if not accepted:
            continue
        if not thing and int(label[query]) in stuff:
            ids[free] = stuff[int(label[query])]
            continue
        segments += 1
        ids[free] = segments
        if not thing:
            stuff[int(label[query])] = segments
    return ids.numpy(), segments


def peak_of(case: str, what: str) -> float:
    """MiB of growth of the peak, measured in a process of its own."""
    command = [sys.executable, __file__, "--measure-peak", case, what]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def measure_peak(case: str, what: str) -> None:
    setting = CASES[case]
    output, classes = confident_output(**setting), taxonomy()
    warm_up = confident_output(**(SMALL | {"logits": (11, 11)}))
    tiny = Placement((41, 41), (41, 41), (41, 41))
    run = {
        "merge": lambda o, p: merge_masks(o, classes, coco(), [p]),
        "plain": lambda o, p: plain_merge(o, classes, p),
    }[what]
    run(warm_up, tiny)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    run(output, setting["placement"])
    print(json.dumps((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024))


@torch.no_grad()
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=11)
    parser.add_argument("--threads", type=int, default=2, help="1 is the fairer setting on a busy machine")
    parser.add_argument("--measure-peak", nargs=2, metavar=("CASE", "WHAT"), help="used by the script itself")
    arguments = parser.parse_args()
    if arguments.measure_peak:
        measure_peak(*arguments.measure_peak)
        return

    # First, while this process is small: on Linux a child starts with its parent's peak.
    for case, what in (("480x640", "plain"), ("480x640", "merge"), ("2048x4096", "merge")):
        print(f"peak memory, {what:5s} {case:9s} {CASES[case]['queries']} queries: {peak_of(case, what):8.1f} MiB")

    import timm

    torch.set_num_threads(arguments.threads)
    classes, output, placement = taxonomy(), confident_output(**SMALL), SMALL["placement"]
    ours = merge_masks(output, classes, coco(), [placement])[0]
    plain_ids, plain_segments = plain_merge(output, classes, placement)
    print(f"segments: {len(ours.segments)}, plain {plain_segments}")
    print(f"pixels that differ from the plain form: {int((ours.ids != plain_ids).sum())} of {plain_ids.size}")

    backbone = timm.create_model("resnet50", features_only=True, pretrained=False).eval()
    image = torch.randn(1, 3, 641, 641)
    seconds = alternating_medians(
        {
            "merge": lambda: merge_masks(output, classes, coco(), [placement]),
            "merge, tensorflow": lambda: merge_masks(output, classes, coco("tensorflow"), [placement]),
            "plain": lambda: plain_merge(output, classes, placement),
            "resnet50": lambda: backbone(image),
        },
        arguments.repeats,
    )
    for name, value in seconds.items():
        print(f"{name:18s} {1000 * value:8.1f} ms   {value / seconds['resnet50']:.3f} of resnet50")
    claims = Claims()
    claims.at_most("merge / resnet50", seconds["merge"] / seconds["resnet50"], 0.5)
    claims.finish()


if __name__ == "__main__":
    main()
