"""Cross-entropy of a pixel among its own class and the classes nearest to it, of which there are few.

ESSNet (Jain et al., "Scaling Semantic Segmentation Beyond 1K Classes on a Single GPU", ICCV 2021), as RankSeg's code
(arXiv:2203.04187, appendix B) restates it: logits are resized to the labels, each pixel keeps its k largest, and the
loss is a cross-entropy over these and the pixel's own class.
"""

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from pantile.contracts.precision import in_float32
from pantile.losses.resampling import resize_matrix, source_spans


@in_float32
def nearest_cross_entropy_sum(
    logits: Tensor,
    target: Tensor,
    neighbours: int,
    aligned: bool = False,
    chunk_rows: int | None = 32,
    published: bool = False,
) -> Tensor:
    """The sum over all pixels with a target, 0 where there are none.

    Args:
        logits: (B, k, h, w), resized bilinearly to the targets' size.
        target: (B, H, W) int64, 0..k-1, or -1 for pixels that do not count.
        neighbours: how many of the largest logits of a pixel compete with that of its own class.
        aligned: corners, while resizing.
        chunk_rows: rows of the targets whose logits exist at a time; None is all.
        published: see ``among_neighbours``.

    Returns:
        Scalar, connected to ``logits`` in any case.
    """
    rows, columns = (
        resize_matrix(source, wanted, aligned, logits)
        for source, wanted in zip(logits.shape[-2:], target.shape[-2:], strict=True)
    )
    step = chunk_rows or target.shape[1]

    def of_rows(part: Tensor, weights: Tensor, labels: Tensor) -> Tensor:
        fine = weights @ (part @ columns.T)
        own_first = among_neighbours(fine, labels, neighbours, published)
        return torch.where(labels >= 0, own_first.logsumexp(dim=1) - own_first[:, 0], 0).sum()

    total = 0 * logits.sum()
    spans = source_spans(logits.shape[2], target.shape[1], aligned, step)
    for top, (first, behind) in zip(range(0, target.shape[1], step), spans, strict=True):
        chunk = slice(top, top + step)
        arguments = (logits[:, :, first:behind], rows[chunk, first:behind], target[:, chunk])
        total = total + checkpoint(of_rows, *arguments, use_reentrant=False)
    return total


def among_neighbours(logits: Tensor, target: Tensor, neighbours: int, published: bool = False) -> Tensor:
    """The logit of each pixel's own class, then those of its nearest classes.

    Args:
        logits: (B, k, H, W).
        target: (B, H, W) int64, 0..k-1; where it is negative, class 0 stands in.
        neighbours: n; all k where they are fewer.
        published: where the own class is among the nearest ones, the class before it in the list of classes takes its
            place (class 0 stays twice), as in the published code; else nothing does.

    Returns:
        (B, 1 + n, H, W), -inf where nothing takes a place.
    """
    own = target.clamp(min=0)[:, None]
    nearest = logits.detach().topk(min(neighbours, logits.shape[1]), dim=1).indices
    twice = nearest == target[:, None]
    if published:
        nearest = torch.where(twice, nearest - 1, nearest).clamp(min=0)
    gathered = logits.gather(1, torch.cat([own, nearest], dim=1))
    return gathered if published else gathered.masked_fill(F.pad(twice, (0, 0, 0, 0, 1, 0)), float("-inf"))
