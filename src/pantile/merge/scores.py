"""Class scores of queries, and which queries may become segments."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

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


def score_queries(class_logits: Tensor, taxonomy: Taxonomy, config: MaskMergeConfig) -> QueryScores:
    """(N, K+1) class logits to scores."""
    exact = class_logits if class_logits.dtype == torch.float64 else class_logits.float()
    best, index = exact.softmax(dim=-1)[:, :-1].max(dim=-1)
    class_index = index.cpu().numpy()
    probability = best.cpu().double().numpy()
    is_thing = taxonomy.is_thing().numpy()[class_index]
    threshold = np.where(is_thing, config.thing_class_threshold, config.stuff_class_threshold)
    passes = probability > threshold if config.strict else probability >= threshold
    return QueryScores(class_index, probability, is_thing, passes)
