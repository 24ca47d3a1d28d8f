"""``pantile bench grid --space fast|strong``: the model search of SWideRNet's paper, on this device."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from pantile.cli.numbers import at_least_one
from pantile.cli.output_arguments import output_folder
from pantile.contracts.percent import percent

if TYPE_CHECKING:
    from pantile.engine.config import RunConfig
    from pantile.engine.grid_search import Row


def add_arguments(parser: argparse.ArgumentParser) -> None:
    from pantile.cli.checkpoint_argument import add_weights_option
    from pantile.cli.models import size

    verbs = parser.add_subparsers(dest="action", metavar="grid", required=True)
    grid = verbs.add_parser("grid", help="cost, latency and memory of every candidate, and PQ where there is one")
    grid.add_argument("--space", required=True, help="fast (45 candidates) or strong (21)")
    grid.add_argument("--out", type=output_folder, help="receives grid.csv and grid.png (default: runs/grid_SPACE)")
    grid.add_argument("--size", type=size, default=(641, 641), help="input HxW (default: 641x641)")
    grid.add_argument("--repeats", type=at_least_one, default=5, help="timed forward passes of each (default: 5)")
    grid.add_argument("--memory-limit", type=float, help="GiB a model may take (default: 0.8 of the device)")
    grid.add_argument("--data", help="a data set for PQ, or `scenes`; needs --steps or --checkpoints")
    grid.add_argument("--split", default="val", help="where PQ is measured (default: val)")
    grid.add_argument("--steps", type=at_least_one, help="train each candidate so many steps")
    grid.add_argument("--checkpoints", type=Path, help="a folder with a run per candidate, named as in `grid.csv`")
    add_weights_option(grid, of="of the runs")
    grid.add_argument("--limit", type=at_least_one, help="measure PQ on the first N images only")
    grid.add_argument("--set", nargs="+", action="extend", default=[], metavar="FIELD=VALUE", help="for the trainings")


def run(args: argparse.Namespace) -> int:
    from pantile.cli.lean_imports import import_torchmetrics

    import_torchmetrics()
    import torch
    from rich.console import Console
    from rich.progress import Progress

    from pantile.contracts.errors import UserError
    from pantile.engine.grid_search import TABLE, GridSettings, search_grid
    from pantile.engine.run_record import describe_hardware
    from pantile.recipes.swidernet_grid import grid_candidates

    if args.data is None and (args.steps or args.checkpoints):
        raise UserError("--steps and --checkpoints give PQ, which needs --data.")
    if args.data is not None and not (args.steps or args.checkpoints):
        raise UserError("--data is for PQ, which needs --steps (to train each candidate) or --checkpoints.")
    candidates = grid_candidates(args.space)
    out = args.out or output_folder(f"runs/grid_{args.space}")
    settings = GridSettings(
        space=args.space,
        size=args.size,
        num_classes=133,
        repeats=args.repeats,
        memory_limit=args.memory_limit or round(0.8 * device_memory(), 1),
        device=describe_hardware(),
        threads=torch.get_num_threads(),
    )
    quality = _Quality(args, out) if args.data is not None else lambda name, config: None
    with Progress(console=Console(stderr=True), transient=True) as progress:
        bar = progress.add_task("measuring", total=len(candidates))
        rows = search_grid(candidates, settings, out, quality, lambda row: progress.advance(bar))
    print_rows(rows)
    print(draw_rows(rows, settings.space, out), out / TABLE, sep="\n")
    return 0


def interrupted(args: argparse.Namespace) -> str:
    return "run the same command again: it goes on after the last row of grid.csv."


class _Quality:
    """PQ of a candidate: of its run in ``--checkpoints``, or after training it."""

    def __init__(self, args: argparse.Namespace, out: Path) -> None:
        self.args, self.out = args, out

    def __call__(self, name: str, config: "RunConfig") -> float | None:
        from dataclasses import replace

        from pantile.cli.checkpoint_argument import opened
        from pantile.data import open_dataset
        from pantile.data.bands import for_data, reading_for
        from pantile.engine.checkpoint import LAST
        from pantile.engine.config import override
        from pantile.engine.evaluate import evaluate
        from pantile.engine.train import train

        args = self.args
        validation_set = open_dataset(args.data, args.split, option="--split")
        folder = (args.checkpoints or self.out) / name
        if args.checkpoints is None:
            config = override(config, [f"training.steps={args.steps}", *args.set])
            training_set = open_dataset(args.data, "train")
            config = replace(config, model=for_data(config.model, training_set), images=reading_for(training_set))
            train(config, training_set, validation_set, folder, resume=(folder / LAST).exists())
        elif not folder.exists():
            return None
        return evaluate(
            opened(folder, args.weights), validation_set, args.limit, tasks=frozenset({"panoptic"})
        ).quality.all.pq


def print_rows(rows: "list[Row]") -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table()
    for column in ("", "parameters", "multiply-adds", "latency", "memory", "PQ"):
        table.add_column(column, justify="right" if column else "left", no_wrap=not column)
    for row in rows:
        table.add_row(
            row.name,
            f"{row.parameters / 1e6:.2f} M",
            f"{row.multiply_adds / 1e9:.1f} G",
            row.status if row.latency_ms is None else f"{row.latency_ms:.0f} ms",
            "-" if row.memory_mib is None else f"{row.memory_mib:.0f} MiB",
            percent(row.pq),
        )
    Console().print(table)


def draw_rows(rows: "list[Row]", space: str, out: Path) -> Path:
    """PQ over latency where there is any PQ, else multiply-adds over latency."""
    from pantile.visualize.pareto import draw_scatter

    fitting = [row for row in rows if row.latency_ms is not None]
    rated = [row for row in fitting if row.pq is not None]
    shown = rated or fitting
    label = "PQ (%)" if rated else "multiply-adds (G)"
    gains = [100 * row.pq if rated else row.multiply_adds / 1e9 for row in shown]
    path = out / "grid.png"
    title = f"SWideRNet-(w1, w2, l), {space} space"
    names = [row.name.removeprefix("swidernet_").replace("_", ", ") for row in shown]
    latencies = [row.latency_ms for row in shown]
    draw_scatter(path, names, latencies, gains, "latency (ms)", label, title, front=bool(rated))
    return path


def device_memory() -> float:
    """GiB of the GPU, or of this machine where there is none."""
    import os

    import torch

    if torch.cuda.is_available():
        return torch.cuda.get_device_properties(0).total_memory / 2**30
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGESIZE") / 2**30
