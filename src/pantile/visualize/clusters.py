"""What the queries of a mask transformer gather, layer by layer (CMT-DeepLab, supplement, Figures 2 to 5).

The softmax over queries turns mask logits into the probability that a pixel belongs to each query: an assignment of
pixels to clusters. Shown from the first layer to the last, it tells how a model comes to its segments.
"""

import colorsys
from collections.abc import Sequence

import matplotlib
import numpy as np

from pantile.contracts.errors import UserError
from pantile.contracts.taxonomy import Taxonomy
from pantile.visualize.panels import fit_pixels, grid, resize

PANEL_HEIGHT = 240
MOST_LAYERS = 6  # more columns than this are too small to read; layers in between are skipped


def choose_queries(
    mask_logits: np.ndarray,
    class_logits: np.ndarray | None = None,
    taxonomy: Taxonomy | None = None,
    count: int = 4,
) -> list[int]:
    """The queries worth looking at: those that own the most pixels, things before stuff.

    Args:
        mask_logits: (N, h, w) of the final output; a pixel belongs to the query with the largest.
        class_logits: (N, K+1), the last column no-object; queries whose largest is no-object are left out.
            Without it every query that owns a pixel counts, and things are not preferred.
        taxonomy: says which classes are things; needed with ``class_logits``.
        count: at most this many.

    Returns:
        Query numbers; possibly none.
    """
    owned = np.bincount(mask_logits.argmax(axis=0).ravel(), minlength=len(mask_logits))
    candidates = np.flatnonzero(owned)
    stuff = np.zeros(len(mask_logits), dtype=bool)
    if class_logits is not None and taxonomy is not None:
        best = class_logits.argmax(axis=1)
        candidates = candidates[best[candidates] < len(taxonomy)]
        stuff = np.isin(best, taxonomy.stuff_indices)
    order = np.lexsort((-owned[candidates], stuff[candidates]))
    return candidates[order][:count].tolist()


def heat_map(mask_logits: np.ndarray, query: int) -> np.ndarray:
    """(N, h, w) logits to (h, w) uint8: the query's assignment probability, its range stretched to 0..255.

    No square root or other smoothing is applied, as in the supplement. A query without contrast gives zeros.
    """
    probability = _softmax(mask_logits)[query]
    low, high = probability.min(), probability.max()
    if high <= low:
        return np.zeros(probability.shape, dtype=np.uint8)
    return ((probability - low) / (high - low) * 255).round().astype(np.uint8)


def cluster_figure(
    image: np.ndarray, layers: Sequence[np.ndarray], queries: Sequence[int], names: Sequence[str] = ()
) -> np.ndarray:
    """A row per query: the image, then the query's heat map in every layer.

    Args:
        image: (H, W, 3) uint8.
        layers: mask logits (N, h, w), the first layer first, the final output last; they cover exactly the image, so
            cut padding off before. Sizes may differ between layers.
        queries: the rows, from ``choose_queries``.
        names: a title per row, such as the predicted class; "query 7" is put before it.

    Returns:
        (H', W', 3) uint8.

    Raises:
        UserError: no layer or no query is given.
    """
    if not len(queries):
        raise UserError("cluster_figure: there is no query to draw; give the numbers of one or more queries.")
    layers, titles = _spread(layers)
    colors = matplotlib.colormaps["inferno"](np.arange(256))[:, :3]
    colors = (colors * 255).round().astype(np.uint8)
    photo = resize(image, PANEL_HEIGHT)
    rows = [[photo] + [fit_pixels(colors[heat_map(logits, q)], photo.shape) for logits in layers] for q in queries]
    row_titles = [f"query {q}" + (f": {names[i]}" if names else "") for i, q in enumerate(queries)]
    return grid(rows, ["image", *titles], row_titles)


def assignment_figure(image: np.ndarray, layers: Sequence[np.ndarray]) -> np.ndarray:
    """The image, then for every layer which query owns each pixel, one colour per query.

    Args:
        image: (H, W, 3) uint8.
        layers: as for ``cluster_figure``.

    Returns:
        (H', W', 3) uint8.
    """
    layers, titles = _spread(layers)
    photo = resize(image, PANEL_HEIGHT)
    colors = query_colors(max(len(logits) for logits in layers))
    maps = [fit_pixels(colors[logits.argmax(axis=0)], photo.shape) for logits in layers]
    return grid([[photo, *maps]], ["image", *titles])


def query_colors(count: int) -> np.ndarray:
    """(count, 3) uint8; a query keeps its colour whatever the count. Hues by the golden angle, three brightnesses."""
    hsv = [((q * 0.618033988749895) % 1.0, (0.45, 0.68)[q % 2], (0.93, 0.74, 0.55)[q % 3]) for q in range(count)]
    rgb = np.array([colorsys.hsv_to_rgb(*color) for color in hsv])
    return (rgb * 255).round().astype(np.uint8)


def _softmax(mask_logits: np.ndarray) -> np.ndarray:
    """Over the queries, axis 0, in float32."""
    logits = np.asarray(mask_logits, dtype=np.float32)
    weights = np.exp(logits - logits.max(axis=0, keepdims=True))
    return weights / weights.sum(axis=0, keepdims=True)


def _spread(layers: Sequence[np.ndarray]) -> tuple[list[np.ndarray], list[str]]:
    """At most ``MOST_LAYERS`` of them, evenly spread, first and last included; and their titles."""
    if not len(layers):
        raise UserError("There is no layer output to draw: ask the model for its layers.")
    last = len(layers) - 1
    chosen = np.unique(np.linspace(0, last, min(len(layers), MOST_LAYERS)).round().astype(int))
    return [layers[i] for i in chosen], ["final" if i == last else f"layer {i}" for i in chosen]
