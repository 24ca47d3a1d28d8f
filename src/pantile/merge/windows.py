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
from pantile.merge.class_union import in_union, union_of
from pantile.merge.class_votes import class_votes, query_probability
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
        UserError: an output whose centres of two windows are not the same ones.
    """
    raise UserError(
        f"windows: a {type(first).__name__} tells things apart by centres, which averages over windows cannot: leave "
        "`windows` null for this model, and cut large images with --tile."
    )


@average_windows.register
def _average_votes(
    first: MaskOutput, others: Iterable[MaskOutput], layout: TileLayout, average: Average
) -> SemanticOutput:
    """Of what queries vote for, as the evaluations of EoMT and ViT-Adapter do: means of ``class_votes``.

    Queries of two windows are not the same ones, so classes of pixels are all that is left. Embeddings are those of the
    first window.

    Memory: as many full maps as classes are selected by any window so far, and the masks of one window.
    """
    if average != "votes":
        raise UserError(
            "windows: a MaskOutput tells things apart, which averages over windows cannot: leave `windows` null for "
            "this model and cut large images with --tile; or set windows.average=votes and merge.kind=query_votes for "
            "classes without instances."
        )
    total, classes, presence = None, None, []
    for window, output in zip(layout.windows, itertools.chain([first], others), strict=True):
        union = union_of([output.classes] if total is None else [output.classes, classes])
        votes = class_votes(output, window.size, union)
        if total is None:
            total = votes.new_zeros(*votes.shape[:2], *layout.size)
        else:
            before = None if classes is None else classes.expand(len(total), -1)
            total = in_union(total, before, union, first.num_classes, 0.0)
        total[..., *window.slices] += votes
        classes = union
        if output.presence_logits is not None:
            presence.append(output.presence_logits.float().sigmoid())
    embeds = torch.einsum("bnk,bnd->bkd", query_probability(first).to(first.query_embed), first.query_embed)
    return SemanticOutput(
        class_logits=total.div_(_coverage(layout).to(total)).clamp_(min=_LEAST).log_(),
        pixel_embed=first.pixel_embed,
        class_embed=embeds if classes is None else embeds[:, classes],
        num_classes=first.num_classes,
        classes=None if classes is None else classes.expand(len(total), -1),
        presence_logits=torch.stack(presence).mean(dim=0).logit(eps=1e-6) if presence else None,
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
    classes = union_of(selections)
    fill = UNSELECTED_LOGIT if average == "logits" else 0.0
    channels = first.class_logits.shape[1] if classes is None else len(classes)
    dtype = torch.promote_types(first.class_logits.dtype, torch.float32)
    total = maps[0].new_zeros(len(maps[0]), channels, *layout.size, dtype=dtype)
    for window, coarse, selection in zip(layout.windows, maps, selections, strict=True):
        fine = F.interpolate(coarse.to(dtype), size=window.size, mode="bilinear", align_corners=False)
        if average != "logits":
            fine = fine.softmax(dim=1)
        total[..., *window.slices] += in_union(fine, selection, classes, first.num_classes, fill)
    mean = total.div_(_coverage(layout).to(total))
    return replace(
        first,
        class_logits=mean if average == "logits" else mean.clamp_(min=_LEAST).log_(),
        classes=None if classes is None else classes.expand(len(mean), -1),
        presence_logits=torch.stack(presence).mean(dim=0).logit(eps=1e-6) if presence else None,
        auxiliary=(),
    )


def _coverage(layout: TileLayout) -> Tensor:
    """(H, W) int64, how many windows see each pixel."""
    rows, columns = (torch.zeros(length, dtype=torch.int64) for length in layout.size)
    for axis, spans in ((rows, layout.rows), (columns, layout.columns)):
        for start, end in spans:
            axis[start:end] += 1
    return rows[:, None] * columns
