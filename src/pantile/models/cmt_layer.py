"""The clustering mask transformer layer of CMT-DeepLab (Yu et al., CVPR 2022), as this project reads it.

Pixels are assigned to N cluster centres; the assignment moves the centres together with cross-attention, and the
pixels:

    S = M + previous S + log R,    Z = softmax of S over the N centres          M = mask logits of this layer's
    predictor C' = act(C + drop(W act(BN(cross- and self-attention) + BN(sum_x Z v_x))),   C'' = act(C' + drop(FFN(C')))
    P' = P + drop(W act(BN(sum_n Z v_n)))

Pixels enter with two coordinate channels; R is the centre's reference mask. The supplement confirms the pixel update
(0.4 PQ) and that clustering maps are supervised; the sum of the two updates, the residual path of the assignment,
reference masks and coordinates are known from public summaries; their equations are readings, and each is a switch of
``CMTDeepLabConfig``. Attention, widths and feed-forward part are MaX-DeepLab's dual-path layer (``layers.dual_path``),
which is what is left with all of them off and ``pixel_update="attention"``.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple

import torch
from timm.layers import DropPath
from torch import Tensor, nn

from pantile.contracts.outputs import MaskOutput
from pantile.layers.conv import ConvNorm
from pantile.layers.coordinates import with_coordinates
from pantile.layers.dual_path import NormedAttention
from pantile.layers.reference_mask import ReferenceMask
from pantile.layers.resize import resize
from pantile.models.cmt_config import CMTDeepLabConfig
from pantile.models.mask_predictor import Predictor


class Clustered(NamedTuple):
    """What a layer gives.

    Attributes:
        pixels: (B, C, h, w), not activated.
        centers: (B, M, N), activated.
        logits: (B, N, h, w), the assignment S.
        output: the layer's own prediction, made before its updates.
        attention: (B, N, h, w), cross-attention to the pixels, mean of the heads.
    """

    pixels: Tensor
    centers: Tensor
    logits: Tensor
    output: MaskOutput
    attention: Tensor


class ClusteringLayer(nn.Module):
    """See the head of this file.

    Args:
        pixel_channels: C.
        config: of the model.
        num_classes: K.
        drop_path: of each branch.
    """

    def __init__(self, pixel_channels: int, config: CMTDeepLabConfig, num_classes: int, drop_path: float):
        super().__init__()
        act, width, centers = nn.ReLU, config.bottleneck, config.query_channels
        self.config, self.num_heads = config, config.num_heads
        self.split = (width // 2, width // 2, width)
        self.act = act()
        self.pixel_in = ConvNorm(pixel_channels + 2 * config.coordinates, width, act=act)
        self.center_in = ConvNorm(centers, width, dims=1, act=act)
        self.predictor = Predictor(width, replace(config, query_channels=width), num_classes, act)
        self.center_qkv = ConvNorm(width, 2 * width, dims=1, act=None, std=width**-0.5)
        parts = self.split if config.pixel_update == "attention" else self.split[1:]  # keys and values, perhaps queries
        self.pixel_parts = parts
        self.pixel_qkv = ConvNorm(width, sum(parts), act=None, std=width**-0.5)
        self.center_attention = NormedAttention(width, self.num_heads)
        self.center_out = ConvNorm(width, centers, dims=1, act=None, norm_init=0.0)
        self.ffn = nn.Sequential(
            ConvNorm(centers, config.ffn_channels, dims=1, act=act),
            ConvNorm(config.ffn_channels, centers, dims=1, act=None, norm_init=0.0),
        )
        if config.cluster_update:
            self.cluster_norm = nn.BatchNorm1d(width)
        if config.reference_masks:
            self.reference = ReferenceMask(width)
        if config.pixel_update != "none":
            self.pixel_out = ConvNorm(width, pixel_channels, act=None, norm_init=0.0)
        if config.pixel_update == "assignment":
            self.pixel_norm = nn.BatchNorm1d(width)
        if config.pixel_update == "attention":
            self.pixel_attention = NormedAttention(width, self.num_heads)
        self.drop_path = DropPath(drop_path)

    def forward(
        self,
        pixels: Tensor,
        centers: Tensor,
        previous: Tensor | None = None,
        steer: Callable[[MaskOutput], Tensor] | None = None,
    ) -> Clustered:
        """
        Args:
            pixels: (B, C, h, w), not activated.
            centers: (B, M, N).
            previous: (B, N, h', w') assignment logits of the layer before, of any size.
            steer: makes the layer's own part of the assignment's logits from its output.
        """
        size = pixels.shape[2:]
        activated = self.act(pixels)
        p = self.pixel_in(with_coordinates(activated) if self.config.coordinates else activated)
        c = self.center_in(centers)
        output = replace(self.predictor(p, c, c), pixel_feature=p)
        logits = output.mask_logits if steer is None else steer(output)
        if self.config.residual_assignment and previous is not None:
            logits = logits + resize(previous, tuple(size), align_corners=True)
        if self.config.reference_masks:
            reference = self.reference(c, tuple(size))
            logits = logits + reference
            output = replace(output, reference_masks=reference.exp())
        share = logits.softmax(1).flatten(2)  # (B, N, hw)

        cq, ck, cv = self._heads(self.center_qkv(c), self.split)
        *pq, pk, pv = self._heads(self.pixel_qkv(p).flatten(2), self.pixel_parts)
        retrieved, weights = self.center_attention(cq, torch.cat([pk, ck], dim=3), torch.cat([pv, cv], dim=3))
        if self.config.cluster_update:
            sums = pv.flatten(1, 2).to(share.dtype) @ share.transpose(1, 2)
            retrieved = retrieved + self.cluster_norm(sums).to(retrieved.dtype)
        centers = self.act(centers + self.drop_path(self.center_out(self.act(retrieved))))
        centers = self.act(centers + self.drop_path(self.ffn(centers)))
        update = self._pixel_update(share, cv, ck, pq)
        if update is not None:
            pixels = pixels + self.drop_path(self.pixel_out(self.act(update).unflatten(2, size)))
        attention = weights[..., : size.numel()].mean(1).unflatten(2, size)
        return Clustered(pixels, centers, logits, output, attention)

    def _pixel_update(self, share: Tensor, cv: Tensor, ck: Tensor, pq: list[Tensor]) -> Tensor | None:
        """(B, width, hw)"""
        if self.config.pixel_update == "assignment":
            return self.pixel_norm((cv.flatten(1, 2).to(share.dtype) @ share).to(cv.dtype))
        if self.config.pixel_update == "attention":
            return self.pixel_attention(pq[0], ck, cv)[0]
        return None

    def _heads(self, qkv: Tensor, split: tuple[int, ...]) -> list[Tensor]:
        return [part.unflatten(1, (self.num_heads, -1)) for part in qkv.split(split, dim=1)]
