"""Where queries look in each layer (CMT-DeepLab, supplement, Figures 6 to 8): their cross-attention to the pixels."""

from collections.abc import Sequence

import matplotlib
import numpy as np

from pantile.visualize.clusters import PANEL_HEIGHT
from pantile.visualize.panels import fit_pixels, grid, resize


def stretched(attention: np.ndarray) -> np.ndarray:
    """(h, w) to (h, w) uint8: its range to 0..255, without any smoothing. A flat map gives zeros."""
    low, high = attention.min(), attention.max()
    if high <= low:
        return np.zeros(attention.shape, dtype=np.uint8)
    return ((attention - low) / (high - low) * 255).round().astype(np.uint8)


def attention_figure(
    image: np.ndarray, layers: Sequence[np.ndarray], queries: Sequence[int], names: Sequence[str] = ()
) -> np.ndarray:
    """A row per query: the image, then where the query looks in every layer.

    Args:
        image: (H, W, 3) uint8.
        layers: (N, h, w) attention, mean of the heads, the first layer first; cut to the image.
        queries: the rows.
        names: a title per row.

    Returns:
        (H', W', 3) uint8.
    """
    colors = (matplotlib.colormaps["inferno"](np.arange(256))[:, :3] * 255).round().astype(np.uint8)
    photo = resize(image, PANEL_HEIGHT)
    rows = [[photo] + [fit_pixels(colors[stretched(maps[q])], photo.shape) for maps in layers] for q in queries]
    titles = [f"query {q}" + (f": {names[i]}" if names else "") for i, q in enumerate(queries)]
    return grid(rows, ["image", *(f"attention {i}" for i in range(len(layers)))], titles)


def density(attention: np.ndarray, share: float = 0.9) -> float:
    """The least share of pixels that carries ``share`` of the weight: near 0 for a few peaks, ``share`` for a flat map.

    Args:
        attention: (h, w) or any shape, not negative; of one query, perhaps inside one object.
        share: 0..1.
    """
    weights = np.sort(np.asarray(attention, dtype=np.float64).ravel())[::-1].cumsum()
    if weights.size == 0 or weights[-1] <= 0:
        return 0.0
    return float((np.searchsorted(weights, share * weights[-1] * (1 - 1e-12)) + 1) / weights.size)
