"""Loading weights into a model of other classes: heads are matched by class name, everything else by tensor name."""

from collections import Counter
from dataclasses import dataclass, field

from rich.table import Table
from torch import Tensor, nn

from pantile.contracts.taxonomy import Taxonomy


@dataclass
class TransferReport:
    """What became of each tensor and class."""

    loaded: list[str] = field(default_factory=list)
    adapted: list[str] = field(default_factory=list)  # class heads whose rows were matched by class name
    new: list[str] = field(default_factory=list)  # in the model, not in the file, or of another shape
    dropped: list[str] = field(default_factory=list)  # in the file, not in the model
    kept_classes: list[str] = field(default_factory=list)
    new_classes: list[str] = field(default_factory=list)
    dropped_classes: list[str] = field(default_factory=list)

    def table(self) -> Table:
        table = Table(title="Initial weights")
        for column in ("", "count", "which"):
            table.add_column(column, overflow="fold")
        for name in ("loaded", "adapted", "new", "dropped"):
            tensors = getattr(self, name)
            groups = Counter(".".join(t.split(".")[:2]) for t in tensors)
            table.add_row(f"tensors {name}", str(len(tensors)), ", ".join(f"{g} ({n})" for g, n in groups.items()))
        for name in ("kept", "new", "dropped"):
            classes = getattr(self, f"{name}_classes")
            table.add_row(
                f"classes {name}", str(len(classes)), ", ".join(classes[:20]) + (" ..." if classes[20:] else "")
            )
        return table


def transfer(model: nn.Module, taxonomy: Taxonomy, state: dict[str, Tensor], source: Taxonomy) -> TransferReport:
    """Copies what fits from ``state`` into ``model``.

    Rows of a class head (``model.class_heads()``: tensors whose first dimension is the classes, with or without one
    more row for no-object or void at the end) are copied for the classes that both taxonomies name; other rows keep
    the model's initialisation.

    Args:
        state: tensors by the model's names.
        source: the classes that ``state`` was trained on.
    """
    report = TransferReport()
    report.kept_classes = [name for name in taxonomy.names if name in source.names]
    report.new_classes = [name for name in taxonomy.names if name not in source.names]
    report.dropped_classes = [name for name in source.names if name not in taxonomy.names]
    heads = model.class_heads()
    same_classes = taxonomy.names == source.names
    own = model.state_dict()
    for name, tensor in own.items():
        given = state.get(name)
        if given is None:
            report.new.append(name)
        elif name in heads and not same_classes:
            report.adapted.append(name) if _copy_rows(tensor, given, taxonomy, source) else report.new.append(name)
        elif given.shape == tensor.shape:
            tensor.copy_(given)
            report.loaded.append(name)
        else:
            report.new.append(name)
    report.dropped = [name for name in state if name not in own]
    return report


def _copy_rows(tensor: Tensor, given: Tensor, taxonomy: Taxonomy, source: Taxonomy) -> bool:
    """Copies the rows of shared classes, and the last row where both have one beyond the classes."""
    extra, given_extra = len(tensor) - len(taxonomy), len(given) - len(source)
    if tensor.shape[1:] != given.shape[1:] or extra not in (0, 1) or given_extra not in (0, 1):
        return False
    position = {name: row for row, name in enumerate(source.names)}
    pairs = [(row, position[name]) for row, name in enumerate(taxonomy.names) if name in position]
    if extra and given_extra:
        pairs.append((len(taxonomy), len(source)))
    for row, given_row in pairs:
        tensor[row].copy_(given[given_row])
    return bool(pairs)
