"""Loading weights into a model of other classes or another number of queries.

Heads are matched by class name, query embeddings are cut or extended, learned positions are resized, everything else is
matched by tensor name.
``check_share`` refuses files of which next to nothing fits: such a training would start from random numbers.
"""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from rich.table import Table
from torch import Tensor, nn

from pantile.contracts.errors import UserError
from pantile.contracts.taxonomy import Taxonomy
from pantile.layers.position_table import resize_positions

_RowNames = list[str | None] | None

#: The share of a model's numbers that a file has to fill. Weights of the same network fill 0.93 or more even where no
#: class has the name of another (``panoptic_fcn_nano`` from 133 to 150 classes; 0.999 of ``mask2former_r50_coco``).
#: Another architecture or size fills next to nothing, and a backbone alone 0.78 of Panoptic-DeepLab with a ResNet-50,
#: 0.53 of Mask2Former: who means that says so.
MIN_SHARE = 0.9


@dataclass
class TransferReport:
    """What became of each tensor and class."""

    loaded: list[str] = field(default_factory=list)
    adapted: list[str] = field(default_factory=list)  # class heads whose rows were matched by class name
    resized: list[str] = field(default_factory=list)  # query embeddings, cut or extended; positions of another grid
    new: list[str] = field(default_factory=list)  # in the model, not in the file, or of another shape
    dropped: list[str] = field(default_factory=list)  # in the file, not in the model
    kept_classes: list[str] = field(default_factory=list)
    new_classes: list[str] = field(default_factory=list)
    dropped_classes: list[str] = field(default_factory=list)
    queries: tuple[int, int] | None = None  # (in the file, in the model) where they differ
    misfits: list[str] = field(default_factory=list)  # of the stem, with both shapes
    filled: int = 0  # numbers of the model that come from the file
    numbers: int = 0  # all numbers of the model: parameters, and statistics of batch norms

    @property
    def share(self) -> float:
        """``filled`` of ``numbers``, 0..1."""
        return self.filled / self.numbers if self.numbers else 1.0

    def table(self) -> Table:
        table = Table(title=f"Initial weights: {100 * self.share:.1f} % of the model")
        for column in ("", "count", "which"):
            table.add_column(column, overflow="fold")
        for name in ("loaded", "adapted", "resized", "new", "dropped"):
            tensors = getattr(self, name)
            groups = Counter(".".join(t.split(".")[:2]) for t in tensors)
            table.add_row(f"tensors {name}", str(len(tensors)), ", ".join(f"{g} ({n})" for g, n in groups.items()))
        for name in ("kept", "new", "dropped"):
            classes = getattr(self, f"{name}_classes")
            table.add_row(
                f"classes {name}", str(len(classes)), ", ".join(classes[:20]) + (" ..." if classes[20:] else "")
            )
        if self.queries is not None:
            given, own = self.queries
            rest = f"the other {own - given} are new" if own > given else f"the last {given - own} are dropped"
            table.add_row("queries", f"{given} -> {own}", f"the first {min(given, own)} are kept, {rest}")
        return table


def transfer(model: nn.Module, taxonomy: Taxonomy, state: dict[str, Tensor], source: Taxonomy) -> TransferReport:
    """Copies what fits from ``state`` into ``model``.

    Rows of a class head are copied for the classes that both taxonomies name; other rows keep the model's
    initialisation. A class head is a tensor of ``model.class_heads()``: its first dimension is the classes, with or
    without one more row for no-object or void at the end, or what ``model.class_rows(is_thing)`` says. Of query
    embeddings (``model.query_embeddings()``, where the model has queries) of another number, the first entries are
    copied and further ones keep the model's initialisation. Tables of learned positions
    (``model.position_tables()``) of another grid of patches are resized.

    Args:
        model: or a technique.
        state: tensors by the model's names.
        source: the classes that ``state`` was trained on.
    """
    report = TransferReport()
    report.kept_classes = [name for name in taxonomy.names if name in source.names]
    report.new_classes = [name for name in taxonomy.names if name not in source.names]
    report.dropped_classes = [name for name in source.names if name not in taxonomy.names]
    heads = model.class_heads()
    stem = model.stem() if hasattr(model, "stem") else set()
    tables = model.position_tables() if hasattr(model, "position_tables") else {}
    queries: dict[str, int] = model.query_embeddings() if hasattr(model, "query_embeddings") else {}
    same_classes = taxonomy.names == source.names and (
        not hasattr(model, "class_rows") or taxonomy.fingerprint == source.fingerprint
    )
    own = model.state_dict()
    for name, tensor in own.items():
        given = state.get(name)
        report.numbers += tensor.numel()
        if given is None:
            report.new.append(name)
        elif name in heads and not same_classes:
            rows, given_rows = _row_names(model, name, tensor, taxonomy), _row_names(model, name, given, source)
            copied = _copy_rows(tensor, given, rows, given_rows)
            report.adapted.append(name) if copied else report.new.append(name)
            report.filled += copied
        elif given.shape == tensor.shape:
            tensor.copy_(given)
            report.loaded.append(name)
            report.filled += tensor.numel()
        elif name in queries and (copied := _copy_first(tensor, given, queries[name])):
            report.resized.append(name)
            report.filled += copied
            report.queries = (given.shape[queries[name]], tensor.shape[queries[name]])
        elif name in tables and (table := _on_grid(given, tensor, tables[name])) is not None:
            tensor.copy_(table)
            report.resized.append(name)
            report.filled += tensor.numel()
        else:
            report.new.append(name)
            if name in stem and _but_bands(given) != _but_bands(tensor):
                report.misfits.append(f"{name} is {tuple(given.shape)} there and {tuple(tensor.shape)} here")
    report.dropped = [name for name in state if name not in own]
    return report


def transfer_techniques(
    techniques: Mapping[str, nn.Module], taxonomy: Taxonomy, state: dict[str, Tensor], source: Taxonomy
) -> dict[str, TransferReport]:
    """``transfer`` for each technique of which ``state`` holds any weights.

    Args:
        techniques: by name.
        state: tensors by "NAME.tensor", of the techniques of another run.
    """
    reports = {}
    for name, technique in techniques.items():
        given = {key.removeprefix(f"{name}."): value for key, value in state.items() if key.startswith(f"{name}.")}
        if given:
            reports[name] = transfer(technique, taxonomy, given, source)
    return reports


def check_share(report: TransferReport, least: float, source: str) -> None:
    """
    Args:
        report: what became of the model's tensors.
        least: 0..1, the share that must come from the file; 0 takes anything.
        source: the file, for the message.

    Raises:
        UserError: less does, or the file is of another patch size or the like.
    """
    if report.misfits and least > 0:
        raise UserError(
            f"{source} is of another network: {'; '.join(report.misfits)}. Set the fields of model as it was trained "
            "with (patch size, registers), or say --init-min-share 0 to start from the rest."
        )
    if report.share < least:
        raise UserError(
            f"{source} fills {100 * report.share:.1f} % of the model (of its {_tensors(report)} tensors "
            f"{len(report.new)} are missing or of another shape), less than {100 * least:g} %: name weights of this "
            f"architecture and size, or say --init-min-share {_rounded_down(report.share)} to start from them anyway."
        )


def _tensors(report: TransferReport) -> int:
    return sum(map(len, (report.loaded, report.adapted, report.resized, report.new)))


def _rounded_down(share: float) -> str:
    return f"{int(100 * share) / 100:g}"


def _copy_first(tensor: Tensor, given: Tensor, dim: int) -> int:
    """Copies as many entries along ``dim`` as both have; none where they differ along another dimension.

    Returns:
        How many numbers were copied.
    """
    if _without(tensor.shape, dim) != _without(given.shape, dim):
        return 0
    count = min(tensor.shape[dim], given.shape[dim])
    tensor.narrow(dim, 0, count).copy_(given.narrow(dim, 0, count))
    return count * (tensor.numel() // tensor.shape[dim])


def _on_grid(given: Tensor, wanted: Tensor, grid: tuple[int, int]) -> Tensor | None:
    """A table of positions for another grid; None where it has other channels, or patches that are no square and no
    multiple of the wanted grid."""
    others = wanted.shape[-2] - math.prod(grid)
    scale = math.sqrt(max(given.shape[-2] - others, 0) / math.prod(grid))
    square = math.isqrt(max(given.shape[-2] - others, 0))
    candidates = [(round(scale * grid[0]), round(scale * grid[1])), (square, square)]
    source = next((c for c in candidates if math.prod(c) == given.shape[-2] - others > 0), None)
    if source is None or given.ndim != 3 or given.shape[-1] != wanted.shape[-1]:
        return None
    return resize_positions(given, source, grid, "bicubic")


def _but_bands(tensor: Tensor) -> tuple[int, ...]:
    """The shape, of a kernel (out, bands, height, width) without its bands."""
    return _without(tensor.shape, 1) if tensor.ndim == 4 else tuple(tensor.shape)


def _without(shape: Sequence[int], dim: int) -> tuple[int, ...]:
    return (*shape[:dim], *shape[dim + 1 :])


def _row_names(model: nn.Module, name: str, tensor: Tensor, taxonomy: Taxonomy) -> _RowNames:
    """The class of each row of a head, None for no-object, void or all things; or None where it has other rows."""
    if hasattr(model, "class_rows"):
        rows = model.class_rows([c.is_thing for c in taxonomy.classes]).get(name, ())
        names = [taxonomy.names[k] if k >= 0 else None for k in rows]
    else:
        names = [*taxonomy.names, None][: len(tensor)]
    return names if len(names) == len(tensor) else None


def _copy_rows(tensor: Tensor, given: Tensor, rows: _RowNames, given_rows: _RowNames) -> int:
    """Copies the rows that both name.

    Returns:
        How many numbers were copied; 0 where no row is that of a class.
    """
    if tensor.shape[1:] != given.shape[1:] or rows is None or given_rows is None:
        return 0
    pairs = [(row, given_rows.index(name)) for row, name in enumerate(rows) if name in given_rows]
    for row, given_row in pairs:
        tensor[row].copy_(given[given_row])
    classes = any(rows[row] is not None for row, _ in pairs)
    return len(pairs) * (tensor.numel() // len(tensor)) if classes else 0
