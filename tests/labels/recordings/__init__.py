"""Files that annotation tools' own packages wrote, and what those packages paint from them; see README.md."""

from pathlib import Path

import numpy as np

from pantile.data import CocoPanoptic

RECORDINGS = Path(__file__).parent


def masks_by_class(dst: Path, index: int, split: str = "train") -> dict[str, list[np.ndarray]]:
    """The (H, W) bool masks of an image of a COCO-panoptic folder, by class, in the order of the ids."""
    data = CocoPanoptic(dst, split)
    panoptic = data.load(index)[1]
    found: dict[str, list[np.ndarray]] = {}
    for segment in panoptic.segments:
        found.setdefault(data.taxonomy.names[segment.class_index], []).append(panoptic.ids == segment.id)
    return found
