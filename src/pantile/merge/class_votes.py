"""How much the queries of an image vote for each class at each pixel."""

import torch
import torch.nn.functional as F
from torch import Tensor

from pantile.contracts.outputs import MaskOutput

_QUERIES_AT_A_TIME = 32


def class_votes(output: MaskOutput, size: tuple[int, int], classes: Tensor | None = None) -> Tensor:
    """Sums over queries of class probability times mask probability (Mask2Former's semantic inference).

    Masks are resized to the result before the sigmoid, a few queries at a time.

    Args:
        output: of B images and N queries, with independent masks.
        size: (H, W).
        classes: (U,) the classes wanted; None is all K.

    Returns:
        (B, U, H, W), at least float32; 0..N.
    """
    dtype = torch.promote_types(output.mask_logits.dtype, torch.float32)
    share = query_probability(output).to(dtype)
    share = share if classes is None else share[..., classes]
    votes = share.new_zeros(len(share), share.shape[2], *size)
    for start in range(0, share.shape[1], _QUERIES_AT_A_TIME):
        part = slice(start, start + _QUERIES_AT_A_TIME)
        masks = F.interpolate(output.mask_logits[:, part].to(dtype), size=size, mode="bilinear", align_corners=False)
        votes += torch.einsum("bnk,bnhw->bkhw", share[:, part], masks.sigmoid_())
    return votes


def query_probability(output: MaskOutput) -> Tensor:
    """(B, N, K) 0..1: no-object counts in the softmax, and is left out."""
    logits = output.class_logits
    return (logits if logits.dtype == torch.float64 else logits.float()).softmax(dim=-1)[..., :-1]
