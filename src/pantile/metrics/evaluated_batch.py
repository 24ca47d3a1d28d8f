"""EvaluatedBatch: predictions beside the truth, with what several metrics ask of them computed once."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from pantile.contracts.panoptic import PanopticMap
from pantile.contracts.predictions import Instance, Prediction
from pantile.contracts.run_lengths import instances_of
from pantile.contracts.taxonomy import Taxonomy
from pantile.metrics.class_maps import semantic_of
from pantile.metrics.comparison import Comparison, compare_maps


@dataclass(frozen=True)
class EvaluatedBatch:
    """What a model does not say of instances or classes apart from its panoptic map is read off that map.

    Attributes:
        taxonomy: the classes.
        predictions: one for each image.
        truths: the ground truth of the same images, of the same sizes.
        indices: of the images in the data set.
    """

    taxonomy: Taxonomy
    predictions: Sequence[Prediction]
    truths: Sequence[PanopticMap]
    indices: Sequence[int]

    @cached_property
    def maps(self) -> list[PanopticMap]:
        """The predicted panoptic maps."""
        return [prediction.panoptic for prediction in self.predictions]

    @cached_property
    def comparisons(self) -> Sequence[Comparison]:
        """What ``compare_maps`` says of each predicted map and its truth: the segments that match."""
        return compare_maps(self.maps, self.truths)

    @cached_property
    def instances(self) -> list[Sequence[Instance]]:
        """The predicted instances of each image."""
        return [
            instances_of(p.panoptic, self.taxonomy) if p.instances is None else p.instances for p in self.predictions
        ]

    @property
    def presence_logits(self) -> list[np.ndarray | None]:
        """(K,) of each image: how sure the model is that it shows a class; None where it says nothing of it."""
        return [prediction.presence_logits for prediction in self.predictions]

    @property
    def selected_classes(self) -> list[np.ndarray | None]:
        """(k,) of each image: the classes that could win a pixel; None for all."""
        return [prediction.selected_classes for prediction in self.predictions]

    @cached_property
    def class_pixels(self) -> list[np.ndarray]:
        """(K,) int64 of each image: labelled pixels of each class."""
        maps = (semantic_of(truth, self.taxonomy) for truth in self.truths)
        return [np.bincount(own.reshape(-1) + 1, minlength=len(self.taxonomy) + 1)[1:] for own in maps]

    @cached_property
    def class_maps(self) -> list[np.ndarray]:
        """(H, W) int32 of each image: the predicted class index of every pixel, -1 for none."""
        return [semantic_of(p.panoptic, self.taxonomy) if p.semantic is None else p.semantic for p in self.predictions]
