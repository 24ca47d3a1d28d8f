"""Merging masks with one thread of torch and with several, alone and beside other programs.

    python benchmarks/merge_threads.py [--recipe kmax_nano] [--threads 2] [--beside 0] [--repeats 5]

Random smooth masks of 32 queries at 129x129 to a photo of 1024x1024, all three tasks; medians of alternating rounds.
``--beside N`` keeps N other processes busy meanwhile. Claim: with one thread, as ``merge`` has it, at most 1.6 of the
time with several where nothing else runs, and less beside as many others as there are cores.
"""

import argparse
import multiprocessing
from contextlib import nullcontext

import torch
import torch.nn.functional as F

from claims import Claims
from pantile.contracts.outputs import MaskOutput
from pantile.contracts.placement import Placement
from pantile.contracts.taxonomy import plain_taxonomy
from pantile.merge import masks, merge, query_argmax
from pantile.recipes import make_recipe
from turns import alternating_medians

NAMES = [f"class {k}" for k in range(10)]
TAXONOMY = plain_taxonomy(NAMES, things=NAMES[:5])
QUERIES, SIDE, PHOTO = 32, 129, (1024, 1024)
TASKS = frozenset({"panoptic", "instance", "semantic"})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--recipe", default="kmax_nano")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--beside", type=int, default=0)
    parser.add_argument("--repeats", type=int, default=5)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    config, output = make_recipe(args.recipe).merge, smooth_output()
    placements, inside = [Placement((513, 513), (513, 513), PHOTO)], masks.one_thread

    def merged(limit) -> None:
        masks.one_thread = query_argmax.one_thread = limit
        merge(output, TAXONOMY, config, placements, TASKS)

    others = [multiprocessing.Process(target=busy, daemon=True) for _ in range(args.beside)]
    for other in others:
        other.start()
    calls = {"one thread": lambda: merged(inside), "several": lambda: merged(lambda device: nullcontext())}
    seconds = alternating_medians(calls, args.repeats)
    for other in others:
        other.kill()
    for name, value in seconds.items():
        print(f"{name:10s} {value:7.2f} s, {args.threads} threads, {args.beside} programs beside")
    claims = Claims()
    limit = 1.0 if args.beside else 1.6
    claims.at_most("one thread, of several", seconds["one thread"] / seconds["several"], limit)
    claims.finish()


def smooth_output() -> MaskOutput:
    generator = torch.Generator().manual_seed(0)
    coarse = torch.randn(1, QUERIES, 12, 12, generator=generator) * 8
    logits = F.interpolate(coarse, (SIDE, SIDE), mode="bicubic")
    classes = torch.randn(1, QUERIES, len(NAMES) + 1, generator=generator) * 4
    nothing = logits[:, :, 0, :1]
    return MaskOutput(classes, logits, nothing, logits[:, :1], logits[:, :1])


def busy() -> None:
    while True:
        sum(range(10_000))


if __name__ == "__main__":
    main()
