"""Taxonomies of labels that say a class per pixel and separate no things."""

from collections.abc import Sequence

from pantile.contracts.taxonomy import ClassInfo, Taxonomy, default_color


def listed(text: str) -> tuple[str, ...]:
    """Entries of a long list, separated by ``|``; lines mean nothing."""
    return tuple(entry.strip() for entry in text.split("|"))


def semantic_taxonomy(names: Sequence[str], ids: Sequence[int]) -> Taxonomy:
    """Every class is stuff: one region of an image is all that such a label says of it.

    Args:
        names: unique, in the order of the class indices.
        ids: of the data set, one for each.
    """
    rows = zip(names, ids, strict=True)
    return Taxonomy(tuple(ClassInfo(name, False, own, default_color(k)) for k, (name, own) in enumerate(rows)))
