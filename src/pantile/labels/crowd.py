"""Crowd flags on their way through a conversion: stuff loses them, and things may, where a person says so."""

import difflib
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from pantile.contracts.errors import UserError
from pantile.contracts.panoptic import PanopticMap, Segment
from pantile.contracts.taxonomy import Taxonomy
from pantile.labels.source import ImageLabels

DIAGONAL = np.ones((3, 3), dtype=int)  # pixels that touch at a corner are one piece


def chosen_classes(names: Sequence[str] | None, taxonomy: Taxonomy) -> frozenset[int]:
    """Class indices that ``--crowd-as-instances`` means.

    Args:
        names: None for no class, none at all for every thing.
        taxonomy: of the source.

    Raises:
        UserError: a name that is no class, or is stuff.
    """
    if names is None:
        return frozenset()
    for name in names:
        if name not in taxonomy.names:
            close = difflib.get_close_matches(name, taxonomy.names, n=1)
            hint = f"did you mean {close[0]!r}?" if close else f"choose from {', '.join(taxonomy.names[:20])}."
            raise UserError(f"--crowd-as-instances: {name!r} is not a class of the source; {hint}")
        if taxonomy.names.index(name) in taxonomy.stuff_indices:
            raise UserError(f"--crowd-as-instances: {name!r} is stuff, which has no instances: leave it out.")
    return frozenset(map(taxonomy.names.index, names)) if names else frozenset(taxonomy.thing_indices)


def settle_crowd(
    labels: ImageLabels, taxonomy: Taxonomy, as_instances: frozenset[int]
) -> tuple[ImageLabels, Counter, Counter]:
    """Labels whose stuff is never crowd, nor the classes of ``as_instances``.

    An annotation becomes one instance. Where a format only leaves things without a number (``labels.pooled_crowd``),
    each connected piece of the region becomes one.

    Returns:
        The labels, and per class index the crowd flags of stuff that were dropped and the instances that were made.
    """
    flags, made = Counter(), Counter()
    shapes = []
    for shape in labels.shapes:
        k = shape.class_index
        if shape.is_crowd and k is not None and _settles(k, taxonomy, as_instances, flags, made):
            shape = replace(shape, is_crowd=False)
        shapes.append(shape)
    base = labels.base
    if base is not None and any(segment.is_crowd for segment in base.segments):
        base = _settle_map(base, taxonomy, as_instances, labels.pooled_crowd, flags, made)
    return replace(labels, shapes=tuple(shapes), base=base), flags, made


def _settles(k: int, taxonomy: Taxonomy, as_instances: frozenset[int], flags: Counter, made: Counter) -> bool:
    """Whether crowd of a class loses its flag, which is counted."""
    is_stuff = not taxonomy.classes[k].is_thing
    if is_stuff or k in as_instances:
        (flags if is_stuff else made)[k] += 1
        return True
    return False


def _settle_map(
    base: PanopticMap, taxonomy: Taxonomy, as_instances: frozenset[int], pooled: bool, flags: Counter, made: Counter
) -> PanopticMap:
    from scipy import ndimage  # here, because it takes longer to import than most verbs to run

    ids, segments = base.ids.copy(), []
    next_id = max(segment.id for segment in base.segments) + 1
    for segment in base.segments:
        k = segment.class_index
        if not segment.is_crowd or not _settles(k, taxonomy, as_instances, flags, made):
            segments.append(segment)
            continue
        segments.append(Segment(segment.id, k))
        if pooled and k in as_instances:
            pieces, number = ndimage.label(base.ids == segment.id, structure=DIAGONAL)
            ids = np.where(pieces > 1, next_id + pieces - 2, ids)
            segments += [Segment(next_id + n, k) for n in range(number - 1)]
            made[k] += number - 1
            next_id += number - 1
    return PanopticMap(ids.astype(np.int32), tuple(segments))
