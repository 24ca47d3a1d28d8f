"""``pantile start DATA``: looks at the data and the machine and proposes the one command to train with."""

import argparse
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pantile.cli.checkpoint_argument import opened
from pantile.cli.device_option import add_device_argument
from pantile.cli.output_arguments import output_folder
from pantile.cli.skip_missing import add_skip_missing

if TYPE_CHECKING:
    from pantile.recipes.proposal import Machine, Proposal


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("data", help="a folder of a labelled data set, or `scenes` for generated images")
    parser.add_argument("--train-split", default="train", help="split to train on (default: train)")
    parser.add_argument("--val-split", default="val", help="split to validate on (default: val)")
    add_skip_missing(parser)
    parser.add_argument("--hours", type=hours, help="how long the run may take (default: 1.5, with a CUDA GPU 8)")
    parser.add_argument(
        "--init", help="weights to start from, as `pantile train` takes them (default: see what it says)"
    )
    parser.add_argument("--out", type=output_folder, help="run folder (default: runs/RECIPE-DATE-TIME)")
    parser.add_argument("--set", nargs="+", action="extend", default=[], metavar="FIELD=VALUE", help="fields you know")
    add_device_argument(parser)
    parser.add_argument("--go", action="store_true", help="run the command")


def hours(text: str) -> float:
    """A number above 0."""
    try:
        value = float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of hours") from None
    if not 0 < value < 10_000:
        raise argparse.ArgumentTypeError(f"{text} hours are no time: give a number above 0")
    return value


def run(args: argparse.Namespace) -> int:
    from pantile.cli.lean_imports import import_torchmetrics
    from pantile.data import open_dataset
    from pantile.data.facts import facts_of, shared_images

    training_set = open_dataset(args.data, args.train_split, args.skip_missing, option="--train-split")
    validation_set = open_dataset(args.data, args.val_split, args.skip_missing, option="--val-split")
    facts = facts_of(training_set)
    tell_data(facts, shared_images(training_set, validation_set), len(validation_set))
    import_torchmetrics()
    from pantile.engine.step_time import seconds_per_step
    from pantile.recipes.proposal import propose

    machine = this_machine(args.device)
    print(f"{machine.device} with {machine.memory / 2**30:.1f} GiB, {machine.cores} cores", flush=True)
    most = args.hours or (8.0 if machine.is_large else 1.5)

    def timed(config: Any) -> float:
        return seconds_per_step(config, training_set, args.device)

    made = opened(Path(args.init), None).config.recipe if args.init else None
    proposal = propose(facts, machine, most, timed, args.set, args.init, made)
    for reason in proposal.reasons:
        print(f"- {reason}")
    words = command_of(args, proposal)
    print(f"It takes about {proposal.seconds / 3600:.1f} hours:\n\n{shlex.join(words)}\n", flush=True)
    if args.go:
        from pantile.cli.main import main

        return main(words[1:])
    return 0


def command_of(args: argparse.Namespace, proposal: "Proposal") -> list[str]:
    """The words of the command."""
    words = ["pantile", "train", proposal.recipe, "--data", args.data]
    for option in ("train_split", "val_split"):
        if getattr(args, option) != option.removesuffix("_split"):
            words += [f"--{option.replace('_', '-')}", getattr(args, option)]
    words += ["--skip-missing"] if args.skip_missing else []
    words += ["--init", proposal.init] if proposal.init else []
    words += ["--device", args.device] if args.device != "auto" else []
    words += ["--out", str(args.out)] if args.out else []
    return [*words, "--set", *proposal.assignments]


def this_machine(device: str) -> "Machine":
    import os

    import torch

    from pantile.engine.devices import device_named
    from pantile.recipes.proposal import Machine

    place = device_named(device)
    if place.type == "cuda":
        memory = torch.cuda.mem_get_info(place)[0]
    else:
        memory = _available_memory()
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return Machine(place.type, memory, cores)


def _available_memory() -> int:
    """Bytes that programs may still take, where Linux says; else what the machine has."""
    import os
    import re

    listed = Path("/proc/meminfo")
    found = re.search(r"MemAvailable:\s+(\d+) kB", listed.read_text()) if listed.exists() else None
    return int(found[1]) * 1024 if found else os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def tell_data(facts: Any, shared: list[str] | None, validation_images: int) -> None:
    """What was seen, with what a person should know before a training."""
    import numpy as np

    heights, widths = zip(*facts.sizes, strict=True)
    size = f"{min(widths)}x{min(heights)}"
    size += "" if len(set(facts.sizes)) == 1 else f" to {max(widths)}x{max(heights)}"
    classes = len(facts.taxonomy)
    things = sum(c.is_thing for c in facts.taxonomy.classes)
    print(f"{facts.images} training images of {size} pixels, {validation_images} to validate on")
    print(
        f"{np.mean(facts.targets):.0f} segments an image, up to {max(facts.targets)}; {classes} classes, {things} of "
        f"things; {100 * facts.void:.1f} % void"
    )
    if facts.missing:
        print(f"no image shows {', '.join(facts.missing)}" + _seen(facts))
    if shared:
        print(
            f"warning: {len(shared)} of the validation images are training images, too (such as {shared[0]}): numbers "
            "will be too good; `pantile data split` keeps them apart"
        )


def _seen(facts: Any) -> str:
    return "" if facts.looked_at == facts.images else f" ({facts.looked_at} images looked at)"


def interrupted(args: argparse.Namespace) -> str:
    return "nothing was trained: run it again; --set augment.crop=[192,192] makes the timed steps short."
