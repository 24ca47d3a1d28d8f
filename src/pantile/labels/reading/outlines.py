"""What a polygon is the outline of: along the edges of an object's pixels, or through the centres of the outermost.

Tools that draw give edges; those that follow a mask, as OpenCV's ``findContours`` does, give centres, by column and
row. Read as edges such an object lacks half a pixel on every side: a square of 10x10 has 81.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import median

from pantile.contracts.json_fields import Fields, is_number

EDGES, CENTRES = "edges", "centres"
OUTLINES = (CENTRES, EDGES)
NEAR = 0.25  # of the way from one meaning to the other
ENOUGH = 0.8  # share of the areas that agree


@dataclass(frozen=True)
class Outline:
    """
    Attributes:
        kind: one of ``OUTLINES``.
        reason: for the report.
    """

    kind: str
    reason: str


def outline_of(annotations: Iterable[Fields], said: str | None, where: str) -> Outline:
    """What the outlines of a file are, by the areas that it states.

    By Pick's theorem an outline of area A through the centres of B pixels belongs to an object of A + B / 2 + 1 pixels.

    Args:
        annotations: of COCO's form; those of one polygon and an ``area`` count.
        said: ``--outline``.
        where: the file, for the reason.
    """
    if said is not None:
        return Outline(said, f"Outlines of {where} are taken {_along(said)}, as --outline says.")
    votes = [vote for annotation in annotations if (vote := _vote(annotation)) is not None]
    for kind, meant in ((EDGES, 0.0), (CENTRES, 1.0)):
        near = sum(abs(vote - meant) <= NEAR for vote in votes)
        if votes and near >= ENOUGH * len(votes):
            told = f"{near:,} of {len(votes):,} areas in it"
            return Outline(kind, f"Outlines of {where} run {_along(kind)}, as {told} say.")
    why = f"its areas fit neither meaning (median {median(votes):.2f} of the way)" if votes else "it has no areas"
    text = f"Outlines of {where} are taken {_along(EDGES)}: {why}. If they are not, say --outline {CENTRES}."
    return Outline(EDGES, text)


def _along(kind: str) -> str:
    return "along the edges of pixels" if kind == EDGES else "through the centres of pixels"


def _vote(annotation: Fields) -> float | None:
    """0 for an area within edges, 1 for one through centres; None where there is no polygon or no area."""
    stated, segmentation = annotation.data.get("area"), annotation.data.get("segmentation")
    if not is_number(stated) or stated <= 0 or not isinstance(segmentation, list) or len(segmentation) != 1:
        return None
    flat = segmentation[0]
    if not isinstance(flat, list) or len(flat) < 6 or len(flat) % 2 or not all(map(is_number, flat)):
        return None
    points = list(zip(flat[::2], flat[1::2], strict=True))
    pairs = list(zip(points, [*points[1:], points[0]], strict=True))
    inside = abs(sum(x * v - u * y for (x, y), (u, v) in pairs)) / 2
    border = sum(max(abs(u - x), abs(v - y)) for (x, y), (u, v) in pairs)
    return (stated - inside) / (border / 2 + 1)


def pixels_on(points: Sequence[tuple[float, float]]) -> list[tuple[int, int]]:
    """(column, row) of the pixels whose centres an outline passes, straight on from each point to the next."""
    passed: dict[tuple[int, int], None] = {}
    for (x, y), (u, v) in zip(points, [*points[1:], points[0]], strict=True):
        steps = max(1, math.ceil(max(abs(u - x), abs(v - y))))
        for k in range(steps + 1):
            share = k / steps
            passed[math.floor(x + (u - x) * share + 0.5), math.floor(y + (v - y) * share + 0.5)] = None
    return list(passed)
