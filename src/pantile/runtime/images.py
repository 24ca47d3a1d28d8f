"""From an image to its prediction by an exported network, as a whole or in tiles: ``inference.images``."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Protocol

import numpy as np

from pantile.contracts.placement import Placement
from pantile.contracts.predictions import Prediction, Task
from pantile.data.raster_file import RasterImage
from pantile.inference.tiles import Tiling, Track, plan_tiles
from pantile.merge.area_limits import split_area_limits
from pantile.merge.registry import MergeConfig
from pantile.merge.stitching import TilePrediction, stitch
from pantile.runtime.fitting import network_input
from pantile.runtime.header import Header
from pantile.runtime.inside import check_use, prediction_of_table
from pantile.runtime.kinds import Maps
from pantile.runtime.merging import array_evidence, merge_arrays

PANOPTIC: frozenset[Task] = frozenset({"panoptic"})


class ExportedFile(Protocol):
    """An exported network, whatever runs it."""

    path: Path
    header: Header

    def run(self, images: np.ndarray, padding: np.ndarray) -> dict[str, np.ndarray]:
        """(B, C, H, W) uint8 and (B, H, W) bool to tensors by name."""


def predict_image(
    file: ExportedFile,
    image: np.ndarray | RasterImage,
    tiling: Tiling | None = None,
    tasks: frozenset[Task] = PANOPTIC,
    track: Track | None = None,
) -> Prediction:
    """The prediction of one image at its own size, in tiles where there is more than one.

    Args:
        file: with the network.
        image: (H, W, C) uint8.
        tiling: None takes the image as a whole.
        tasks: what to fill beside the panoptic map.
        track: sees the tiles go by, where there are several.
    """
    header = file.header
    if header.inside is not None:
        check_use(str(file.path), tiling, tasks)
    plan = plan_tiles((image.shape[0], image.shape[1]), tiling, header.evaluation_size)
    windows, placement = plan.layout.windows, header.sizes.padded(plan.placement)
    if len(windows) == 1:
        return merged(header, _maps(file, image[windows[0].slices], placement), header.merge, placement, tasks)
    config, limits = split_area_limits(header.merge, placement)

    def predictions() -> Iterator[TilePrediction]:
        for window in windows if track is None else track(windows):
            maps = _maps(file, image[window.slices], placement)
            evidence = array_evidence(maps, config, placement, header.taxonomy.num_classes)
            yield TilePrediction(merged(header, maps, config, placement, tasks), evidence)

    return stitch(predictions(), plan.layout, header.taxonomy, limits)


def whole_placement(header: Header, image: np.ndarray) -> Placement:
    """Where (H, W, C) pixels lie in the graph's input, taken as a whole."""
    return header.sizes.padded(plan_tiles((image.shape[0], image.shape[1]), None, header.evaluation_size).placement)


def run_images(file: ExportedFile, images: Sequence[np.ndarray], placements: Sequence[Placement]) -> list[Maps]:
    """The tensors of each image; they go through the graph together where it takes any number.

    Args:
        images: (H, W, C) uint8 each.
        placements: of each, in inputs of one size.
    """
    if file.header.sizes.batch is not None or len(images) == 1:
        return [_maps(file, image, placement) for image, placement in zip(images, placements, strict=True)]
    inputs = [network_input(image, placement) for image, placement in zip(images, placements, strict=True)]
    outputs = file.run(*map(np.concatenate, zip(*inputs, strict=True)))
    return [{name: values[index].copy() for name, values in outputs.items()} for index in range(len(images))]


def merged(header: Header, maps: Maps, config: MergeConfig, placement: Placement, tasks: frozenset[Task]) -> Prediction:
    """The prediction that the tensors of one image say."""
    if header.inside is not None:
        return prediction_of_table(maps, header.merge.kind, placement)
    return merge_arrays(maps, header.taxonomy, config, placement, tasks)


def _maps(file: ExportedFile, image: np.ndarray, placement: Placement) -> dict[str, np.ndarray]:
    outputs = file.run(*network_input(image, placement))
    return {name: values[0] for name, values in outputs.items()}
