"""What the formats of annotation tools share: their classes, which are only names, and shapes from points."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from pantile.contracts.taxonomy import Taxonomy
from pantile.labels.reading.class_list import classes_of, named_classes, read_classes
from pantile.labels.reading.rasterise import TOO_FEW_POINTS, area, polygons_to_mask, why_empty
from pantile.labels.source import Dropped, ReadOptions, Shape

NOT_LISTED = "class not in the list of classes"


def tool_taxonomy(names: Iterable[str], src: Path, options: ReadOptions) -> tuple[Taxonomy, tuple[str, ...]]:
    """Classes of ``--classes``, else all labels that occur, by name. They are things unless told otherwise.

    Raises:
        UserError: no class, or a name on the command line that does not exist.
    """
    rows = read_classes(options.classes) if options.classes else named_classes(sorted(set(names)), str(src))
    return classes_of(rows, options.classes or src, options.things, options.stuff)


def polygon_shape(
    points: Sequence[tuple[float, float]],
    size: tuple[int, int],
    label: str,
    taxonomy: Taxonomy,
    where: str,
    group: int | str | None = None,
) -> Shape | Dropped:
    """A shape, or why there is none.

    Args:
        points: in pixels.
        size: of the image.
        label: name of the class.
        where: file and annotation; its last part names the shape in messages.
        group: see ``Shape``.

    Raises:
        UserError: a point absurdly far away.
    """
    if label not in taxonomy.names:
        return Dropped(label, NOT_LISTED, where)
    if len(points) < 3:
        return Dropped(label, TOO_FEW_POINTS if points else "empty polygon", where)
    mask = polygons_to_mask([points], size, where)
    return mask_shape(mask, label, taxonomy, where, why_empty([points], size), group)


def mask_shape(
    mask: dict, label: str, taxonomy: Taxonomy, where: str, reason: str, group: int | str | None = None
) -> Shape | Dropped:
    """A shape from run lengths; ``reason`` is reported where they cover no pixel."""
    if label not in taxonomy.names:
        return Dropped(label, NOT_LISTED, where)
    if not area(mask):
        return Dropped(label, reason, where)
    return Shape(mask, taxonomy.names.index(label), where.rpartition(": ")[2], group=group)


def sort_out(found: Iterable[Shape | Dropped]) -> tuple[tuple[Shape, ...], tuple[Dropped, ...]]:
    """Shapes and dropped annotations apart, in order."""
    found = list(found)
    return (
        tuple(one for one in found if isinstance(one, Shape)),
        tuple(one for one in found if isinstance(one, Dropped)),
    )
