"""What the formats of annotation tools share: their classes, which are only names, and shapes from points."""

from collections.abc import Collection, Iterable, Sequence
from pathlib import Path

from pantile.contracts.taxonomy import Taxonomy
from pantile.labels.reading.class_list import classes_of, named_classes, read_classes
from pantile.labels.reading.outlines import EDGES
from pantile.labels.reading.rasterise import TOO_FEW_POINTS, area, polygons_to_mask, why_empty
from pantile.labels.source import Dropped, LeftOut, Note, ReadOptions, Shape

NOT_LISTED = "class not in the list of classes"


def tool_taxonomy(
    names: Iterable[str], src: Path, options: ReadOptions, void: Collection[str] = ()
) -> tuple[Taxonomy, tuple[Note, ...]]:
    """Classes of ``--classes``, else all labels that occur, by name. They are things unless told otherwise.

    Args:
        names: that occur.
        src: for messages.
        options: see ``ReadOptions``.
        void: names that the tool keeps for void, which are no classes.

    Raises:
        UserError: no class, or a name on the command line that does not exist.
    """
    rows = read_classes(options.classes) if options.classes else named_classes(sorted(set(names)), str(src))
    kept = [row for row in rows if row.data.get("name") not in void]
    if len(kept) < len(rows) and not options.classes:
        kept = named_classes([row.data["name"] for row in kept], str(src))
    taxonomy, notes = classes_of(kept, options.classes or src, options.things, options.stuff)
    if len(kept) < len(rows):
        told = " and ".join(sorted({str(row.data["name"]) for row in rows} & set(void)))
        notes = (*notes, LeftOut("classes", len(rows) - len(kept), f"Taken as void, as the tool means it: {told}."))
    return taxonomy, notes


def polygon_shape(
    points: Sequence[tuple[float, float]],
    size: tuple[int, int],
    label: str,
    taxonomy: Taxonomy,
    where: str,
    group: int | str | None = None,
    void: Collection[str] = (),
    outline: str | None = None,
) -> Shape | Dropped:
    """A shape, or why there is none.

    Args:
        points: in pixels.
        size: of the image.
        label: name of the class.
        where: file and annotation; its last part names the shape in messages.
        group: see ``Shape``.
        void: labels that the tool keeps for void.
        outline: one of ``outlines.OUTLINES``; None for edges.

    Raises:
        UserError: a point absurdly far away.
    """
    if label not in taxonomy.names and label not in void:
        return Dropped(label, NOT_LISTED, where)
    if len(points) < 3:
        return Dropped(label, TOO_FEW_POINTS if points else "empty polygon", where)
    mask = polygons_to_mask([points], size, where, outline or EDGES)
    return mask_shape(mask, label, taxonomy, where, why_empty([points], size), group, void)


def mask_shape(
    mask: dict,
    label: str,
    taxonomy: Taxonomy,
    where: str,
    reason: str,
    group: int | str | None = None,
    void: Collection[str] = (),
) -> Shape | Dropped:
    """A shape from run lengths; ``reason`` is reported where they cover no pixel."""
    if label not in taxonomy.names and label not in void:
        return Dropped(label, NOT_LISTED, where)
    if not area(mask):
        return Dropped(label, reason, where)
    what = where.rpartition(": ")[2]
    if label in void:
        return Shape(mask, None, what)
    return Shape(mask, taxonomy.names.index(label), what, group=group)


def sort_out(found: Iterable[Shape | Dropped]) -> tuple[tuple[Shape, ...], tuple[Dropped, ...]]:
    """Shapes and dropped annotations apart, in order."""
    found = list(found)
    return (
        tuple(one for one in found if isinstance(one, Shape)),
        tuple(one for one in found if isinstance(one, Dropped)),
    )
