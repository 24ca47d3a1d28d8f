"""PanopticResult: the one object that a prediction gives."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from pantile.contracts.panoptic import PanopticMap, Segment
from pantile.contracts.taxonomy import Taxonomy
from pantile.visualize import overlay_with_legend


@dataclass(frozen=True)
class PanopticResult:
    """A panoptic prediction of one image.

    Attributes:
        image: (H, W, 3) uint8 RGB, as it was read.
        panoptic: the id map at the image's size and its segments.
        taxonomy: names and colours of ``class_index``.
    """

    image: np.ndarray
    panoptic: PanopticMap
    taxonomy: Taxonomy

    @property
    def map(self) -> np.ndarray:
        """(H, W) int32 segment ids, 0 is void."""
        return self.panoptic.ids

    @property
    def segments(self) -> tuple[Segment, ...]:
        return self.panoptic.segments

    @cached_property
    def areas(self) -> dict[int, int]:
        """Segment id -> pixels."""
        counts = np.bincount(self.map.ravel(), minlength=1)
        return {segment.id: int(counts[segment.id]) if segment.id < len(counts) else 0 for segment in self.segments}

    def class_name(self, segment: Segment) -> str:
        return self.taxonomy.names[segment.class_index]

    def semantic(self, void: int = 255) -> np.ndarray:
        """(H, W) int32 class index per pixel, ``void`` where there is no segment."""
        table = np.full(max((s.id for s in self.segments), default=0) + 1, void, dtype=np.int32)
        for segment in self.segments:
            table[segment.id] = segment.class_index
        return table[self.map]

    def overlay(self) -> np.ndarray:
        """(H, W', 3) uint8: the image with coloured segments, and a legend beside it."""
        return overlay_with_legend(self.image, self.panoptic, self.taxonomy)

    def to_coco(self) -> list[dict]:
        """``segments_info`` of a COCO-panoptic annotation; areas and boxes counted from the pixels."""
        boxes = segment_boxes(self.map)
        return [
            {
                "id": segment.id,
                "category_id": self.taxonomy.classes[segment.class_index].id,
                "area": self.areas[segment.id],
                "bbox": boxes.get(segment.id, [0, 0, 0, 0]),
                "iscrowd": 0,
                "score": round(segment.score, 4),
            }
            for segment in self.segments
        ]


def segment_boxes(ids: np.ndarray) -> dict[int, list[int]]:
    """Segment id -> [left, top, width, height] in pixels.

    Args:
        ids: (H, W) consecutive small ids, 0 is void.
    """
    from scipy.ndimage import find_objects

    return {
        number: [box[1].start, box[0].start, box[1].stop - box[1].start, box[0].stop - box[0].start]
        for number, box in enumerate(find_objects(ids), start=1)
        if box is not None
    }
