"""Drawing pixels for the sampled losses: small segments are drawn more often."""

import torch
from torch import Tensor


@torch.no_grad()
def draw_pixels(
    index: Tensor,
    areas: Tensor,
    count: int,
    temperature: float,
    draws: int = 1,
    generator: torch.Generator | None = None,
) -> Tensor:
    """Draws pixels without replacement by Gumbel-top-k.

    A labelled pixel has log-weight ``temperature * log(H*W / max(1, area of its mask))``. Void pixels come only
    when the labelled ones are used up; whoever uses the draw must leave them out.

    Args:
        index: (B, H, W) row per pixel, -1 on void.
        areas: (B, G) pixels of each row's mask.
        count: pixels per image; all of them if there are fewer.
        temperature: 0 draws uniformly over pixels, 1 uniformly over segments.
        draws: independent draws per image.
        generator: on the device of ``index``.

    Returns:
        (draws, B, min(count, H*W)) int64 flat positions.
    """
    flat = index.flatten(1)
    pixels = flat.shape[1]
    log_weight = temperature * torch.log(pixels / areas.clamp(min=1))
    log_weight = torch.cat([log_weight.new_full((len(flat), 1), -torch.inf), log_weight], dim=1).gather(1, flat + 1)
    uniform = torch.rand(draws, *flat.shape, device=flat.device, generator=generator)
    gumbel = -torch.log(-torch.log(uniform.clamp_(min=1e-30)))
    return (gumbel + log_weight).topk(min(count, pixels), dim=2, sorted=False).indices
