"""Averaging what a model says of overlapping windows of the same images (sliding-window inference)."""

import itertools
from collections.abc import Iterable
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
from pantile.merge.window_mosaic import WindowMosaic, mean_grid

#: what is averaged where windows overlap
Average = Literal["logits", "probabilities", "votes"]
#: of a class that a window does not select, where other windows do (RankSeg); its probability is 0
UNSELECTED_LOGIT = -100.0
_LEAST = 1e-12  # a mean probability, so that its logarithm is finite


@singledispatch
def average_windows(
    first: ModelOutput, others: Iterable[ModelOutput], layout: TileLayout, average: Average
) -> ModelOutput:
    """One output with a value per pixel of the input, or of a mosaic of windows that has the way there.

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
) -> SemanticOutput | WindowMosaic:
    """Of the classes that any window selects for any image of the batch; embeddings are those of the first window.

    Windows may select different classes (RankSeg). As in the originals, a class that a window does not select has the
    logit -100 there, or the probability 0, so what all windows of a pixel select goes before what some do.

    Memory: all windows' logits at their own stride, of the classes that any selects. Means of logits stay there as a
    ``WindowMosaic``; means of probabilities are not linear in the logits, and have full maps of these classes.
    """
    maps, selections, presence = [], [], []
    for output in itertools.chain([first], others):
        maps.append(output.class_logits)
        selections.append(output.classes)
        if output.presence_logits is not None:
            presence.append(output.presence_logits.float().sigmoid())
    classes = union_of(selections)
    dtype = torch.promote_types(first.class_logits.dtype, torch.float32)
    arguments = {
        "pixel_embed": first.pixel_embed,
        "class_embed": first.class_embed,
        "num_classes": first.num_classes,
        "classes": None if classes is None else classes.expand(len(maps[0]), -1),
        "presence_logits": torch.stack(presence).mean(dim=0).logit(eps=1e-6) if presence else None,
    }
    if average == "logits":
        mosaic = _side_by_side(maps, selections, classes, first.num_classes, layout, dtype)
        return WindowMosaic(mosaic, mean_grid(layout, tuple(first.class_logits.shape[2:])), **arguments)
    channels = first.class_logits.shape[1] if classes is None else len(classes)
    total = maps[0].new_zeros(len(maps[0]), channels, *layout.size, dtype=dtype)
    for window, coarse, selection in zip(layout.windows, maps, selections, strict=True):
        fine = F.interpolate(coarse.to(dtype), size=window.size, mode="bilinear", align_corners=False).softmax(dim=1)
        total[..., *window.slices] += in_union(fine, selection, classes, first.num_classes, 0.0)
    mean = total.div_(_coverage(layout).to(total))
    return SemanticOutput(mean.clamp_(min=_LEAST).log_(), **arguments)


def _side_by_side(
    maps: list[Tensor],
    selections: list[Tensor | None],
    classes: Tensor | None,
    num_classes: int,
    layout: TileLayout,
    dtype: torch.dtype,
) -> Tensor:
    """(B, U, ny * h, nx * w) of the windows' (B, k, h, w), row by row; each is let go of when it has its place."""
    height, width = maps[0].shape[2:]
    channels = maps[0].shape[1] if classes is None else len(classes)
    mosaic = maps[0].new_empty(
        len(maps[0]), channels, len(layout.rows) * height, len(layout.columns) * width, dtype=dtype
    )
    for number in range(len(maps)):
        row, column = divmod(number, len(layout.columns))
        place = mosaic[..., row * height : (row + 1) * height, column * width : (column + 1) * width]
        place.copy_(in_union(maps[number].to(dtype), selections[number], classes, num_classes, UNSELECTED_LOGIT))
        maps[number] = place
    return mosaic


def _coverage(layout: TileLayout) -> Tensor:
    """(H, W) int64, how many windows see each pixel."""
    rows, columns = (torch.zeros(length, dtype=torch.int64) for length in layout.size)
    for axis, spans in ((rows, layout.rows), (columns, layout.columns)):
        for start, end in spans:
            axis[start:end] += 1
    return rows[:, None] * columns
