"""Which classes a foreign checkpoint has: its own labels, or the data set with so many classes."""

import re
import warnings
from collections.abc import Sequence

from pantile.contracts.errors import UserError
from pantile.contracts.taxonomy import Taxonomy, plain_taxonomy
from pantile.data.classes import ade20k, ade20k_full, cityscapes, coco, coco_lvis, coco_stuff, mapillary, pascal_context

_PANOPTIC = (coco.TAXONOMY, ade20k.TAXONOMY, cityscapes.TAXONOMY, mapillary.TAXONOMY)


def _things_of(taxonomy: Taxonomy) -> Taxonomy:
    return Taxonomy(tuple(info for info in taxonomy.classes if info.is_thing))


_SEMANTIC = (
    *(pascal_context.TAXONOMY_59, pascal_context.TAXONOMY_60),
    *(coco_stuff.TAXONOMY, ade20k_full.TAXONOMY, coco_lvis.TAXONOMY),
)
#: class count -> classes: of the panoptic and the semantic task, and the things of the instance task.
KNOWN: dict[int, Taxonomy] = {
    len(taxonomy): taxonomy
    for taxonomy in (*(own for panoptic in _PANOPTIC for own in (panoptic, _things_of(panoptic))), *_SEMANTIC)
}
PLACEHOLDER = re.compile(r"LABEL_\d+")


def name_classes(count: int, labels: Sequence[str] | None, source: str) -> Taxonomy:
    """The classes of a checkpoint.

    A list of ``KNOWN`` is taken where its length fits and no labels, placeholders, or at least half of its names are
    given: labels differ in spelling between projects, and only the data set's own say what is a thing. Otherwise the
    labels are the names, a class that no list knows is a thing, and a warning says so.

    Args:
        count: K.
        labels: K names in the order of the classes, or None.
        source: the file's name for the warning.
    """
    if labels is not None and all(PLACEHOLDER.fullmatch(label) for label in labels):
        labels = None
    known = KNOWN.get(count)
    if known is not None and (labels is None or _agree(known.names, labels)):
        return known
    if labels is None:
        warnings.warn(
            f"{source}: its {count} classes have no names; they are called class 0 to class {count - 1} and taken for "
            "things. Give --categories to name them.",
            stacklevel=2,
        )
        names = [f"class {k}" for k in range(count)]
        return plain_taxonomy(names, things=names)
    names = _unique([label.strip() for label in labels])
    is_thing = {_plain(info.name): info.is_thing for taxonomy in _PANOPTIC for info in taxonomy.classes}
    unknown = [label for label in labels if _plain(label) not in is_thing]
    if unknown:
        warnings.warn(
            f"{source}: whether {', '.join(unknown[:5])}{' ...' if unknown[5:] else ''} are things or stuff is not in "
            "the file; they are taken for things. Give --categories to say it.",
            stacklevel=2,
        )
    things = [name for name, label in zip(names, labels, strict=True) if is_thing.get(_plain(label), True)]
    return plain_taxonomy(names, things)


def named_classes(count: int, labels: Sequence[str] | None, given: Taxonomy | None, source: str) -> Taxonomy:
    """``given``, if there are so many classes; else those of ``name_classes``.

    Raises:
        UserError: another number is given.
    """
    if given is None:
        return name_classes(count, labels, source)
    if len(given) != count:
        raise UserError(
            f"It has {count} classes, the categories are {len(given)}; give the categories of its data set."
        )
    return given


def _agree(names: Sequence[str], labels: Sequence[str]) -> bool:
    same = sum(_plain(name) == _plain(label) for name, label in zip(names, labels, strict=True))
    return 2 * same >= len(names)


def _plain(name: str) -> str:
    """The first synonym, in small letters and without what COCO appends to merged classes."""
    first = re.split(r"[,;]", name)[0].strip().lower()
    return re.sub(r"(-other)?(-merged|-stuff)?$", "", first)


def _unique(names: Sequence[str]) -> list[str]:
    seen: dict[str, int] = {}
    unique = []
    for name in names:
        seen[name] = seen.get(name, 0) + 1
        unique.append(name if seen[name] == 1 else f"{name} ({seen[name]})")
    return unique
