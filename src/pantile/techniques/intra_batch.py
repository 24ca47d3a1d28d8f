"""Intra-batch supervision: an instance's mask must stay empty on another image of the batch.

De Geus and Dubbelman, "Intra-Batch Supervision for Panoptic Segmentation on High-Resolution Images" (WACV 2023),
section 4.1. Training on crops shows a network few instances at a time, so nothing tells it that the
embedding E_i of an instance must not answer to another instance of the same look. With the pixel features F_t of
another image t,

    L_IBS = mean over instances of focal(sigmoid(E_i . F_t), 0),     L = L_original + weight L_IBS

The gradient reaches both E_i and F_t. Nothing changes at inference.

A frame of a clip meets one of another clip, never one of its own, in which its things are.

Things are those of the taxonomy (the published code drops class 0). Several queries of one instance (Panoptic FCN)
count with the weights of their assignment. The first of several layer outputs is left out. One partner per image and
step; the published Mask2Former code draws anew for each layer.

The paper and the published code differ in the weight: Mask2Former 100 in the paper, 50 on Cityscapes and 100 on
Mapillary Vistas in the code; Panoptic FCN 1 in the paper, where the code's also multiplies by the weight of the mask
losses: 4 on Cityscapes and 15 on Mapillary Vistas.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pantile.contracts.assignment import Assignment
from pantile.contracts.errors import UserError
from pantile.contracts.outputs import MaskOutput
from pantile.contracts.precision import in_float32
from pantile.contracts.targets import PanopticTargets
from pantile.contracts.taxonomy import Taxonomy
from pantile.layers.next_process import from_next_process, process_count
from pantile.losses.point_sampling import draw_uncertain_points, sample_maps
from pantile.techniques.base import TECHNIQUES, Technique


@TECHNIQUES.register("intra_batch")
@dataclass
class IntraBatchConfig:
    """
    Attributes:
        weight: lambda; 0 switches the technique off.
        partner: "random", each image with any other of the batch; "pairs", image 2i with image 2i + 1, as the paired
            crop sampler (``augment.pairs``) lays them.
        pairs_across_processes: each image with the one at its place in the next process, which allows one image per
            device. Neither the paper nor its code has this.
        points: of each mask, mostly where its sign is least certain, as in Mask2Former's mask loss; 0 takes every
            pixel, as with Panoptic FCN.
        oversample: candidates per kept point, >= 1.
        importance: 0..1, share of the points that are the most uncertain candidates.
        skip_layers: layer outputs, counted from the first, that are left out; the final output never is.
        alpha: of the focal loss; an empty mask's pixels weigh 1 - alpha.
        gamma: of the focal loss.
    """

    weight: float = 1.0
    partner: Literal["random", "pairs"] = "random"
    pairs_across_processes: bool = False
    points: int = 12544
    oversample: float = 3.0
    importance: float = 0.75
    skip_layers: int = 1
    alpha: float = 0.25
    gamma: float = 2.0

    def make(self) -> "IntraBatch | None":
        return IntraBatch(self) if self.weight > 0 else None


class IntraBatch(Technique):
    def __init__(self, config: IntraBatchConfig) -> None:
        super().__init__()
        self.config = config

    def build(self, model: nn.Module, taxonomy: Taxonomy) -> None:
        self.register_buffer("is_thing", taxonomy.is_thing(), persistent=False)

    def extra_losses(self, output: MaskOutput, targets: PanopticTargets, assignment: Assignment) -> dict[str, Tensor]:
        """The weighted loss, summed over outputs.

        Raises:
            UserError: an image has no partner.
        """
        first = min(self.config.skip_layers, len(output.layers))
        outputs = (*output.layers, output)[first:]
        assignments = (*assignment.layers, assignment)[first:]
        partner = of_frames(self._partners(len(targets) // targets.frames), targets.frames)
        things = torch.stack([self._of_things(a, targets) for a in assignments])  # (L, B, N)
        queries = things.nonzero()[:, 2].split(things.sum(dim=2).flatten().tolist())
        chosen = [queries[start : start + len(targets)] for start in range(0, len(queries), len(targets))]
        total = output.class_logits.new_zeros((), dtype=torch.float32)
        for layers in _of_the_same_pixels(outputs):
            embeds = [
                [outputs[layer].query_embed[image, own] for image, own in enumerate(chosen[layer])] for layer in layers
            ]
            features = self._partner_features(outputs[layers[0]].pixel_embed)
            for layer, masks in zip(layers, _empty_masks(embeds, features, partner), strict=True):
                weights = [assignments[layer].weights[image, own] for image, own in enumerate(chosen[layer])]
                total = total + self._loss(masks, torch.cat(weights), outputs[layer].mask_affine)
        return {"empty": self.config.weight * total}

    def _partners(self, batch: int) -> list[int]:
        """The image or clip whose features those of each meet; ``batch`` is their number."""
        if self.config.pairs_across_processes and process_count() > 1:
            return list(range(batch))
        if batch < 2:
            raise UserError(
                "techniques.intra_batch needs a second image or clip in the batch of each process: raise "
                "training.device_batch, or set techniques.intra_batch.pairs_across_processes=true and train with "
                "several processes."
            )
        if self.config.partner == "pairs":
            if batch % 2:
                raise UserError(
                    f"techniques.intra_batch.partner=pairs cannot pair {batch} images: "
                    "make training.device_batch an even number."
                )
            return [image ^ 1 for image in range(batch)]
        ahead = torch.randint(1, batch, (batch,)).tolist()
        return [(image + steps) % batch for image, steps in enumerate(ahead)]

    def _partner_features(self, pixel_embed: Tensor) -> Tensor:
        if self.config.pairs_across_processes and process_count() > 1:
            return from_next_process(pixel_embed)
        return pixel_embed

    def _of_things(self, assignment: Assignment, targets: PanopticTargets) -> Tensor:
        """(B, N) bool: the queries that answer for a thing."""
        classes = F.pad(targets.classes, (1, 0)).gather(
            1, assignment.rows + 1
        )  # the pad is read by queries without row
        return (assignment.rows >= 0) & self.is_thing[classes.clamp(min=0)]

    def _loss(self, masks: Tensor, weights: Tensor, affine: tuple[Tensor, Tensor] | None) -> Tensor:
        """Of one output: the mean over things.

        Args:
            masks: (M, h, w) logits.
            weights: (M,)
            affine: of ``MaskOutput.mask_affine``.
        """
        if not len(masks):
            return masks.float().sum()  # attached: another process may wait for this one's gradient
        if affine is not None:
            scale, shift = affine
            masks = scale * masks + shift
        return (weights * self._per_mask(masks)).sum() / weights.sum()

    def _per_mask(self, masks: Tensor) -> Tensor:
        """(M, h, w) logits to (M,) losses."""
        config = self.config
        if not config.points:
            return empty_mask_loss(masks.flatten(1), config.alpha, config.gamma)
        points = draw_uncertain_points(masks, config.points, config.oversample, config.importance)
        return empty_mask_loss(sample_maps(masks[:, None], points)[:, 0], config.alpha, config.gamma)


def of_frames(partner: Sequence[int], frames: int) -> list[int]:
    """From partners of clips to those of their frames: a frame meets the one at its place in the other clip.

    >>> of_frames([1, 0], 2)
    [2, 3, 0, 1]
    """
    return [clip * frames + frame for clip in partner for frame in range(frames)]


def _of_the_same_pixels(outputs: Sequence[MaskOutput]) -> list[list[int]]:
    """Positions of the outputs that share ``pixel_embed``: of many models all do."""
    groups: dict[Tensor, list[int]] = {}  # tensors compare by identity here
    for position, output in enumerate(outputs):
        groups.setdefault(output.pixel_embed, []).append(position)
    return list(groups.values())


def _empty_masks(embeds: Sequence[Sequence[Tensor]], features: Tensor, partner: Sequence[int]) -> list[Tensor]:
    """Mask logits of things on another image, all layers in one product per image: the gradient of the features, the
    largest tensor here, is then written once.

    Args:
        embeds: (n, D) of each layer and image.
        features: (B, D, h, w)
        partner: the image whose features each image's embeddings meet.

    Returns:
        (M, h, w) of each layer, image after image.
    """
    pixels = features.flatten(2).unbind()
    per_image = []
    for image, layers in enumerate(zip(*embeds, strict=True)):
        logits = torch.cat(layers).to(features.dtype) @ pixels[partner[image]]
        per_image.append(logits.split([len(layer) for layer in layers]))
    return [torch.cat(images).unflatten(1, features.shape[2:]) for images in zip(*per_image, strict=True)]


@in_float32
def empty_mask_loss(logits: Tensor, alpha: float = 0.25, gamma: float = 2.0) -> Tensor:
    """The focal loss of masks that should be empty: ``(1 - alpha) s^gamma softplus(x)``, s = sigmoid(x).

    Args:
        logits: (M, P).

    Returns:
        (M,) means over P.
    """
    return ((1 - alpha) * logits.sigmoid() ** gamma * F.softplus(logits)).mean(dim=1)
