"""The nearest centre of each vote: the grouping of Panoptic-DeepLab (arXiv 1911.10194).

The nearest of C centres is not looked for among C distances. The points for which one centre is nearest form a convex
region, so a square whose four corners agree lies in it as a whole; corners are labelled once, on a lattice, and only
votes in squares whose corners disagree, near a border of two regions, are compared with every centre.
"""

from typing import NamedTuple

import numpy as np

from pantile.merge.center_config import CenterMergeConfig

_SPACING = 8  # pixels between corners of the lattice
_DISTANCES_AT_A_TIME = 2**19  # 4 MiB of float64
_VOTES_AT_A_TIME = 2**17


class Centers(NamedTuple):
    """Attributes:
    y, x: (C,) int64 pixel positions, in row-major order.
    heat: (C,) float64.
    """

    y: np.ndarray
    x: np.ndarray
    heat: np.ndarray

    def __len__(self) -> int:
        return self.y.size


def best_centers(flat: np.ndarray, heat: np.ndarray, width: int, config: CenterMergeConfig) -> Centers:
    """The peaks of a heat map, the best ``max_centers`` of them.

    Args:
        flat: (P,) int64 flat index of each peak, ascending.
        heat: (P,) there.
        width: of the map.
    """
    if flat.size > config.max_centers:
        lowest = np.partition(heat, -config.max_centers)[-config.max_centers]
        flat, heat = flat[heat > lowest], heat[heat > lowest]
    return centers_at(flat, heat, width)


def centers_at(flat: np.ndarray, heat: np.ndarray, width: int) -> Centers:
    y, x = np.divmod(flat, width)
    return Centers(y, x, heat.astype(np.float64))


def nearest_centers(vote_y: np.ndarray, vote_x: np.ndarray, centers: Centers, size: tuple[int, int]) -> np.ndarray:
    """The nearest centre of each vote, the first of equally near ones.

    Args:
        vote_y, vote_x: (P,) float64 positions in pixels, inside the image or not.
        centers: at least one.
        size: (H, W) of the image.

    Returns:
        (P,) int64, 0..C-1.
    """
    of_square = _lattice(centers, size)
    rows, columns = of_square.shape
    owner = np.empty(vote_y.size, np.int64)
    for start in range(0, vote_y.size, _VOTES_AT_A_TIME):
        part = slice(start, start + _VOTES_AT_A_TIME)
        y, x = vote_y[part] / _SPACING, vote_x[part] / _SPACING
        inside = (y >= 0) & (y < rows) & (x >= 0) & (x < columns)
        square = np.where(inside, y, 0).astype(np.int64) * columns + np.where(inside, x, 0).astype(np.int64)
        found = np.where(inside, of_square.reshape(-1)[square], -1)
        open_votes = np.flatnonzero(found < 0)
        found[open_votes] = _nearest_of_all(vote_y[part][open_votes], vote_x[part][open_votes], centers)
        owner[part] = found
    return owner


def _lattice(centers: Centers, size: tuple[int, int]) -> np.ndarray:
    """(rows, columns) int64: the centre that is nearest for a whole square of the lattice, or -1 where several are."""
    rows, columns = (-(-extent // _SPACING) for extent in size)
    squared_y, squared_x = (
        (_SPACING * np.arange(corners + 1)[:, None] - position.astype(np.float64)) ** 2
        for corners, position in ((rows, centers.y), (columns, centers.x))
    )
    corner = np.empty((rows + 1, columns + 1), np.int64)
    step = max(1, _DISTANCES_AT_A_TIME // squared_x.size)
    for top in range(0, rows + 1, step):
        corner[top : top + step] = (squared_y[top : top + step, None] + squared_x).argmin(axis=2)
    first = corner[:-1, :-1]
    agree = (first == corner[:-1, 1:]) & (first == corner[1:, :-1]) & (first == corner[1:, 1:])
    return np.where(agree, first, -1)


def _nearest_of_all(vote_y: np.ndarray, vote_x: np.ndarray, centers: Centers) -> np.ndarray:
    """Brute force: |centre|^2 - 2 vote.centre orders centres as the distance does; float64 keeps it exact enough."""
    weights = np.stack([-2.0 * centers.y, -2.0 * centers.x, centers.y**2.0 + centers.x**2.0])
    nearest = np.empty(vote_y.size, np.int64)
    step = max(1, _DISTANCES_AT_A_TIME // len(centers))
    for start in range(0, vote_y.size, step):
        part = slice(start, start + step)
        votes = np.stack([vote_y[part], vote_x[part], np.ones_like(vote_y[part])], axis=1)
        nearest[part] = (votes @ weights).argmin(axis=1)
    return nearest
