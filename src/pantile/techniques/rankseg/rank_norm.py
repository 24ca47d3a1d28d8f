"""Rank-adaptive temperature: logits sorted by the rank of their class are standardised, then scaled rank by rank."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

EPS = 1e-5


class RankNorm(nn.Module):
    """What RankSeg's code makes of equation 3: a layer norm over the k logits of a pixel or query in rank order.

    ``gain`` is 1/tau of the paper, one for each rank; beyond the paper there are the standardisation and a bias. With
    another k at test than in training, ranks beyond the last one use its gain and bias, and those that are too many
    are left out.

    Args:
        ranks: k of the training.
        shared: one gain for all ranks (row "LS" of Table 1) and no bias, to which a softmax is blind.
        extra: logits at the end that have no rank: 1 where no-object comes last, else 0.
        unbiased: divide the variance by one less than the number of logits, as the code does with ground truth.
    """

    def __init__(self, ranks: int, shared: bool = False, extra: int = 0, unbiased: bool = False):
        super().__init__()
        self.extra = extra
        self.shared = shared
        self.unbiased = unbiased
        self.gain = nn.Parameter(torch.ones(1 if shared else ranks + extra))
        self.bias = None if shared else nn.Parameter(torch.zeros(ranks + extra))

    def forward(self, logits: Tensor, filler: Tensor | None = None) -> Tensor:
        """
        Args:
            logits: (..., k').
            filler: bool, broadcast to ``logits``: those that take no part, and come out as 0.

        Returns:
            Of the same shape.
        """
        count = logits.shape[-1]
        gain, bias = self.of_ranks(count)
        if filler is None and not self.unbiased:
            return F.layer_norm(logits, (count,), gain, bias, EPS)
        return standardised(logits, filler, self.unbiased) * gain + bias

    def of_ranks(self, count: int) -> tuple[Tensor, Tensor]:
        """Gain and bias, (k',) each."""
        if self.shared:
            return self.gain.expand(count), torch.zeros_like(self.gain).expand(count)
        return self._cut(self.gain, count), self._cut(self.bias, count)

    def _cut(self, values: Tensor, count: int) -> Tensor:
        """(k + extra,) to (k' + extra,)"""
        ranked, extra = values.split([len(values) - self.extra, self.extra])
        more = count - self.extra - len(ranked)
        ranked = torch.cat([ranked, ranked[-1:].expand(more)]) if more > 0 else ranked[: count - self.extra]
        return torch.cat([ranked, extra]) if self.extra else ranked


def standardised(logits: Tensor, filler: Tensor | None, unbiased: bool = False) -> Tensor:
    """(..., k) minus their mean, divided by their deviation, both over what is no filler; filler becomes 0."""
    logits = logits if logits.dtype == torch.float64 else logits.float()
    counted = torch.ones_like(logits) if filler is None else (~filler).to(logits.dtype).expand_as(logits)
    number = counted.sum(dim=-1, keepdim=True)
    centred = (logits - (logits * counted).sum(dim=-1, keepdim=True) / number) * counted
    variance = (centred**2).sum(dim=-1, keepdim=True) / (number - int(unbiased)).clamp(min=1)
    return centred / (variance + EPS).sqrt()
