"""Model search: what every candidate of a grid costs, how fast it is here, and how well it does.

Every candidate runs in a process of its own, so one that does not fit the memory is a row of the table and not the
end of the search. Rows are written as they come; a search that was interrupted goes on after the last of them.
"""

import csv
import json
import multiprocessing
import os
import resource
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields, replace
from multiprocessing.connection import Connection
from pathlib import Path

import torch

from pantile.contracts.atomic import replacing
from pantile.contracts.errors import UserError
from pantile.contracts.input_files import regular_file
from pantile.contracts.workers import stay_with_parent
from pantile.engine.config import RunConfig
from pantile.models import ModelConfig, create_model, fold_batch_norms
from pantile.models.cost import count_cost

TABLE, SETTINGS = "grid.csv", "settings.json"


@dataclass(frozen=True)
class GridSettings:
    """What makes rows comparable.

    Attributes:
        space: name of the grid.
        size: (H, W) of the input in pixels.
        num_classes: K of the models.
        repeats: timed forward passes after one that is not; their median counts.
        memory_limit: GiB that a candidate may take; more is "does not fit".
        device: where they run, in words.
        threads: of the CPU.
    """

    space: str
    size: tuple[int, int]
    num_classes: int
    repeats: int
    memory_limit: float
    device: str
    threads: int


@dataclass(frozen=True)
class Row:
    """One candidate. Numbers that could not be taken are None.

    Attributes:
        name: of the candidate.
        parameters: at inference.
        multiply_adds: of one image.
        status: "ok", or why there is no latency.
        latency_ms: median milliseconds of a forward pass of one image, fp32, batch norms folded.
        memory_mib: most memory that the forward passes took, weights included.
        pq: panoptic quality, 0..1.
    """

    name: str
    parameters: int
    multiply_adds: int
    status: str
    latency_ms: float | None = None
    memory_mib: float | None = None
    pq: float | None = None


def search_grid(
    candidates: Mapping[str, RunConfig],
    settings: GridSettings,
    out: Path,
    quality_of: Callable[[str, RunConfig], float | None] = lambda name, config: None,
    on_row: Callable[[Row], None] = lambda row: None,
) -> list[Row]:
    """Measures all candidates and writes ``out/grid.csv`` after each.

    Args:
        candidates: configs by name.
        settings: of the measurement; an ``out`` that was made with other settings is refused.
        quality_of: PQ (0..1) of a candidate, for example after a short training; None where there is none.
        on_row: told each row, old ones included.

    Returns:
        One row per candidate, in their order.
    """
    rows = {row.name: row for row in _resume(out, settings)}
    for name, config in candidates.items():
        if name not in rows:
            row = measure(name, config, settings)
            rows[name] = replace(row, pq=quality_of(name, config)) if row.status == "ok" else row
            _write(out, list(rows.values()))
        on_row(rows[name])
    return [rows[name] for name in candidates]


def measure(name: str, config: RunConfig, settings: GridSettings) -> Row:
    """Cost on the meta device, then latency and memory in a process of its own."""
    model_config = replace(config.model, pretrained=False)
    with torch.device("meta"):
        model = create_model(model_config, settings.num_classes)
    cost = count_cost(model, settings.size)
    row = Row(name, cost.parameters, cost.multiply_adds, "does not fit the memory")
    if 4 * cost.parameters > settings.memory_limit * 2**30:  # float32 weights alone are too large
        return row
    # torch's threads do not survive a fork, and a fresh interpreter has no memory of earlier candidates
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=_measure_in_child, args=(theirs, model_config, settings))
    process.start()
    theirs.close()
    try:
        latency, memory = ours.recv()
    except EOFError:  # killed, by the system or by its own limit
        return row
    except BaseException:
        process.kill()
        raise
    finally:
        process.join()
    if latency is None:
        return row
    return replace(row, status="ok", latency_ms=1000 * latency, memory_mib=memory)


def _measure_in_child(pipe: Connection, model_config: ModelConfig, settings: GridSettings) -> None:
    """Sends (seconds, MiB), or (None, None) for a model that is too large."""
    stay_with_parent()
    torch.set_num_threads(settings.threads)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    limit = int(settings.memory_limit * 2**30)
    resident, data = _memory_now()
    if device.type == "cuda":
        torch.cuda.set_per_process_memory_fraction(min(1.0, limit / torch.cuda.mem_get_info()[1]))
    else:
        resource.setrlimit(resource.RLIMIT_DATA, (data + limit, resource.RLIM_INFINITY))
    try:
        model = create_model(model_config, settings.num_classes).eval()
        model = fold_batch_norms(model).to(device)
        images = torch.randn(1, model_config.in_channels, *settings.size, device=device)
        with torch.inference_mode():
            latency = _median_latency(model, images, settings.repeats)
    except (MemoryError, RuntimeError) as error:
        # torch's CPU allocator has no exception of its own
        if not isinstance(error, MemoryError | torch.OutOfMemoryError) and "allocate memory" not in str(error):
            raise
        pipe.send((None, None))
        return
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 - resident
    pipe.send((latency, (torch.cuda.max_memory_allocated() if device.type == "cuda" else peak) / 2**20))


def _median_latency(model: torch.nn.Module, images: torch.Tensor, repeats: int) -> float:
    seconds = []
    for _ in range(repeats + 1):
        start = time.perf_counter()
        model(images)
        if images.is_cuda:
            torch.cuda.synchronize()
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds[1:])


def _memory_now() -> tuple[int, int]:
    """Bytes that this process holds in memory, and bytes that count against RLIMIT_DATA."""
    pages = [int(number) for number in Path("/proc/self/statm").read_text().split()]
    return pages[1] * os.sysconf("SC_PAGESIZE"), pages[5] * os.sysconf("SC_PAGESIZE")


def _resume(out: Path, settings: GridSettings) -> list[Row]:
    """Rows of an earlier search with the same settings."""
    wanted = json.loads(json.dumps(asdict(settings)))
    record = out / SETTINGS
    if record.exists():
        found = _read_settings(record)
        different = [name for name in wanted if found.get(name) != wanted[name]]
        if different:
            name = different[0]
            raise UserError(
                f"{out}: the search there was made with {name}={found.get(name)}, not {wanted[name]}; "
                "choose another --out or the same settings."
            )
    elif out.exists() and any(out.iterdir()):
        raise UserError(f"{out}: the folder exists and holds no search; choose another --out.")
    out.mkdir(parents=True, exist_ok=True)
    with replacing(record) as temporary:
        temporary.write_text(json.dumps(wanted, indent=2))
    return read_table(out / TABLE) if (out / TABLE).exists() else []


def _read_settings(record: Path) -> dict:
    try:
        found = json.loads(regular_file(record).read_text())
    except ValueError as error:
        raise UserError(f"{record}: not valid JSON ({error}); choose another --out.") from None
    if not isinstance(found, dict):
        raise UserError(f"{record}: holds no settings of a search; choose another --out.")
    return found


def read_table(path: Path) -> list[Row]:
    """Rows of a ``grid.csv``."""
    with path.open(newline="") as file:
        return [
            Row(
                name=row["name"],
                parameters=int(row["parameters"]),
                multiply_adds=int(row["multiply_adds"]),
                status=row["status"],
                **{name: float(row[name]) if row[name] else None for name in ("latency_ms", "memory_mib", "pq")},
            )
            for row in csv.DictReader(file)
        ]


def _write(out: Path, rows: list[Row]) -> None:
    with replacing(out / TABLE) as temporary, temporary.open("w", newline="") as file:
        writer = csv.DictWriter(file, [field.name for field in fields(Row)])
        writer.writeheader()
        writer.writerows(asdict(row) for row in rows)
