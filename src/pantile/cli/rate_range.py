"""``pantile train ... --lr-range``: a range test of the learning rate in place of a run."""

import argparse
import csv
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pantile.cli.numbers import at_least_one

if TYPE_CHECKING:
    from pantile.engine.learning_rate_range import RateRange

TABLE, FIGURE = "learning_rates.csv", "learning_rates.png"


def add_rate_range_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--lr-range",
        nargs="?",
        const=(1e-6, 1.0),
        type=rate_range,
        metavar="LOW:HIGH",
        help="in place of a run, try learning rates from LOW to HIGH for a few steps, draw the losses into --out and "
        "suggest one (default: 1e-6:1)",
    )
    parser.add_argument(
        "--lr-range-steps",
        type=at_least_one,
        metavar="N",
        help="steps that --lr-range takes at most (default: 100)",
    )


def rate_range(text: str) -> tuple[float, float]:
    """``LOW:HIGH`` of an option."""
    try:
        low, high = (float(part) for part in text.split(":"))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not LOW:HIGH, for example 1e-6:1") from None
    return low, high


def run_rate_range(args: argparse.Namespace, config: Any, training_set: Any, init: Any, out: Path) -> None:
    """Tries the rates, writes a table and a picture and prints what they say."""
    from pantile.engine.learning_rate_range import try_rates

    low, high = args.lr_range
    steps = args.lr_range_steps or 100
    found = try_rates(config, training_set, low, high, steps, init, args.device)
    out.mkdir(parents=True, exist_ok=True)
    write_range(found, out)
    told = f"{len(found.rates)} steps, from {low:g} to {found.rates[-1]:.3g}; the loss was lowest at {found.lowest:.2g}"
    if found.suggestion is None:
        print(f"{told}, the lowest rate of all: no rate made it fall; try more steps or --init.")
    else:
        print(f"{told}. A tenth of that: --set optimizer.learning_rate={found.suggestion:.1e}")
    for name in (TABLE, FIGURE):
        print(out / name)


def write_range(found: "RateRange", out: Path) -> None:
    """``TABLE`` and ``FIGURE``, atomic."""
    from pantile.contracts.atomic import replacing
    from pantile.visualize.rate_range import rate_range_figure

    with replacing(out / TABLE) as temporary, temporary.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["learning_rate", "loss", "smoothed"])
        writer.writerows(zip(found.rates.tolist(), found.losses.tolist(), found.smoothed.tolist(), strict=True))
    with replacing(out / FIGURE) as temporary:
        temporary.write_bytes(rate_range_figure(found.rates, found.losses, found.smoothed, found.suggestion))
