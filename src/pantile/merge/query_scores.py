"""Class scores of queries, and which queries may become segments."""

from dataclasses import dataclass

import numpy as np

from pantile.contracts.taxonomy import Taxonomy
from pantile.merge.mask_config import MaskMergeConfig


@dataclass(frozen=True)
class QueryScores:
    """What the class head says of each query.

    Attributes:
        class_index: (N,) int64, the most likely class, no-object left out.
        probability: (N,) float64, its softmax probability; no-object counts in the denominator.
        is_thing: (N,) bool.
        passes: (N,) bool, the probability reaches the threshold of things or stuff.
    """

    class_index: np.ndarray
    probability: np.ndarray
    is_thing: np.ndarray
    passes: np.ndarray


def scores_of(
    class_index: np.ndarray, probability: np.ndarray, taxonomy: Taxonomy, config: MaskMergeConfig
) -> QueryScores:
    """
    Args:
        class_index: (N,) int64, the most likely class.
        probability: (N,) float64 of it.
    """
    is_thing = np.array(taxonomy.thing_flags)[class_index]
    threshold = np.where(is_thing, config.thing_class_threshold, config.stuff_class_threshold)
    passes = probability > threshold if config.strict else probability >= threshold
    return QueryScores(class_index, probability, is_thing, passes)
