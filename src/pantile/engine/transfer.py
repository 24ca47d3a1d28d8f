"""Loading weights into a model of other classes or another number of queries.

Heads are matched by class name, query embeddings are cut or extended, everything else is matched by tensor name.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from rich.table import Table
from torch import Tensor, nn

from pantile.contracts.taxonomy import Taxonomy

_RowNames = list[str | None] | None


@dataclass
class TransferReport:
    """What became of each tensor and class."""

    loaded: list[str] = field(default_factory=list)
    adapted: list[str] = field(default_factory=list)  # class heads whose rows were matched by class name
    resized: list[str] = field(default_factory=list)  # query embeddings, cut or extended
    new: list[str] = field(default_factory=list)  # in the model, not in the file, or of another shape
    dropped: list[str] = field(default_factory=list)  # in the file, not in the model
    kept_classes: list[str] = field(default_factory=list)
    new_classes: list[str] = field(default_factory=list)
    dropped_classes: list[str] = field(default_factory=list)
    queries: tuple[int, int] | None = None  # (in the file, in the model) where they differ

    def table(self) -> Table:
        table = Table(title="Initial weights")
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
    copied and further ones keep the model's initialisation.

    Args:
        state: tensors by the model's names.
        source: the classes that ``state`` was trained on.
    """
    report = TransferReport()
    report.kept_classes = [name for name in taxonomy.names if name in source.names]
    report.new_classes = [name for name in taxonomy.names if name not in source.names]
    report.dropped_classes = [name for name in source.names if name not in taxonomy.names]
    heads = model.class_heads()
    queries: dict[str, int] = model.query_embeddings() if hasattr(model, "query_embeddings") else {}
    same_classes = taxonomy.names == source.names and (
        not hasattr(model, "class_rows") or taxonomy.fingerprint == source.fingerprint
    )
    own = model.state_dict()
    for name, tensor in own.items():
        given = state.get(name)
        if given is None:
            report.new.append(name)
        elif name in heads and not same_classes:
            rows, given_rows = _row_names(model, name, tensor, taxonomy), _row_names(model, name, given, source)
            report.adapted.append(name) if _copy_rows(tensor, given, rows, given_rows) else report.new.append(name)
        elif given.shape == tensor.shape:
            tensor.copy_(given)
            report.loaded.append(name)
        elif name in queries and _copy_first(tensor, given, queries[name]):
            report.resized.append(name)
            report.queries = (given.shape[queries[name]], tensor.shape[queries[name]])
        else:
            report.new.append(name)
    report.dropped = [name for name in state if name not in own]
    return report


def _copy_first(tensor: Tensor, given: Tensor, dim: int) -> bool:
    """Copies as many entries along ``dim`` as both have; not where they differ along another dimension."""
    if _without(tensor.shape, dim) != _without(given.shape, dim):
        return False
    count = min(tensor.shape[dim], given.shape[dim])
    tensor.narrow(dim, 0, count).copy_(given.narrow(dim, 0, count))
    return True


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


def _copy_rows(tensor: Tensor, given: Tensor, rows: _RowNames, given_rows: _RowNames) -> bool:
    """Copies the rows that both name."""
    if tensor.shape[1:] != given.shape[1:] or rows is None or given_rows is None:
        return False
    pairs = [(row, given_rows.index(name)) for row, name in enumerate(rows) if name in given_rows]
    for row, given_row in pairs:
        tensor[row].copy_(given[given_row])
    return any(rows[row] is not None for row, _ in pairs)
