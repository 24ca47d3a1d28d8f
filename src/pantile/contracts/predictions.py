"""What is predicted for one image, for the tasks that share a merge."""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from pantile.contracts.panoptic import PanopticMap

Task = Literal["panoptic", "instance", "semantic", "presence"]


@dataclass(frozen=True)
class Instance:
    """One predicted thing. Instances of an image may overlap.

    Attributes:
        class_index: of a thing class of the taxonomy.
        score: confidence; orders the predictions for average precision.
        mask: COCO run-length encoding, ``{"size": [H, W], "counts": bytes}``.
    """

    class_index: int
    score: float
    mask: dict


@dataclass(frozen=True)
class Prediction:
    """Everything that a model says about one image of H x W pixels.

    Attributes:
        panoptic: every pixel in at most one segment.
        instances: for average precision; None where it was not asked for.
        semantic: (H, W) int32 class index per pixel, -1 for none; None where it was not asked for.
        presence_logits: (K,) float32 for a sigmoid, whether the image shows a class; None where the model says nothing
            of it; the largest of any tile where the prediction was joined from tiles.
        selected_classes: (k,) int64, the classes that could win a pixel, of any tile; None for all.
        per_class: a segment is all pixels of its class, of things too: the model does not tell them apart.
        queries: (S,) int64, the query of each segment of ``panoptic``, in their order; of stuff that was merged from
            several, the best. None where segments are not those of queries, or where the prediction was joined from
            tiles.
    """

    panoptic: PanopticMap
    instances: tuple[Instance, ...] | None = None
    semantic: np.ndarray | None = None
    presence_logits: np.ndarray | None = None
    selected_classes: np.ndarray | None = None
    per_class: bool = False
    queries: np.ndarray | None = None
