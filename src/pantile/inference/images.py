"""From images to predictions at the images' own sizes: a batch that fits the network, or one image in tiles."""

from collections.abc import Iterator, Sequence
from dataclasses import fields, replace
from functools import partial
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from pantile.contracts.errors import UserError
from pantile.contracts.outputs import MaskOutput, ModelOutput
from pantile.contracts.placement import Placement, padding_mask
from pantile.contracts.predictions import Prediction, Task
from pantile.contracts.videos import TrackedInstance
from pantile.data.raster_file import RasterImage
from pantile.data.resize import image_tensor, pad_bottom_right, resize_image
from pantile.inference.network import Network
from pantile.inference.tiles import Tiling, Track, plan_tiles
from pantile.inference.views import Views, forward_views
from pantile.merge import merge
from pantile.merge.area_limits import split_area_limits
from pantile.merge.class_evidence import class_evidence
from pantile.merge.clip_instances import clip_instances
from pantile.merge.stitching import TilePrediction, stitch
from pantile.merge.tile_layout import Window

PANOPTIC: frozenset[Task] = frozenset({"panoptic"})


def predict_batch(
    network: Network,
    images: Tensor,
    placements: Sequence[Placement],
    views: Views,
    tasks: frozenset[Task] = PANOPTIC,
) -> list[Prediction]:
    """The predictions of images that are fitted into one input size, each at its own size.

    Args:
        images: (B, C, H, W) uint8, padded, on the network's device.
        placements: B entries, where each image lies in the input.
        views: averaged over.
        tasks: what to fill beside the panoptic map.
    """
    output = _output(network, images, placements, views)
    return merge(output, network.taxonomy, network.merge, placements, tasks)


def predict_image(
    network: Network,
    image: np.ndarray | RasterImage | Tensor,
    views: Views,
    tiling: Tiling | None = None,
    tasks: frozenset[Task] = PANOPTIC,
    track: Track | None = None,
) -> Prediction:
    """The prediction of one image at its own size, in tiles where there is more than one.

    Memory: the image (of a ``RasterImage`` only a tile) and its id map, the network at work on one tile, and the
    logits of one row of tiles.

    Args:
        network: of eval mode.
        image: (H, W, C) uint8, or a (C, H, W) uint8 tensor on any device.
        views: averaged over within each tile.
        tiling: None takes the image as a whole.
        tasks: what to fill beside the panoptic map.
        track: sees the tiles go by, where there are several.
    """
    height, width = image.shape[1:] if isinstance(image, Tensor) else image.shape[:2]
    plan = plan_tiles((height, width), tiling, network.evaluation_size)
    windows, placement = plan.layout.windows, plan.placement

    def output_of(window: Window) -> ModelOutput:
        return _window_output(network, image, window, placement, views)

    if len(windows) == 1:
        return merge(output_of(windows[0]), network.taxonomy, network.merge, [placement], tasks)[0]
    config, limits = split_area_limits(network.merge, placement)

    def predictions() -> Iterator[TilePrediction]:
        for window in windows if track is None else track(windows):
            output = output_of(window)
            (prediction,) = merge(output, network.taxonomy, config, [placement], tasks)
            yield TilePrediction(prediction, class_evidence(output, config, placement))

    with torch.no_grad():
        return stitch(predictions(), plan.layout, network.taxonomy, limits)


def image_outputs(
    network: Network, images: Sequence[np.ndarray], placements: Sequence[Placement], views: Views
) -> list[ModelOutput]:
    """What ``merge`` takes, for each image alone, of images that go through the network together.

    Args:
        images: (H, W, C) uint8 each.
        placements: of each, as a whole, in inputs of one size.
    """
    inputs = [_fitted(image, placement) for image, placement in zip(images, placements, strict=True)]
    with torch.inference_mode():
        output = _output(network, torch.cat(inputs).to(network.device), placements, views)
        return [output] if len(images) == 1 else [entry(output, index) for index in range(len(images))]


def entry(output: ModelOutput, index: int) -> ModelOutput:
    """One image of a batch, as a batch of one; in eval mode, where an output has no earlier layers."""
    tensors = {item.name: value for item in fields(output) if isinstance(value := getattr(output, item.name), Tensor)}
    return replace(output, **{name: value[index : index + 1].clone() for name, value in tensors.items()})


def predict_frame(
    network: Network, image: np.ndarray, views: Views, tiling: Tiling | None = None
) -> tuple[Prediction, np.ndarray | None]:
    """``predict_image`` of a frame, and (N, D) float32 embeddings of its queries for tracking; None where there are no
    queries, or several tiles."""
    plan = plan_tiles((image.shape[0], image.shape[1]), tiling, network.evaluation_size)
    if len(plan.layout.windows) > 1:
        return predict_image(network, image, views, tiling), None
    output = _window_output(network, image, plan.layout.windows[0], plan.placement, views)
    (prediction,) = merge(output, network.taxonomy, network.merge, [plan.placement])
    embed = output.query_embed if isinstance(output, MaskOutput) else None
    return prediction, None if embed is None else embed[0].float().cpu().numpy()


class ClipPredictions(NamedTuple):
    """Of T frames.

    Attributes:
        predictions: T entries; of equal ``queries`` are segments that are one thing.
        embeds: T entries of (N, D) float32 embeddings of queries; None where there are no queries.
        carried: with which the next clip of the film goes on, of a model that carries its queries on; else None.
        instances: of the whole clip, where the merge makes instances of queries; else None.
    """

    predictions: list[Prediction]
    embeds: list[np.ndarray | None]
    carried: Tensor | None
    instances: tuple[TrackedInstance, ...] | None


def predict_clip(
    network: Network, images: Sequence[np.ndarray], views: Views, carried: Tensor | None = None
) -> ClipPredictions:
    """The predictions of the frames of a clip, which the network sees at once.

    Args:
        network: of a model that reads clips.
        images: T of (H, W, C) uint8, of one size.
        views: averaged over.
        carried: of the clip before.

    Raises:
        UserError: several views of a model that carries its queries on.
    """
    placement = plan_tiles((images[0].shape[0], images[0].shape[1]), None, network.evaluation_size).placement
    frames = (resize_image(image_tensor(image), placement.content) for image in images)
    tensor = torch.stack([pad_bottom_right(frame, placement.padded) for frame in frames]).to(network.device)
    placements = [placement] * len(images)
    options = {"frames": len(images)} | ({} if carried is None else {"queries": carried})
    with torch.inference_mode():
        seen = network.normalised(tensor, padding_mask(placements))
        output = forward_views(partial(network.output_of, **options), seen, views)
    is_masks = isinstance(output, MaskOutput)
    carried = output.next_queries if is_masks else None
    if carried is not None and not views.is_single:
        raise UserError(
            "This model carries its queries from frame to frame, of one view: leave --scales and --flip out."
        )
    embeds = list(output.query_embed.float().cpu().numpy()) if is_masks else [None] * len(images)
    instances, count = None, getattr(network.merge, "instances", None)
    if is_masks and count is not None:
        (instances,) = clip_instances(output, network.taxonomy, placements, count)
    return ClipPredictions(merge(output, network.taxonomy, network.merge, placements), embeds, carried, instances)


def _window_output(
    network: Network, image: np.ndarray | RasterImage | Tensor, window: Window, placement: Placement, views: Views
) -> ModelOutput:
    part = image[:, *window.slices].cpu() if isinstance(image, Tensor) else image[window.slices]
    tensor = _fitted(part, placement).to(network.device)
    with torch.inference_mode():
        return _output(network, tensor, [placement], views)


def _fitted(image: np.ndarray | Tensor, placement: Placement) -> Tensor:
    """(1, C, *padded) uint8 of (H, W, C) or of a (C, H, W) tensor."""
    pixels = image if isinstance(image, Tensor) else image_tensor(image)
    return pad_bottom_right(resize_image(pixels, placement.content), placement.padded)[None]


def _output(network: Network, images: Tensor, placements: Sequence[Placement], views: Views) -> ModelOutput:
    return forward_views(network.output_of, network.normalised(images, padding_mask(placements)), views)
