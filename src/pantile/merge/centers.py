"""Outputs by centres (Panoptic-DeepLab, arXiv 1911.10194; SWideRNet, arXiv 2011.11675) to predictions.

Every pixel takes its most likely class. A pixel of a thing class votes for the point to which its offset leads, and
belongs to the centre nearest to its vote; the pixels of a centre take the class of their majority. Work on instances
touches thing pixels only.
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from pantile.contracts.class_channels import channels_of
from pantile.contracts.outputs import CenterOutput
from pantile.contracts.placement import Placement
from pantile.contracts.precision import autocast_off
from pantile.contracts.predictions import Prediction, Task
from pantile.contracts.run_lengths import instances_of
from pantile.contracts.taxonomy import Taxonomy
from pantile.merge.agreement import check_agreement
from pantile.merge.center_config import CenterMergeConfig
from pantile.merge.center_growth import offset_growth
from pantile.merge.center_painting import Things, majority_classes, paint_centers, warn_of_uncentred_things
from pantile.merge.center_resampling import decision_grid, resize_maps
from pantile.merge.grouping import find_centers, hottest_point
from pantile.merge.nearest_centers import Centers, nearest_centers
from pantile.merge.nearest_pixels import to_original
from pantile.merge.registry import register_merge
from pantile.merge.segments import Canvas
from pantile.merge.semantic import most_likely_classes, probability_at


@register_merge(CenterMergeConfig)
@torch.no_grad()
def predict_centers(
    output: CenterOutput,
    taxonomy: Taxonomy,
    config: CenterMergeConfig,
    placements: Sequence[Placement],
    tasks: frozenset[Task] = frozenset({"panoptic"}),
) -> list[Prediction]:
    """``merge`` for outputs by centres, in any floating dtype on any device.

    Args:
        output: B images.
        taxonomy: K classes.
        config: thresholds and order of work.
        placements: B entries, where each image lies in the network's input.
        tasks: what to fill beside the panoptic map: "instance" (the map's things), "semantic" (the class of every
            pixel, also of those that area limits leave void).

    Returns:
        B predictions at the original sizes. Ids are int32, 1..S: things in the row-major order of their centres, then
        stuff in the order of classes. A thing's score is the mean softmax probability of its class over its pixels
        times the heat at its centre; a stuff segment's is the mean probability. Both are taken where decisions are
        made (``config.resize_order``).

    Raises:
        UserError: the numbers of images or of classes disagree.
    """
    check_agreement(output, len(output.semantic_logits), taxonomy, placements)
    # Under a caller's autocast the resizing would run in bfloat16, which moves borders.
    with autocast_off(output.semantic_logits.device):
        selections = output.classes if output.classes is not None else [None] * len(placements)
        return [
            _predict_one(*maps, taxonomy, config, placement, tasks)
            for *maps, placement in zip(
                output.semantic_logits,
                selections,
                output.center_heatmap,
                output.center_offset,
                placements,
                strict=True,
            )
        ]


def _predict_one(
    semantic_logits: Tensor,
    selection: Tensor | None,
    heatmap: Tensor,
    offset: Tensor,
    taxonomy: Taxonomy,
    config: CenterMergeConfig,
    placement: Placement,
    tasks: frozenset[Task],
) -> Prediction:
    """(k, h, w), the classes (k,) of those channels, (1, h, w) and (2, h, w) to the prediction of one image."""
    at_original = config.resize_order == "logits_first"
    grid = decision_grid(semantic_logits.shape[-2:], placement, at_original)
    classes, probability = most_likely_classes(semantic_logits, grid, config.chunk_rows, selection)
    pixels = np.flatnonzero(taxonomy.is_thing().numpy()[classes])
    things = _group_things(pixels, heatmap, offset, placement, config)

    thing_class = majority_classes(things, classes, taxonomy.num_classes)
    own = classes.reshape(-1)[things.pixels]
    thing_probability = probability.reshape(-1)[things.pixels]
    assigned = thing_class[things.owner]
    outvoted = np.flatnonzero(own != assigned)
    channels = _channels(assigned[outvoted], selection, taxonomy.num_classes)
    thing_probability[outvoted] = probability_at(semantic_logits, grid, things.pixels[outvoted], channels)

    canvas = paint_centers(classes, probability, things, thing_class, thing_probability, taxonomy, config)
    if not at_original:
        canvas = Canvas(to_original(canvas.ids, placement), canvas.segments)
        classes = to_original(classes, placement) if "semantic" in tasks else classes
    panoptic = canvas.to_map()
    return Prediction(
        panoptic,
        instances=instances_of(panoptic, taxonomy) if "instance" in tasks else None,
        semantic=classes if "semantic" in tasks else None,
    )


def _channels(classes: np.ndarray, selection: Tensor | None, num_classes: int) -> np.ndarray:
    """(P,) class index, all of selected classes, to (P,) channel."""
    if selection is None:
        return classes
    labels = torch.from_numpy(classes).long().to(selection.device)
    return channels_of(labels[None], selection[None], num_classes)[0].cpu().numpy()


def _group_things(
    pixels: np.ndarray, heatmap: Tensor, offset: Tensor, placement: Placement, config: CenterMergeConfig
) -> Things:
    """Gives each thing pixel (P,) to the centre nearest to its vote; without a centre, to none."""
    at_original = config.resize_order == "logits_first"
    none = Things(np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0))
    if pixels.size == 0:
        return none
    heat = resize_maps(heatmap, placement, at_original)[0]
    centers = find_centers(heat, config)
    if len(centers) == 0:
        if config.uncentred_things == "void":
            warn_of_uncentred_things()
            return none
        centers = hottest_point(heat)
    size = (heat.shape[0], heat.shape[1])
    return Things(pixels, _owners(pixels, offset, centers, size, placement, at_original), centers.heat)


def _owners(
    pixels: np.ndarray,
    offset: Tensor,
    centers: Centers,
    size: tuple[int, int],
    placement: Placement,
    at_original: bool,
) -> np.ndarray:
    """(P,) int64. Votes are float64: a float32 at column 2048 is only good to 1e-4 of a pixel."""
    growth = offset_growth(offset.shape[-2:], placement, at_original)
    resized = resize_maps(offset, placement, at_original).flatten(1).numpy()
    vote_y, vote_x = (
        position + resized[axis, pixels].astype(np.float64) * growth[axis]
        for axis, position in enumerate(np.divmod(pixels, size[1]))
    )
    return nearest_centers(vote_y, vote_x, centers, size)
