"""How much a network believes in each class at each pixel, with numpy: ``merge.class_evidence``."""

from collections.abc import Callable

import numpy as np

from pantile.merge.registry import ClassEvidence
from pantile.merge.tile_layout import Window
from pantile.runtime.grids import Grid
from pantile.runtime.kinds import Maps
from pantile.runtime.tiles import softmax

Evidence = ClassEvidence


def evidence_of_masks(maps: Maps, grid: Grid, probability_of: Callable[[np.ndarray], np.ndarray]) -> Evidence:
    """Queries vote for classes with their masks' probabilities."""
    logits = maps["mask_logits"]
    class_probability = softmax(maps["class_logits"].astype(np.float32), axis=-1)[:, :-1].T  # (K, N)

    def evidence(window: Window) -> np.ndarray:
        masks = probability_of(resized(logits, grid, window))
        votes = (class_probability @ masks.reshape(len(masks), -1)).reshape(-1, *masks.shape[1:])
        return votes / np.maximum(votes.sum(axis=0), 1e-12)

    return evidence


def evidence_of_classes(
    logits: np.ndarray, grid: Grid, selection: np.ndarray | None, num_classes: int, logits_first: bool = True
) -> Evidence:
    """The softmax of class logits (k, h, w), taken at the image's size or before."""
    maps = logits if logits_first else softmax(logits.astype(np.float32), axis=0)

    def evidence(window: Window) -> np.ndarray:
        fine = resized(maps, grid, window)
        shares = softmax(fine, axis=0) if logits_first else fine
        if selection is None:
            return shares
        full = np.zeros((num_classes + 1, *shares.shape[1:]), np.float32)  # the last one is that of no class
        full[selection] = shares
        return full[:-1]

    return evidence


def resized(maps: np.ndarray, grid: Grid, window: Window) -> np.ndarray:
    """(C, h, w) to (C, r, c) float32 in a window of the grid."""
    rows, columns = grid.rows[window.top : window.bottom], grid.columns[window.left : window.right]
    (y, y_end), (x, x_end) = _span(rows), _span(columns)
    wide = maps[:, y:y_end, x:x_end].astype(np.float32) @ columns[:, x:x_end].T.astype(np.float32)
    return rows[:, y:y_end].astype(np.float32) @ wide


def _span(weights: np.ndarray) -> tuple[int, int]:
    used = np.flatnonzero((weights != 0).any(axis=0))
    return int(used[0]), int(used[-1]) + 1
