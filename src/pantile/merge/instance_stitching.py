"""Joining overlapping instances of tiles, as run-length encodings, into instances of the whole image.

Within the strip that two tiles share, instances of one class are paired one to one, so that the sum of their
intersections over unions is largest; a pair above ``SAME_THING`` is one instance. Unlike segments, instances of a tile
may overlap each other, so pairing one to one is what keeps the second-best guess of a thing from being glued to the
best.
"""

from collections import defaultdict
from collections.abc import Sequence

import numpy as np
from pycocotools import mask as coco_mask
from scipy.optimize import linear_sum_assignment

from pantile.contracts.predictions import Instance
from pantile.merge.joining import SAME_THING, Groups
from pantile.merge.tile_layout import Window


class InstanceJoiner:
    """Takes the instances of tile after tile.

    Args:
        size: (height, width) of the image.
    """

    def __init__(self, size: tuple[int, int]) -> None:
        self.size = size
        self.groups = Groups()
        self.parts: list[Instance] = []  # of every tile; a part's position is its node in the groups
        self.tiles: list[tuple[Window, range]] = []

    def add(self, window: Window, instances: Sequence[Instance]) -> None:
        """
        Args:
            window: of the tile.
            instances: their masks are of the window's size.
        """
        own = range(len(self.parts), len(self.parts) + len(instances))
        self.parts += instances
        for _ in own:
            self.groups.add()
        for other, parts in self.tiles:
            common = window.common(other)
            if common:
                self._join(own, common.within(window), parts, common.within(other))
        self.tiles.append((window, own))

    def finish(self) -> tuple[Instance, ...]:
        """Unions of joined parts, from the highest score to the lowest; scores are means weighted by pixels."""
        window_of = {part: window for window, parts in self.tiles for part in parts}
        members = defaultdict(list)
        for part, root in enumerate(self.groups.roots().tolist()):
            members[root].append(part)
        joined = []
        for parts in members.values():
            masks = [_placed(self.parts[part].mask, window_of[part], self.size) for part in parts]
            areas = coco_mask.area(masks).astype(np.float64)
            score = float(np.average([self.parts[part].score for part in parts], weights=areas))
            mask = masks[0] if len(masks) == 1 else coco_mask.merge(masks, intersect=False)
            joined.append(Instance(self.parts[parts[0]].class_index, score, mask))
        return tuple(sorted(joined, key=lambda instance: -instance.score))

    def _join(self, ones: range, in_ones: Window, others: range, in_others: Window) -> None:
        """Pairs two tiles' parts within their strip, which each tile counts from its own corner."""
        one, other = self._flat(ones, in_ones), self._flat(others, in_others)
        intersection = one @ other.T
        union = one.sum(axis=1)[:, None] + other.sum(axis=1) - intersection
        overlap = intersection / np.maximum(union, 1)
        classes, other_classes = ([self.parts[part].class_index for part in parts] for parts in (ones, others))
        overlap[np.not_equal.outer(classes, other_classes)] = 0
        overlap[overlap <= SAME_THING] = 0
        for row, column in zip(*linear_sum_assignment(-overlap), strict=True):
            if overlap[row, column] > 0:
                self.groups.join(ones[row], others[column])

    def _flat(self, parts: range, window: Window) -> np.ndarray:
        """(n, pixels of the window) float32 of 0 and 1; sums are exact up to 2^24 pixels."""
        height, width = window.size
        masks = np.empty((len(parts), height * width), np.float32)
        for row, part in zip(masks, parts, strict=True):
            row[:] = coco_mask.decode(self.parts[part].mask)[window.slices].reshape(-1)
        return masks


def _placed(mask: dict, window: Window, size: tuple[int, int]) -> dict:
    """The encoding of a mask of a window as one of the whole image."""
    height, width = size
    columns = coco_mask.decode(mask).T.astype(np.int8)  # (w, h): COCO counts down the columns
    steps = np.diff(columns, axis=1, prepend=0, append=0)
    column, row = steps.nonzero()  # starts and ends of runs in turns, no run over more than one column
    borders = ((window.left + column) * height + window.top + row).reshape(-1, 2)
    if len(borders) > 1:  # a run to the foot of a column and one from the head of the next are one
        apart = borders[1:, 0] > borders[:-1, 1]
        borders = np.stack([borders[np.append(True, apart), 0], borders[np.append(apart, True), 1]], axis=1)
    counts = np.diff(borders.reshape(-1), prepend=0, append=height * width)
    counts = counts if counts[-1] else counts[:-1]
    return coco_mask.frPyObjects({"size": [height, width], "counts": counts.tolist()}, height, width)
