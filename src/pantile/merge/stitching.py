"""From predictions of overlapping tiles to the prediction of the whole image.

*Things* are joined over seams: two segments of one class in two tiles are the same thing when, within the strip that
both tiles see, their intersection is more than half of their union. No segment can have two such partners in one tile.
Pairs are joined transitively, so a thing that spans four tiles becomes one segment. A thing whose parts do not
overlap so much in any strip stays several.

*Stuff* of one class is one segment, as everywhere.

*Models that only classify pixels* (``Prediction.per_class``) have one segment per class, of things too; a pixel's class
is that of the largest averaged evidence, whether or not a tile alone says so.

*Classes of the image as a whole* (``classes_of_tiles``) are those of any tile.

*Pixels* that several tiles see: where the tiles agree, that is the answer. Where they do not, it is the label, among
those that the tiles give, with the most class evidence, averaged over all tiles with weights that grow from a tile's
border inwards; the evidence of a tile that sees another thing of the class there does not count for a thing. A pixel
becomes void when the tiles that leave it void weigh more than the others.

Tiles are taken one by one. Of K classes at H x W pixels, evidence exists for a few thousand pixels at a time, fewer
where classes are many; logits are held, at the network's own stride, of as many tiles as lie side by side.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from pantile.contracts.panoptic import PanopticMap, Segment
from pantile.contracts.predictions import Prediction
from pantile.contracts.taxonomy import Taxonomy
from pantile.merge.area_limits import AreaLimits
from pantile.merge.classes_of_tiles import ClassesOfTiles
from pantile.merge.joining import SAME_THING, Groups
from pantile.merge.registry import ClassEvidence
from pantile.merge.tile_layout import Cell, TileLayout, Window

if TYPE_CHECKING:
    from pantile.merge.instance_stitching import InstanceJoiner

_CHUNK = (64, 256)  # pixels whose evidence exists at a time, of up to 200 classes
_CHUNK_CLASSES = 200
_ROWS_AT_A_TIME = 512


@dataclass(frozen=True)
class TilePrediction:
    """What is known of one tile.

    Attributes:
        prediction: of the tile alone, at the tile's size.
        evidence: takes windows of the tile.
    """

    prediction: Prediction
    evidence: ClassEvidence


def stitch(
    tiles: Iterable[TilePrediction], layout: TileLayout, taxonomy: Taxonomy, limits: AreaLimits | None = None
) -> Prediction:
    """One prediction of an image from those of its tiles.

    Args:
        tiles: one for each of ``layout.windows``, in that order; taken one by one, so a generator never holds more
            than its current tile.
        taxonomy: K classes.
        limits: smaller segments of the stitched image become void.

    Returns:
        Ids are int32, 1..S: stuff in the order of classes, then things in the order of their first tile. A segment's
        score is the mean of its parts' scores, weighted by their pixels. Instances, where the tiles have them, are
        joined as things are, each part with its best partner; the class of a pixel, where the tiles have it, is
        that of the largest averaged evidence.
    """
    mosaic = _Mosaic(layout, taxonomy)
    for tile in tiles:
        mosaic.add(tile)
    return mosaic.finish(limits or AreaLimits())


@dataclass(frozen=True)
class _Pending:
    """A tile with pixels that later tiles see too.

    Attributes:
        window: where it lies.
        nodes: (h, w) int32, see ``_Mosaic``.
        classes: (h, w) class index per pixel, or None.
        evidence: takes windows of the tile.
        row_weight, column_weight: (h,) and (w,) float32; a pixel weighs their product.
    """

    window: Window
    nodes: np.ndarray
    classes: np.ndarray | None
    evidence: ClassEvidence
    row_weight: np.ndarray
    column_weight: np.ndarray


class _Mosaic:
    """The image so far.

    Labels are nodes of a graph whose groups become segments: 0 is void, 1 + k stuff of class k, and every thing of
    every tile has a node of its own.
    """

    def __init__(self, layout: TileLayout, taxonomy: Taxonomy) -> None:
        self.layout = layout
        self.taxonomy = taxonomy
        self.first_thing = 1 + taxonomy.num_classes
        self.nodes = np.zeros(layout.size, np.int32)
        self.classes: np.ndarray | None = None
        self.instances: InstanceJoiner | None = None
        self.per_class = False
        self.of_image = ClassesOfTiles()
        self.groups = Groups(self.first_thing)
        self.class_of = [-1, *range(taxonomy.num_classes)]
        self.weighted_score = [0.0] * self.first_thing
        self.weight = [0] * self.first_thing
        self.added = 0
        self.pending: dict[int, _Pending] = {}
        self.open_cells = Counter(tile for cell in layout.cells for tile in cell.tiles)
        self.cells_until: dict[int, list[Cell]] = defaultdict(list)
        for cell in layout.cells:
            self.cells_until[cell.tiles[-1]].append(cell)

    def add(self, tile: TilePrediction) -> None:
        number, window = self.added, self.layout.windows[self.added]
        if tile.prediction.panoptic.size != window.size:
            raise ValueError(f"tile {number} is {tile.prediction.panoptic.size}, its window {window.size}")
        self.added += 1
        self.per_class = tile.prediction.per_class
        self.of_image.add(tile.prediction)
        new = _Pending(
            window,
            self._number(tile.prediction),
            tile.prediction.semantic,
            tile.evidence,
            *_border_weights(window, self.layout.size),
        )
        for other in self.pending.values():
            common = window.common(other.window)
            if common:
                self._join(new.nodes[common.within(window).slices], other.nodes[common.within(other.window).slices])
        if tile.prediction.instances is not None:
            if self.instances is None:
                from pantile.merge.instance_stitching import InstanceJoiner  # it needs pycocotools and scipy

                self.instances = InstanceJoiner(self.layout.size)
            self.instances.add(window, tile.prediction.instances)
        if new.classes is not None and self.classes is None:
            self.classes = np.full(self.layout.size, -1, np.int32)

        self.pending[number] = new
        root_of, class_of = self.groups.roots(), np.array(self.class_of)
        for cell in self.cells_until[number]:
            self._settle(cell, root_of, class_of)
            self.open_cells.subtract(cell.tiles)
        self.pending = {n: tile for n, tile in self.pending.items() if self.open_cells[n] > 0}

    def _number(self, prediction: Prediction) -> np.ndarray:
        """(h, w) int32 nodes; notes classes and scores."""
        panoptic = prediction.panoptic
        areas = np.bincount(panoptic.ids.reshape(-1), minlength=max((s.id for s in panoptic.segments), default=0) + 1)
        node_of_id = np.zeros(areas.size, np.int32)
        for segment in panoptic.segments:
            if self.taxonomy.classes[segment.class_index].is_thing and not prediction.per_class:
                node = self.groups.add()
                self.class_of.append(segment.class_index)
                self.weighted_score.append(0.0)
                self.weight.append(0)
            else:
                node = 1 + segment.class_index
            node_of_id[segment.id] = node
            area = int(areas[segment.id])
            self.weighted_score[node] += area * segment.score
            self.weight[node] += area
        return node_of_id[panoptic.ids]

    def _join(self, one: np.ndarray, other: np.ndarray) -> None:
        """Joins the things of two maps (h, w) of the same strip."""
        areas = {}
        for nodes in (one, other):
            areas |= dict(zip(*(found.tolist() for found in np.unique(nodes, return_counts=True)), strict=True))
        both = (one >= self.first_thing) & (other >= self.first_thing)
        pairs, counts = np.unique(one[both].astype(np.int64) << 32 | other[both], return_counts=True)
        for pair, count in zip(pairs.tolist(), counts.tolist(), strict=True):
            a, b = pair >> 32, pair & 0xFFFFFFFF
            if self.class_of[a] == self.class_of[b] and count > SAME_THING * (areas[a] + areas[b] - count):
                self.groups.join(a, b)

    def _settle(self, cell: Cell, root_of: np.ndarray, class_of: np.ndarray) -> None:
        """Decides the pixels of a cell whose tiles are all there."""
        tiles = [self.pending[n] for n in cell.tiles]
        crops = [cell.window.within(tile.window).slices for tile in tiles]
        if len(tiles) == 1:
            self.nodes[cell.window.slices] = tiles[0].nodes[crops[0]]
            if self.classes is not None:
                self.classes[cell.window.slices] = tiles[0].classes[crops[0]]
            return
        nodes = np.stack([root_of[tile.nodes[crop]] for tile, crop in zip(tiles, crops, strict=True)])
        classes = None
        if self.classes is not None:
            classes = np.stack([tile.classes[crop] for tile, crop in zip(tiles, crops, strict=True)])
            self.classes[cell.window.slices] = classes[0]
        self.nodes[cell.window.slices] = nodes[0]
        for chunk in cell.window.chunks(*_chunk(self.taxonomy.num_classes)):
            inside = chunk.within(cell.window).slices
            of_nodes, of_classes = nodes[:, *inside], None if classes is None else classes[:, *inside]
            if _agree(of_nodes) and (of_classes is None or _agree(of_classes)):
                continue
            weights, evidence = _weighted_evidence(tiles, chunk)
            best = None
            if self.per_class or (of_classes is not None and not _agree(of_classes)):
                best = np.sum(evidence, axis=0).argmax(axis=0)
            if self.per_class:
                self.nodes[chunk.slices] = 1 + best
            elif not _agree(of_nodes):
                things = of_nodes >= self.first_thing
                self.nodes[chunk.slices] = _choose(of_nodes, things, class_of[of_nodes], evidence, weights)
            if of_classes is not None and not _agree(of_classes):
                self.classes[chunk.slices] = best

    def finish(self, limits: AreaLimits) -> Prediction:
        if self.added != len(self.layout.windows):
            raise ValueError(f"{self.added} tiles of {len(self.layout.windows)}")
        roots = self.groups.roots()
        areas = np.zeros(roots.size, np.int64)
        strips = [slice(top, top + _ROWS_AT_A_TIME) for top in range(0, self.layout.size[0], _ROWS_AT_A_TIME)]
        for strip in strips:
            areas += np.bincount(roots[self.nodes[strip]].reshape(-1), minlength=roots.size)
        is_thing = np.arange(roots.size) >= self.first_thing
        kept = np.flatnonzero(areas >= np.maximum(np.where(is_thing, limits.thing, limits.stuff), 1))
        kept = kept[kept > 0]
        id_of_root = np.zeros(roots.size, np.int32)
        id_of_root[kept] = 1 + np.arange(kept.size)
        for strip in strips:
            self.nodes[strip] = id_of_root[roots[self.nodes[strip]]]

        scores = np.bincount(roots, self.weighted_score) / np.maximum(np.bincount(roots, self.weight), 1)
        segments = (
            Segment(number, self.class_of[root], score=float(scores[root]))
            for number, root in enumerate(kept.tolist(), start=1)
        )
        return Prediction(
            PanopticMap(self.nodes, tuple(segments)),
            None if self.instances is None else self.instances.finish(),
            self.classes,
            self.of_image.presence,
            self.of_image.selected,
            self.per_class,
        )


def _choose(
    nodes: np.ndarray, things: np.ndarray, classes: np.ndarray, evidence: list[np.ndarray], weights: np.ndarray
) -> np.ndarray:
    """The label of each pixel of which T tiles say different things.

    Args:
        nodes: (T, r, c) int32 roots, 0 is void.
        things: (T, r, c) bool.
        classes: (T, r, c) class index of each label; anything at void.
        evidence: T of (K, r, c) float32, weighted.
        weights: (T, r, c) float32.

    Returns:
        (r, c) int32
    """
    support = np.empty(nodes.shape, np.float32)
    for said, (label, thing, class_index) in enumerate(zip(nodes, things, classes, strict=True)):
        index = np.maximum(class_index, 0)[None]
        of_class = np.concatenate([np.take_along_axis(values, index, axis=0) for values in evidence])  # (T, r, c)
        another = thing & things & (nodes != label) & (classes == class_index)
        support[said] = np.where(another, 0, of_class).sum(axis=0)
    support[nodes == 0] = -1
    best = np.take_along_axis(nodes, support.argmax(axis=0)[None], axis=0)[0]
    void = np.where(nodes == 0, weights, 0).sum(axis=0) > weights.sum(axis=0) / 2
    return np.where(void, 0, best)


def _chunk(num_classes: int) -> tuple[int, int]:
    """(height, width) of the pixels whose evidence exists at a time."""
    return max(1, min(_CHUNK[0], _CHUNK[0] * _CHUNK_CLASSES // num_classes)), _CHUNK[1]


def _agree(labels: np.ndarray) -> bool:
    """(T, r, c)"""
    return bool((labels[1:] == labels[0]).all())


def _weighted_evidence(tiles: list[_Pending], chunk: Window) -> tuple[np.ndarray, list[np.ndarray]]:
    """(T, r, c) weights and T times (K, r, c) weighted evidence."""
    weights, evidence = [], []
    for tile in tiles:
        inside = chunk.within(tile.window)
        rows, columns = inside.slices
        weights.append(tile.row_weight[rows, None] * tile.column_weight[columns])
        evidence.append(tile.evidence(inside) * weights[-1])
    return np.stack(weights), evidence


def _border_weights(window: Window, size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """For rows and columns, the distance to the nearest border that cuts the image; 1 at that border."""
    weights = []
    for start, end, length in ((window.top, window.bottom, size[0]), (window.left, window.right, size[1])):
        steps = np.arange(end - start, dtype=np.float32)
        from_start = steps + 1 if start > 0 else np.full_like(steps, end - start)
        from_end = steps[::-1] + 1 if end < length else np.full_like(steps, end - start)
        weights.append(np.minimum(from_start, from_end))
    return weights[0], weights[1]
