"""Class scores of queries from their logits."""

import torch
from torch import Tensor

from pantile.contracts.taxonomy import Taxonomy
from pantile.merge.mask_config import MaskMergeConfig
from pantile.merge.query_scores import QueryScores, scores_of


def score_queries(class_logits: Tensor, taxonomy: Taxonomy, config: MaskMergeConfig) -> QueryScores:
    """(N, K+1) class logits to scores."""
    exact = class_logits if class_logits.dtype == torch.float64 else class_logits.float()
    best, index = exact.softmax(dim=-1)[:, :-1].max(dim=-1)
    return scores_of(index.cpu().numpy(), best.cpu().double().numpy(), taxonomy, config)
