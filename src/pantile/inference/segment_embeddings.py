"""What a trained network makes of labelled segments: a vector each, and which segments of other images are nearest.

A segment's embedding is the mean over its pixels of the features from which the network makes classes and masks, at
their own stride, of length 1. Two segments are as near as the cosine between them: what the network takes for alike,
whatever they are called.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import singledispatch

import numpy as np
import torch
from torch import Tensor

from pantile.contracts.outputs import CenterOutput, MaskOutput, ModelOutput, SemanticOutput
from pantile.contracts.panoptic import PanopticMap
from pantile.contracts.placement import Placement, padding_mask
from pantile.data import PanopticDataset
from pantile.data.resize import fit_to
from pantile.inference.network import Network

CHUNK = 1 << 16  # embeddings that are compared at once


@singledispatch
def pixel_features(output: ModelOutput) -> Tensor:
    """(B, D, h, w): what an output's classes and masks are made of, over the whole input of the network."""
    raise TypeError(f"no features of {type(output).__name__}")


@pixel_features.register
def _(output: MaskOutput | SemanticOutput) -> Tensor:
    return output.pixel_embed


@pixel_features.register
def _(output: CenterOutput) -> Tensor:
    return output.semantic_feature


@dataclass(frozen=True)
class EmbeddedSegments:
    """Segments of a data set, one a row.

    Attributes:
        images: (n,) int64, index in the data set.
        ids: (n,) int64, in the map of that image.
        classes: (n,) int64, class index.
        vectors: (n, D) float16, of length 1.
    """

    images: np.ndarray
    ids: np.ndarray
    classes: np.ndarray
    vectors: np.ndarray

    def __len__(self) -> int:
        return len(self.ids)

    def nearest(self, vectors: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
        """Rows whose cosine is the largest, the largest first; of equal ones the earlier row.

        Args:
            vectors: (m, D), of any length but 0.
            count: how many, or all where there are fewer.

        Returns:
            Rows (m, count) int64, and their cosines (m, count) float32, -1..1.
        """
        rows = np.zeros((len(vectors), 0), np.int64)
        cosines = np.zeros((len(vectors), 0), np.float32)
        for start in range(0, len(self), CHUNK):
            part = _unit(self.vectors[start : start + CHUNK])
            cosines = np.concatenate([cosines, _unit(vectors) @ part.T], axis=1)
            numbers = np.broadcast_to(np.arange(start, start + len(part)), (len(vectors), len(part)))
            rows = np.concatenate([rows, numbers], axis=1)
            best = np.argsort(-cosines, axis=1, kind="stable")[:, :count]
            rows, cosines = (np.take_along_axis(own, best, axis=1) for own in (rows, cosines))
        return rows, cosines


def embed_segments(network: Network, dataset: PanopticDataset, indices: Iterable[int]) -> EmbeddedSegments:
    """The segments of images, crowd left out; one image at a time, of which nothing but the vectors is kept.

    Args:
        dataset: with the network's classes and bands.
        indices: of the images, for a progress bar to count.
    """
    images, ids, classes, vectors = [], [], [], []
    for index in indices:
        pixels, panoptic = dataset.load(index)
        segments = [segment for segment in panoptic.segments if not segment.is_crowd]
        if not segments:
            continue
        features, placement = _features(network, pixels)
        own = mean_features(features, panoptic, [segment.id for segment in segments], placement)
        vectors.append(own.astype(np.float16))
        ids += [segment.id for segment in segments]
        classes += [segment.class_index for segment in segments]
        images += [index] * len(segments)
    numbers = (np.array(values, dtype=np.int64) for values in (images, ids, classes))
    return EmbeddedSegments(*numbers, np.concatenate(vectors) if vectors else np.zeros((0, 1), np.float16))


def mean_features(features: Tensor, panoptic: PanopticMap, segment_ids: list[int], placement: Placement) -> np.ndarray:
    """(n, D) float32 of length 1: a segment's mean of the cells in which its pixels lie, each pixel counted once.

    Args:
        features: (D, h, w) over the network's input.
        panoptic: of the image, at its own size.
        segment_ids: n of its ids, each with a pixel.
        placement: of the image in the input.
    """
    depth, rows, columns = features.shape
    down, across = (
        (np.arange(original) + 0.5) / original * content / padded * cells
        for original, content, padded, cells in zip(
            placement.original, placement.content, placement.padded, (rows, columns), strict=True
        )
    )
    cell = down.astype(np.int64).clip(max=rows - 1)[:, None] * columns + across.astype(np.int64).clip(max=columns - 1)
    order = np.argsort(segment_ids)
    ranked = np.asarray(segment_ids)[order]
    place = np.searchsorted(ranked, panoptic.ids).clip(max=len(ranked) - 1)
    known = ranked[place] == panoptic.ids
    counts = np.bincount(place[known] * (rows * columns) + cell[known], minlength=len(ranked) * rows * columns)
    pixels = np.zeros((len(ranked), rows * columns), np.float32)
    pixels[order] = counts.reshape(len(ranked), -1)
    return _unit(pixels @ features.reshape(depth, -1).T.float().cpu().numpy())


def _unit(vectors: np.ndarray) -> np.ndarray:
    """(n, D) float32 of length 1, which rounding to float16 takes a little from."""
    wide = vectors.astype(np.float32)
    return wide / np.linalg.norm(wide, axis=1, keepdims=True).clip(min=1e-12)


@torch.inference_mode()
def _features(network: Network, pixels: np.ndarray) -> tuple[Tensor, Placement]:
    """(D, h, w) of a whole image, without windows or views."""
    tensor, placement = fit_to(pixels, network.evaluation_size)
    images = network.normalised(tensor[None].to(network.device), padding_mask([placement]))
    return pixel_features(network.forward(images))[0], placement
