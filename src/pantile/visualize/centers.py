"""What a bottom-up model says of each pixel: class, closeness of a centre, direction to it."""

import matplotlib
import numpy as np

from pantile.contracts.taxonomy import Taxonomy
from pantile.visualize.panels import fit_pixels, grid, resize

PANEL_HEIGHT = 320


def center_figure(
    image: np.ndarray, semantic: np.ndarray, heatmap: np.ndarray, offset: np.ndarray, taxonomy: Taxonomy
) -> np.ndarray:
    """The image, its classes, its centre heat map and its offsets, side by side.

    Args:
        image: (H, W, 3) uint8.
        semantic: (h, w) class index per pixel.
        heatmap: (h, w) centre heat, 1 and above is the brightest.
        offset: (2, h, w) (dy, dx) to the centre; shown on thing classes only, as it means nothing elsewhere.
        taxonomy: colours, and which classes are things.

    Returns:
        (H', W', 3) uint8.
    """
    photo = resize(image, PANEL_HEIGHT)
    colors = np.array([c.color for c in taxonomy.classes], dtype=np.uint8)
    things = taxonomy.is_thing().numpy()[semantic]
    panels = [
        colors[semantic],
        (matplotlib.colormaps["inferno"](heatmap.clip(0, 1))[..., :3] * 255).round().astype(np.uint8),
        direction_colors(offset, things),
    ]
    titles = ["image", "classes", "centres", "offsets"]
    return grid([[photo, *(fit_pixels(panel, photo.shape) for panel in panels)]], titles)


def direction_colors(offset: np.ndarray, shown: np.ndarray) -> np.ndarray:
    """Hue from the direction of (2, h, w) offsets (dy, dx), saturation from their length; grey where not ``shown``.

    Full saturation is at the 95th percentile of the lengths, so that one wild vector does not pale the rest.

    Returns:
        (h, w, 3) uint8.
    """
    dy, dx = offset
    length = np.hypot(dy, dx)
    longest = np.percentile(length[shown], 95) if shown.any() else 0.0
    saturation = (length / longest).clip(0, 1) if longest > 0 else np.zeros_like(length)
    hue = (np.arctan2(dy, dx) / (2 * np.pi)) % 1.0
    rgb = matplotlib.colors.hsv_to_rgb(np.stack([hue, saturation, np.full_like(hue, 0.95)], axis=-1))
    return np.where(shown[..., None], (rgb * 255).round(), 225).astype(np.uint8)
