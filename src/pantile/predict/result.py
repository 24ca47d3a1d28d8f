"""PanopticResult: the one object that a prediction gives."""

from dataclasses import dataclass

import numpy as np

from pantile.contracts.panoptic import PanopticMap, Segment
from pantile.contracts.taxonomy import Taxonomy
from pantile.data.image_files import as_rgb
from pantile.data.raster_file import RasterImage
from pantile.data.write_coco import segments_info
from pantile.visualize import overlay_with_legend


@dataclass(frozen=True)
class PanopticResult:
    """A panoptic prediction of one image.

    Attributes:
        image: (H, W, C) uint8, as it was read: RGB, or the bands that the model takes. Of a large raster that was
            predicted in tiles a ``RasterImage``, which reads what is sliced of it.
        panoptic: the id map at the image's size and its segments.
        taxonomy: names and colours of ``class_index``.
    """

    image: np.ndarray | RasterImage
    panoptic: PanopticMap
    taxonomy: Taxonomy

    @property
    def map(self) -> np.ndarray:
        """(H, W) int32 segment ids, 0 is void."""
        return self.panoptic.ids

    @property
    def segments(self) -> tuple[Segment, ...]:
        return self.panoptic.segments

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
        return overlay_with_legend(as_rgb(np.asarray(self.image)), self.panoptic, self.taxonomy)

    def to_coco(self) -> list[dict]:
        """``segments_info`` of a COCO-panoptic annotation, with scores; areas and boxes counted from the pixels."""
        rows = segments_info(self.panoptic, self.taxonomy)
        return [row | {"score": round(segment.score, 4)} for row, segment in zip(rows, self.segments, strict=True)]
