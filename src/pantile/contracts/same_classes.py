"""Two lists of classes: whether they are the same, and which class of the one is which of the other."""

from dataclasses import replace

from pantile.contracts.errors import UserError
from pantile.contracts.panoptic import PanopticMap
from pantile.contracts.taxonomy import Taxonomy

_NAMED = 5  # classes that a message names


def match_classes(found: Taxonomy, wanted: Taxonomy, found_in: str, wanted_by: str, remedy: str) -> tuple[int, ...]:
    """The class index in ``wanted`` of each class of ``found``, by name.

    Order, category ids and colours may differ; names and which of them are things may not.

    Args:
        found: the classes of some data.
        wanted: those that it is used with.
        found_in, wanted_by: whose they are, for the message.
        remedy: what to do about it, for the message.

    Raises:
        UserError: a class that only one of them has, or a thing of the one that is stuff in the other.
    """
    told = difference(found, wanted, found_in, wanted_by)
    if told:
        raise UserError(
            f"The {len(found)} classes of {found_in} are not the {len(wanted)} of {wanted_by} ({told}); {remedy}."
        )
    position_of = {name: k for k, name in enumerate(wanted.names)}
    return tuple(position_of[name] for name in found.names)


def difference(one: Taxonomy, other: Taxonomy, one_is: str, other_is: str) -> str:
    """What makes two lists of classes different, in words; empty where order, ids and colours are all that does."""
    missing = [name for name in one.names if name not in other.names]
    surplus = [name for name in other.names if name not in one.names]
    things = {info.name: info.is_thing for info in other.classes}
    flags = [info for info in one.classes if things.get(info.name, info.is_thing) != info.is_thing]
    told = [f"{whose} lacks {_some(names)}" for whose, names in ((other_is, missing), (one_is, surplus)) if names]
    for kind, rest, infos in (
        ("thing", "stuff", [info.name for info in flags if info.is_thing]),
        ("stuff", "thing", [info.name for info in flags if not info.is_thing]),
    ):
        if infos:
            told.append(f"{_some(infos)} is {kind} in {one_is} and {rest} in {other_is}")
    return "; ".join(told)


def renumber(panoptic: PanopticMap, order: tuple[int, ...]) -> PanopticMap:
    """A map whose segments have the class indices of another list, as ``match_classes`` gives them."""
    return PanopticMap(
        panoptic.ids, tuple(replace(segment, class_index=order[segment.class_index]) for segment in panoptic.segments)
    )


def _some(names: list[str]) -> str:
    return ", ".join(names[:_NAMED]) + (f" and {len(names) - _NAMED} more" if names[_NAMED:] else "")
