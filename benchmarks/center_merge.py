"""Panoptic-DeepLab's post-processing against the time of a ResNet-50, and its memory.

Claims: at 512 x 1024 with 19 classes and 120 centres it takes at most 0.06 of the time of Panoptic-DeepLab's network
on ResNet-50 (the same size, batch 1, float32) on the same CPU; timm's ResNet-50 alone stands beside it. 120 centres
take at most 3 times as long as 10. At 1025 x 2049 the peak of memory grows by at most 300 MB over what the outputs
take.

    python benchmarks/center_merge.py

Times are medians of alternating runs in one process, with two threads by default. The peak is resident memory
(getrusage) of a process of its own, as growth over what was resident once the outputs existed. Offsets lead to within
a few pixels of the centres; every tenth pixel of a thing carries another thing class, so that majorities matter.
"""

import argparse
import json
import resource
import subprocess
import sys

import torch
import torch.nn.functional as F

from claims import Claims
from pantile.contracts.outputs import CenterOutput
from pantile.contracts.placement import Placement
from pantile.contracts.taxonomy import Taxonomy, plain_taxonomy
from pantile.merge.center_config import center_cityscapes
from pantile.merge.centers import predict_centers
from pantile.models import PanopticDeepLabConfig, create_model
from turns import alternating_medians

CLASSES, FIRST_THING = 19, 11  # Cityscapes: 11 stuff classes, then 8 of things
CENTERS = (10, 40, 120)
SMALL, LARGE = (512, 1024), (1025, 2049)
ALL_TASKS = frozenset({"panoptic", "instance", "semantic"})


def taxonomy() -> Taxonomy:
    names = [f"class {k}" for k in range(CLASSES)]
    return plain_taxonomy(names, things=names[FIRST_THING:])


def street(size: tuple[int, int], centers: int) -> CenterOutput:
    """Outputs at stride 4: stuff in bands, things as discs around well spread centres, together 30 % of the image."""
    random = torch.Generator().manual_seed(0)
    height, width = (-(-extent // 4) for extent in size)
    grid = torch.stack(torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")).float()
    position = _well_spread(centers, (height, width), random)
    distance, nearest = torch.full((height, width), torch.inf), torch.zeros(height, width, dtype=torch.int64)
    for number, center in enumerate(position):  # one at a time: the peak of memory is to be the merge's
        away = (center[:, None, None] - grid).square().sum(dim=0).sqrt()
        nearest[away < distance] = number
        distance = torch.minimum(distance, away)

    stuff = (FIRST_THING * grid[0] / height + torch.randn(width, generator=random)).long().clamp(0, FIRST_THING - 1)
    thing = FIRST_THING + nearest % (CLASSES - FIRST_THING)
    confused = torch.rand(height, width, generator=random) < 0.1
    thing = torch.where(confused, FIRST_THING + (thing + 1) % (CLASSES - FIRST_THING), thing)
    radius = (0.3 * height * width / (3.14 * centers)) ** 0.5
    classes = torch.where(distance < radius, thing, stuff)
    semantic = 8.0 * F.one_hot(classes, CLASSES).permute(2, 0, 1).float()
    semantic += torch.randn(semantic.shape, generator=random)

    offset = position[nearest].permute(2, 0, 1) - grid + torch.randn(2, height, width, generator=random)
    heat = torch.exp(-distance.square() / 8.0) + 0.02 * torch.rand(height, width, generator=random)
    return CenterOutput(semantic[None], heat[None, None], offset[None])


def _well_spread(count: int, size: tuple[int, int], random: torch.Generator) -> torch.Tensor:
    """(count, 2): one whole position in each of ``count`` cells of a regular partition, away from the cells' sides."""
    rows = max(r for r in range(1, count + 1) if count % r == 0 and r * r <= count)
    columns = count // rows
    cell = torch.stack(torch.meshgrid(torch.arange(rows), torch.arange(columns), indexing="ij"), dim=-1).view(-1, 2)
    within = 0.35 + 0.3 * torch.rand(count, 2, generator=random)
    return ((cell + within) * torch.tensor([size[0] / rows, size[1] / columns])).round()


def peak_of(centers: int) -> float:
    """MiB of growth of the peak at 1025 x 2049, measured in a process of its own."""
    command = [sys.executable, __file__, "--measure-peak", str(centers)]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def measure_peak(centers: int) -> None:
    output, classes = street(LARGE, centers), taxonomy()
    predict(street((65, 65), 4), classes, (65, 65))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    predict(output, classes, LARGE)
    print(json.dumps((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024))


def predict(output: CenterOutput, classes: Taxonomy, size: tuple[int, int], tasks: frozenset = ALL_TASKS) -> list:
    return predict_centers(output, classes, center_cityscapes(), [Placement(size, size, size)], tasks)


@torch.no_grad()
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=11)
    parser.add_argument("--threads", type=int, default=2, help="1 is the fairer setting on a busy machine")
    parser.add_argument("--measure-peak", type=int, metavar="CENTRES", help="used by the script itself")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    if arguments.measure_peak:
        measure_peak(arguments.measure_peak)
        return

    # First, while this process is small: on Linux a child starts with its parent's peak.
    claims = Claims()
    claims.at_most(f"MiB of peak memory at {LARGE[0]} x {LARGE[1]}, 120 centres, all tasks", peak_of(120), 300)

    import timm

    classes, outputs = taxonomy(), {count: street(SMALL, count) for count in CENTERS}
    for count, output in outputs.items():
        (prediction,) = predict(output, classes, SMALL)
        things = len(prediction.instances)
        print(f"{count} centres: {things} things, {len(prediction.panoptic.segments) - things} of stuff")

    backbone = timm.create_model("resnet50", features_only=True, pretrained=False).eval()
    network = create_model(PanopticDeepLabConfig(regime="fast", separable_norm=True), CLASSES).eval()
    image = torch.randn(1, 3, *SMALL)
    panoptic = frozenset({"panoptic"})
    calls = {f"{n} centres": lambda n=n: predict(outputs[n], classes, SMALL, panoptic) for n in CENTERS}
    calls["120, all tasks"] = lambda: predict(outputs[120], classes, SMALL)
    calls["resnet50"] = lambda: backbone(image)
    calls["network"] = lambda: network(image)  # Panoptic-DeepLab on ResNet-50
    seconds = alternating_medians(calls, arguments.repeats)
    for name, value in seconds.items():
        of_both = f"{value / seconds['resnet50']:.3f} of resnet50, {value / seconds['network']:.3f} of the network"
        print(f"{name:16s} {1000 * value:8.1f} ms   {of_both}")
    claims.at_most("120 centres / network", seconds["120 centres"] / seconds["network"], 0.06)
    claims.at_most("120 centres / 10 centres", seconds["120 centres"] / seconds["10 centres"], 3)
    claims.finish()


if __name__ == "__main__":
    main()
