"""What a pixel classifier says of each pixel: the class, how sure it is, and the probability of single classes.

The latter, in the order of ranks, is Figure 1c of RankSeg (arXiv 2203.04187).
"""

import matplotlib
import numpy as np

from pantile.contracts.taxonomy import Taxonomy
from pantile.visualize.panels import fit_pixels, grid, resize

PANEL_HEIGHT = 320
MOST_SHOWN = 10  # single classes
_COLUMNS = 5
_SMALL_HEIGHT = 180


def class_figure(image: np.ndarray, shares: np.ndarray, classes: np.ndarray, taxonomy: Taxonomy) -> np.ndarray:
    """The image, its classes and the probability of them, side by side.

    Args:
        image: (H, W, 3) uint8.
        shares: (k, h, w) 0..1, probabilities of the classes that compete.
        classes: (k,) class index of each.
        taxonomy: colours.

    Returns:
        (H', W', 3) uint8.
    """
    photo = resize(image, PANEL_HEIGHT)
    colors = np.array([c.color for c in taxonomy.classes], dtype=np.uint8)
    panels = [colors[classes[shares.argmax(axis=0)]], _heat(shares.max(axis=0))]
    return grid([[photo, *(fit_pixels(panel, photo.shape) for panel in panels)]], ["image", "classes", "confidence"])


def ranked_figure(
    image: np.ndarray, shares: np.ndarray, classes: np.ndarray, taxonomy: Taxonomy, presence: np.ndarray | None = None
) -> np.ndarray:
    """The first classes one by one: where they are likely, each under its rank, its name and its largest probability.

    Args:
        image: (H, W, 3) uint8; gives the pictures their shape.
        shares: (k, h, w) 0..1, in the order in which they are shown.
        classes: (k,) class index of each.
        taxonomy: names.
        presence: (K,) 0..1, how likely the image shows each class; None where nothing says so.

    Returns:
        (H', W', 3) uint8.
    """
    shape = resize(image, _SMALL_HEIGHT).shape
    shown = [rank for rank, class_index in enumerate(classes.tolist()) if class_index >= 0][:MOST_SHOWN]
    pictures = [fit_pixels(_heat(shares[rank]), shape) for rank in shown]
    rows = [pictures[start : start + _COLUMNS] for start in range(0, len(pictures), _COLUMNS)]
    titles = [_title(rank, classes[rank], shares[rank], taxonomy, presence) for rank in shown]
    row_titles = [" · ".join(titles[start : start + _COLUMNS]) for start in range(0, len(titles), _COLUMNS)]
    return grid(rows, row_titles=row_titles)


def _title(rank: int, class_index: int, share: np.ndarray, taxonomy: Taxonomy, presence: np.ndarray | None) -> str:
    there = "" if presence is None else f", there {100 * presence[class_index]:.0f} %"
    return f"{rank + 1} {taxonomy.names[class_index]} (up to {100 * share.max():.0f} %{there})"


def _heat(values: np.ndarray) -> np.ndarray:
    """(h, w) 0..1 to (h, w, 3) uint8."""
    return (matplotlib.colormaps["inferno"](values.clip(0, 1))[..., :3] * 255).round().astype(np.uint8)
