"""One polygon for an object, along the edges of its pixels, which COCO's rasterisation fills with just these pixels."""

from collections import defaultdict

import numpy as np

Loop = list[tuple[int, int]]


def edge_outline(mask: np.ndarray) -> Loop:
    """A closed outline of all parts and holes of a mask.

    Parts and holes hang together by lines that go there and back on the same way, as formats of one outline an object
    have them (YOLO's own tools join parts so). Such a line encloses nothing.

    Args:
        mask: (H, W) bool with at least one pixel.

    Returns:
        Corners (x, y), counted from the outer corner of the top left pixel; without the first one again at the end.
    """
    first, *others = edge_loops(mask)
    start = first[0]
    outline = list(first)
    for loop in others:
        outline += [start, *loop, loop[0]]
    return outline


def edge_loops(mask: np.ndarray) -> list[Loop]:
    """The borders of a mask, (H, W) bool, each as corners (x, y); inside lies to the right of the way."""
    padded = np.pad(mask, 1)
    inner = padded[1:-1, 1:-1]
    following: dict[tuple[int, int], list[tuple[int, int]]] = defaultdict(list)
    for neighbours, start, end in (
        (padded[:-2, 1:-1], (0, 0), (1, 0)),  # the upper edge, to the right
        (padded[1:-1, 2:], (1, 0), (1, 1)),  # the right edge, down
        (padded[2:, 1:-1], (1, 1), (0, 1)),  # the lower edge, to the left
        (padded[1:-1, :-2], (0, 1), (0, 0)),  # the left edge, up
    ):
        rows, columns = np.nonzero(inner & ~neighbours)
        for x, y in zip(columns.tolist(), rows.tolist(), strict=True):
            following[x + start[0], y + start[1]].append((x + end[0], y + end[1]))
    loops = []
    while following:
        start = next(iter(following))
        loops.append(_corners(_walk(following, start)))
    return loops


def _walk(following: dict[tuple[int, int], list[tuple[int, int]]], start: tuple[int, int]) -> Loop:
    """One border, edge by edge; its edges are taken away."""
    loop, place = [start], start
    while True:
        ends = following[place]
        after = ends.pop()
        if not ends:
            del following[place]
        if after == start:
            return loop
        loop.append(after)
        place = after


def _corners(loop: Loop) -> Loop:
    """Without the points between two edges of one direction."""
    points = np.array(loop)
    before, after = points - np.roll(points, 1, axis=0), np.roll(points, -1, axis=0) - points
    return [tuple(point) for point in points[(before != after).any(axis=1)].tolist()]
