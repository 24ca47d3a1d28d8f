"""``pantile data check DIR [--fix OUT]``: what is wrong with the labels of a folder, and a repaired copy."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from pantile.cli.output_arguments import output_file, output_folder

if TYPE_CHECKING:
    from rich.console import Console

    from pantile.labels.checks.check import CheckResult
    from pantile.labels.checks.repair import Repaired


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("data", type=Path, metavar="DIR", help="folder of a labelled data set; it is only read")
    parser.add_argument("--split", nargs="+", default=[], metavar="NAME", help="which splits (default: all)")
    parser.add_argument("--fix", type=output_folder, metavar="OUT", help="write a repaired copy to this new folder")
    parser.add_argument("--json", type=output_file, metavar="FILE", help="also write the findings to this file")
    parser.add_argument("--workers", type=int, metavar="N", help="processes (default: one per core)")
    parser.add_argument("--no-cache", action="store_true", help="check every file anew, and remember nothing")


def run(args: argparse.Namespace) -> int:
    from rich.console import Console

    from pantile.cli.eval import write_json
    from pantile.contracts.errors import UserError
    from pantile.labels.checks.cache import default_cache
    from pantile.labels.checks.check import CheckOptions, check
    from pantile.labels.checks.repair import refuse_place, repair
    from pantile.score import usable_cores

    if args.workers is not None and args.workers < 1:
        raise UserError(f"--workers is {args.workers}: give a whole number from 1.")
    if args.fix:
        refuse_place(args.fix, args.data)
    cache = None if args.no_cache else default_cache()
    options = CheckOptions(tuple(args.split), args.workers or usable_cores(), cache, progress=True)
    result = check(args.data, options)
    for finding in result.findings:
        print(finding)
    console = Console()
    _print_summary(result, console)
    if args.json:
        write_json(result.to_dict(), args.json)
    if args.fix:
        _print_repaired(repair(result, args.fix, progress=True), result, args.fix)
        return 1 if result.unmended else 0
    return 1 if result.errors else 0


def interrupted(args: argparse.Namespace) -> str:
    if args.no_cache:
        return "nothing was written: run it again."
    return "run it again: images that were checked are remembered and not read again."


def _print_summary(result: "CheckResult", console: "Console") -> None:
    from rich.table import Table
    from rich.text import Text

    from pantile.labels.checks.findings import KINDS

    if result.counts:
        table = Table("finding", "severity", "--fix")
        table.add_column("times", justify="right")
        for kind, times in sorted(result.counts.items(), key=lambda item: (KINDS[item[0]].severity, item[0])):
            table.add_row(kind, KINDS[kind].severity, KINDS[kind].repair, f"{times:,}")
        console.print(table)
    table = Table("split")
    for name in ("images", "segments", "void"):
        table.add_column(name, justify="right")
    for split, own in result.totals().items():
        void = f"{own['void_pixels'] / own['pixels']:.1%}" if own["pixels"] else "-"
        table.add_row(Text(split), f"{own['images']:,}", f"{own['segments']:,}", void)
    console.print(table)
    notes = len(result.findings) - result.errors
    print(f"{result.errors} errors, {notes} notes" if result.findings else "nothing wrong")


def _print_repaired(done: "Repaired", result: "CheckResult", out: Path) -> None:
    from pantile.labels.checks.findings import KINDS

    for file, kind in done.left_out:
        print(f"left out: {file}: {kind}")
    entries = sum(KINDS[finding.kind].repair in ("entry left out", "one kept") for finding in result.others)
    if entries:
        print(f"left out: {entries} entries of the JSON, see above")
    if result.unmended:
        print(f"not mended: {result.unmended} errors")
    print(f"{sum(done.images.values())} images written to {out}")
