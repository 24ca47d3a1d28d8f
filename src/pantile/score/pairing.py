"""Which prediction belongs to which image: by ``image_id``, by file name, and what to do where the two disagree."""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from pantile.contracts.errors import UserError
from pantile.contracts.file_names import SharedNames
from pantile.score.sources import MapSource

PairBy = Literal["auto", "id", "name"]
PAIR_BY: tuple[PairBy, ...] = get_args(PairBy)

_REMEDY = "take ids and names from the ground truth, or choose what counts by --pair-by id or --pair-by name"

Pairs = dict[int, int]  # position in the ground truth -> position in the predictions


@dataclass(frozen=True)
class Pairing:
    """
    Attributes:
        pairs: position of an image of the ground truth -> position of its prediction.
        by: "image_id" or "file_name".
        note: a sentence about what a person would not expect; empty if there is nothing.
    """

    pairs: Pairs
    by: str
    note: str = ""


def pair_images(gt: MapSource, pred: MapSource, by: PairBy = "auto") -> Pairing:
    """Pairs two sources.

    Two JSON files are paired by ``image_id`` where file names do not contradict it, everything else by file name. Names
    are those of the PNGs and, where ``images`` lists them, of the photos (see ``SharedNames``). A number and the same
    number as a text are one id.

    Args:
        by: "id" looks at no name, "name" at no id; "auto" does as said.

    Raises:
        UserError: ids and names contradict each other, and names do not pair all images of one of the two sources;
            several images share a name where names decide; nothing can be paired at all.
    """
    have_ids = gt.image_ids is not None and pred.image_ids is not None
    if by == "id" and not have_ids:
        raise UserError("--pair-by id needs two JSON files: label PNGs have no image_id, so leave it out.")
    by_id = _same_ids(gt.image_ids, pred.image_ids) if have_ids and by != "name" else {}
    if by == "id":
        return Pairing(by_id, "image_id")
    names = [SharedNames(one, other) for one in _kinds_of_names(gt) for other in _kinds_of_names(pred)]
    if not by_id and not any(kind.pairs or kind.repeated for kind in names) and len(gt.names) and len(pred.names):
        shared = "neither an image_id nor a file name" if have_ids and by != "name" else "no file name"
        raise UserError(
            f"Predictions and ground truth share {shared} (the first are {pred.names[0]} and {gt.names[0]}): "
            "name the predictions of these images, or give them the ids or names of the ground truth."
        )
    if by == "name" or not have_ids:
        return Pairing(_by_name(names), "file_name")
    confirmed = [any(kind.same(*pair) for kind in names) for pair in by_id.items()]
    if all(confirmed) and all(kind.pairs.items() <= by_id.items() for kind in names):
        return Pairing(by_id, "image_id")
    if not any(kind.pairs or kind.repeated for kind in names) and not any(confirmed):
        return Pairing(by_id, "image_id", _unconfirmed(gt, pred, by_id))
    return _where_ids_mislead(gt, pred, by_id, names)


def _kinds_of_names(source: MapSource) -> list[Sequence[str]]:
    return [names for names in (source.image_names, source.names) if names is not None]


def _same_ids(gt: Sequence[Hashable], pred: Sequence[Hashable]) -> Pairs:
    plain = [[_plain(image_id) for image_id in ids] for ids in (gt, pred)]
    if any(len(set(ids)) < len(ids) for ids in plain):  # a file that means two images by "7" and "07"
        plain = [list(gt), list(pred)]
    position_of = {image_id: position for position, image_id in enumerate(plain[1])}
    return {k: position_of[image_id] for k, image_id in enumerate(plain[0]) if image_id in position_of}


def _plain(image_id: Hashable) -> Hashable:
    return int(image_id) if isinstance(image_id, str) and image_id.isascii() and image_id.isdecimal() else image_id


def _by_name(kinds: Sequence[SharedNames]) -> Pairs:
    """The pairs of all kinds of names together.

    Raises:
        UserError: a name of several images, or photos and PNGs that pair differently.
    """
    repeated = next((kind.repeated for kind in kinds if kind.repeated), None)
    if repeated:
        raise UserError(f"Several images share the file name {repeated!r}, so it pairs none of them: rename them.")
    pairs = {pair for kind in kinds for pair in kind.pairs.items()}
    if len(dict(pairs)) < len(pairs) or len({position for _, position in pairs}) < len(pairs):
        raise UserError(f"The names of photos and of PNGs pair the images differently: {_REMEDY}.")
    return dict(sorted(pairs))


def _unconfirmed(gt: MapSource, pred: MapSource, by_id: Pairs) -> str:
    one, other = next(iter(by_id.items()))
    return (
        f"Images are paired by image_id alone: no file name of the predictions is one of the ground truth (such as "
        f"{pred.names[other]} and {gt.names[one]}), so nothing tells whether the ids mean the same images."
    )


def _where_ids_mislead(gt: MapSource, pred: MapSource, by_id: Pairs, kinds: Sequence[SharedNames]) -> Pairing:
    """By name, if that leaves nothing open.

    Raises:
        UserError: it does.
    """
    said = _contradiction(gt, pred, by_id, kinds)
    try:
        pairs = _by_name(kinds)
    except UserError as error:
        raise UserError(f"{said}. {error}") from None
    if len(pairs) < min(len(gt.names), len(pred.names)):
        raise UserError(
            f"{said}, and file names pair only {len(pairs)} of {len(gt.names)} images with one of {len(pred.names)} "
            f"predictions: {_REMEDY}."
        )
    return Pairing(pairs, "file_name", f"{said}: images are paired by file name (--pair-by id looks at the ids alone).")


def _contradiction(gt: MapSource, pred: MapSource, by_id: Pairs, kinds: Sequence[SharedNames]) -> str:
    for one, other in by_id.items():
        if not any(kind.same(one, other) for kind in kinds):
            return f"image_id {gt.image_ids[one]!r} is {gt.names[one]} in --gt and {pred.names[other]} in --pred"
    one, other = next(p for kind in kinds for p in kind.pairs.items() if p not in by_id.items())
    ids = f"image_id {gt.image_ids[one]!r} in --gt and {pred.image_ids[other]!r} in --pred"
    return f"{gt.names[one]} has the {ids}"
