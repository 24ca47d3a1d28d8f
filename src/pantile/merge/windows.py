"""Averaging what a model says of overlapping windows of the same images (sliding-window inference)."""

import itertools
from collections.abc import Iterable
from dataclasses import replace
from functools import singledispatch
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from pantile.contracts.errors import UserError
from pantile.contracts.outputs import MaskOutput, ModelOutput, SemanticOutput
from pantile.merge.query_votes import query_probability
from pantile.merge.tile_layout import TileLayout

#: what is averaged where windows overlap
Average = Literal["logits", "probabilities", "votes"]
#: of a class that a window does not select, where other windows do (RankSeg); its probability is 0
UNSELECTED_LOGIT = -100.0
_LEAST = 1e-12  # a mean probability, so that its logarithm is finite


@singledispatch
def average_windows(
    first: ModelOutput, others: Iterable[ModelOutput], layout: TileLayout, average: Average
) -> ModelOutput:
    """One output with a value per pixel of the input.

    Args:
        first: of the first of ``layout.windows``.
        others: of the other windows, in their order; taken one by one.
        layout: of the windows in the network's input.
        average: what is averaged: logits, or probabilities, whose logarithms are then the result's logits; of queries
            only "votes" for classes, whose logarithms are then a class map's logits.

    Raises:
        UserError: an output that has more than a class for each pixel: queries and centres of two windows are not the
            same ones.
    """
    raise UserError(
        f"windows: a {type(first).__name__} tells things apart, which averages over windows cannot: leave `windows` "
        "null for this model, and cut large images with --tile."
    )


@average_windows.register
def _average_votes(
    first: MaskOutput, others: Iterable[MaskOutput], layout: TileLayout, average: Average
) -> SemanticOutput:
    """What queries say of the class of each pixel: the sum of class times mask probability. Embeddings are those of the
    first window's classes, that is none."""
    if average != "votes":
        raise UserError(
            "windows: a MaskOutput tells things apart, which averages over windows cannot: leave `windows` null for "
            "this model and cut large images with --tile; or set windows.average=votes and merge.kind=query_votes for "
            "classes without instances."
        )
    total = None
    for window, output in zip(layout.windows, itertools.chain([first], others), strict=True):
        probability = query_probability(output)
        masks = F.interpolate(output.mask_logits.to(probability.dtype), size=window.size, mode="bilinear").sigmoid_()
        votes = (probability.transpose(1, 2) @ masks.flatten(2)).unflatten(2, window.size)
        if total is None:
            total = votes.new_zeros(*votes.shape[:2], *layout.size)
        total[..., *window.slices] += votes
    mean = total.div_(_coverage(layout).to(total))
    nothing = first.query_embed[:, :0].sum(dim=1, keepdim=True)
    return SemanticOutput(
        class_logits=mean.clamp_(min=_LEAST).log_(),
        pixel_embed=first.pixel_embed,
        class_embed=nothing.expand(-1, first.num_classes, -1),
        num_classes=first.num_classes,
    )


@average_windows.register
def _average_classes(
    first: SemanticOutput,
    others: Iterable[SemanticOutput],
    layout: TileLayout,
    average: Average,
) -> SemanticOutput:
    """Of the classes that any window selects for any image of the batch; embeddings are those of the first window.

    Memory: all windows' logits at their own stride, and as many full maps as classes are selected, not K.
    """
    maps, selections, presence = [], [], []
    for output in itertools.chain([first], others):
        maps.append(output.class_logits)
        selections.append(output.classes)
        if output.presence_logits is not None:
            presence.append(output.presence_logits.float().sigmoid())
    classes = _union(selections)
    fill = UNSELECTED_LOGIT if average == "logits" else 0.0
    channels = first.class_logits.shape[1] if classes is None else len(classes)
    dtype = torch.promote_types(first.class_logits.dtype, torch.float32)
    total = maps[0].new_zeros(len(maps[0]), channels, *layout.size, dtype=dtype)
    for window, coarse, selection in zip(layout.windows, maps, selections, strict=True):
        fine = F.interpolate(coarse.to(dtype), size=window.size, mode="bilinear", align_corners=False)
        if average != "logits":
            fine = fine.softmax(dim=1)
        total[..., *window.slices] += _in_channels(fine, selection, classes, first.num_classes, fill)
    mean = total.div_(_coverage(layout).to(total))
    return replace(
        first,
        class_logits=mean if average == "logits" else mean.clamp_(min=_LEAST).log_(),
        classes=None if classes is None else classes.expand(len(mean), -1),
        presence_logits=torch.stack(presence).mean(dim=0).logit(eps=1e-6) if presence else None,
        auxiliary=(),
    )


def _union(selections: list[Tensor | None]) -> Tensor | None:
    """(U,) ascending, of (B, k) each; None, which is all classes, if any is."""
    if any(selection is None for selection in selections):
        return None
    union = torch.cat([selection.flatten() for selection in selections]).unique()
    return union[union >= 0]


def _in_channels(
    maps: Tensor, selection: Tensor | None, classes: Tensor | None, num_classes: int, fill: float
) -> Tensor:
    """(B, k, h, w) of the classes ``selection`` (B, k) to (B, U, h, w) of ``classes``, which hold them all."""
    if selection is None:
        return maps
    count = num_classes if classes is None else len(classes)
    table = torch.arange(num_classes + 1, device=maps.device)  # the last is for channels of no class
    if classes is not None:
        table[classes] = torch.arange(count, device=maps.device)
    table[num_classes] = count
    channel = table[selection][..., None, None].expand_as(maps)
    result = maps.new_full((len(maps), count + 1, *maps.shape[2:]), fill)
    return result.scatter_(1, channel, maps)[:, :-1]


def _coverage(layout: TileLayout) -> Tensor:
    """(H, W) int64, how many windows see each pixel."""
    rows, columns = (torch.zeros(length, dtype=torch.int64) for length in layout.size)
    for axis, spans in ((rows, layout.rows), (columns, layout.columns)):
        for start, end in spans:
            axis[start:end] += 1
    return rows[:, None] * columns
