"""Outputs of pixel classifiers, whole and with selected classes, and their merge in plain torch."""

import numpy as np
import torch
import torch.nn.functional as F

from pantile.contracts.outputs import SemanticOutput
from pantile.contracts.placement import Placement
from pantile.merge import SemanticMergeConfig


def class_output(batch=1, classes=6, size=(7, 9), seed=0, selection=None) -> SemanticOutput:
    """Logits of a few blobs: neighbours agree often enough for segments of some pixels."""
    generator = torch.Generator().manual_seed(seed)
    coarse = 4 * torch.randn(batch, classes, 3, 4, generator=generator, dtype=torch.float64)
    logits = F.interpolate(coarse, size, mode="bilinear")
    if selection is not None:
        logits = torch.stack([image[chosen] for image, chosen in zip(logits, selection, strict=True)])
    none = torch.zeros(batch, 2, *size)
    return SemanticOutput(logits, none, torch.zeros(*logits.shape[:2], 2), classes, selection)


def full_maps(output: SemanticOutput, image: int, placement: Placement, config: SemanticMergeConfig) -> torch.Tensor:
    """(K, H, W) probabilities at the original size, 0 for classes that are not selected."""

    def to_original(maps):
        padded = F.interpolate(maps[None], placement.padded, mode="bilinear", align_corners=config.align_corners)
        content = padded[..., : placement.content[0], : placement.content[1]]
        return F.interpolate(content, placement.original, mode="bilinear", align_corners=config.align_corners)[0]

    logits = output.class_logits[image]
    if config.resize == "logits":
        probability = to_original(logits).softmax(0)
    else:
        probability = to_original(logits.softmax(0))
    if output.classes is None:
        return probability
    full = probability.new_zeros(output.num_classes, *placement.original)
    full[output.classes[image]] = probability
    return full


def oracle_segments(probability: torch.Tensor, limits: list[int]) -> tuple[np.ndarray, np.ndarray, list]:
    """(H, W) classes, (H, W) ids, and (class, score) of segments 1..S."""
    classes = probability.argmax(0)
    ids, segments = torch.zeros_like(classes), []
    for k, limit in enumerate(limits):
        mask = classes == k
        if mask.sum() >= max(limit, 1):
            segments.append((k, float(probability[k][mask].mean())))
            ids[mask] = len(segments)
    return classes.numpy(), ids.numpy(), segments
