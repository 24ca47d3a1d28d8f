"""MaX-DeepLab's instance discrimination (Wang et al. 2021, section 3.4): a thing's pixels look like their mask's mean.

    t_i = normalised mean of f over mask i,    loss of a pixel = cross-entropy of its mask in softmax_i(f . t_i /
    temperature)

over all masks of the image, for the pixels of things; a mean over them.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from pantile.contracts.precision import in_float32
from pantile.losses.matching import one_hot_rows
from pantile.losses.pq_style import mean_of_nonzero


@in_float32
def mask_mean_loss(features: Tensor, index: Tensor, row_is_thing: Tensor, temperature: float = 0.3) -> Tensor:
    """
    Args:
        features: (B, D, H, W) unit vectors.
        index: (B, H, W) int64 row of each pixel, -1 on void.
        row_is_thing: (B, G) bool.
        temperature: divides the products.

    Returns:
        (B,); 0 for an image without things.
    """
    flat, features = index.flatten(1), features.flatten(2)
    one_hot = one_hot_rows(flat, row_is_thing.shape[1], features.dtype)  # (B, G, P)
    area = one_hot.sum(dim=2)
    means = torch.bmm(one_hot, features.transpose(1, 2)) / area.clamp(min=1)[:, :, None]
    logits = torch.bmm(F.normalize(means, dim=2), features) / temperature
    logits = logits.masked_fill(area[:, :, None] == 0, -torch.inf)
    counted = (flat >= 0) & row_is_thing.gather(1, flat.clamp(min=0))
    logits = torch.where(counted[:, None], logits, 0.0)  # an image without masks has no softmax
    loss = logits.logsumexp(dim=1) - logits.gather(1, flat.clamp(min=0)[:, None])[:, 0]
    return mean_of_nonzero(torch.where(counted, loss, 0.0))
