"""PanopticResult: the one object that a prediction gives."""

import io
import json
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from pantile.contracts.atomic import replacing
from pantile.contracts.errors import UserError
from pantile.contracts.panoptic import PanopticMap, Segment, ids_to_rgb
from pantile.contracts.taxonomy import Taxonomy
from pantile.data.image_files import as_rgb, save_image
from pantile.data.raster_file import RasterImage
from pantile.data.segment_rows import segments_info
from pantile.visualize import overlay_with_legend

PICTURES = (".png", ".jpg", ".jpeg", ".webp")
_NAMED = 5  # classes in the short form
_SHOWN_SIDE = 1024  # pixels at most in a notebook


def information(per_class: bool) -> dict:
    """What a COCO-panoptic JSON of predictions says of all its segments; nothing where they are what is usual."""
    if not per_class:
        return {}
    text = "One segment for each class in an image, of things too: the model classifies pixels and finds no instances."
    return {"info": {"description": text, "segments": "per class"}}


@dataclass(frozen=True, repr=False, eq=False)
class PanopticResult:
    """A panoptic prediction of one image. N is the number of its segments.

    Attributes:
        image: (H, W, C) uint8, as it was read: RGB, or the bands that the model takes. Of a large raster that was
            predicted in tiles a ``RasterImage``, which reads what is sliced of it.
        panoptic: the id map at the image's size and its segments.
        taxonomy: names and colours of ``class_index``.
        per_class: a segment is all pixels of its class, of things too: the model does not tell them apart.
    """

    image: np.ndarray | RasterImage
    panoptic: PanopticMap
    taxonomy: Taxonomy
    per_class: bool = False

    def __repr__(self) -> str:
        """Such as ``PanopticResult(480x640, 5 segments: 3 person, sky, road)``, the size as height x width."""
        height, width = self.map.shape
        counts = Counter(map(self.class_name, self.segments)).most_common()
        parts = [name if n == 1 else f"{n} {name}" for name, n in counts[:_NAMED]]
        parts += ["..."] if len(counts) > _NAMED else []
        number = len(self.segments)
        return f"PanopticResult({height}x{width}, {number} segment{'s' * (number != 1)}{': ' * bool(parts)}" + (
            f"{', '.join(parts)})"
        )

    def _repr_jpeg_(self) -> bytes:
        """The overlay, which a notebook shows where it would print the result."""
        shown = Image.fromarray(self.overlay())
        shown.thumbnail((_SHOWN_SIDE, _SHOWN_SIDE))
        content = io.BytesIO()
        shown.save(content, "JPEG", quality=90)
        return content.getvalue()

    @property
    def map(self) -> np.ndarray:
        """(H, W) int32 segment ids, 0 is void."""
        return self.panoptic.ids

    @property
    def segments(self) -> tuple[Segment, ...]:
        """N rows: id, class index, score."""
        return self.panoptic.segments

    @property
    def masks(self) -> np.ndarray:
        """(N, H, W) bool: the pixels of each segment, in the order of ``segments``; no pixel is in two of them."""
        masks = np.zeros((len(self.segments), *self.map.shape), dtype=bool)
        for mask, segment in zip(masks, self.segments, strict=True):
            np.equal(self.map, segment.id, out=mask)
        return masks

    @property
    def boxes(self) -> np.ndarray:
        """(N, 4) int64: left, top, right, bottom (xyxy) of each segment's pixels, in the order of ``segments``.

        In pixels from the upper left corner; right and bottom are the first column and row beyond the segment, so
        that right - left is its width, and ``image[top:bottom, left:right]`` its part of the image. A segment without
        pixels has zeros.
        """
        boxes = np.zeros((len(self.segments), 4), dtype=np.int64)
        for box, mask in zip(boxes, self.masks, strict=True):
            rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
            if len(rows):
                box[:] = columns[0], rows[0], columns[-1] + 1, rows[-1] + 1
        return boxes

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

    def coco_file(self, image: str, png: str) -> dict:
        """The content of a COCO-panoptic JSON of this one image, ``image_id`` 1.

        Args:
            image, png: names of the image and of the PNG of its ids.
        """
        height, width = self.map.shape
        return information(self.per_class) | {
            "images": [{"id": 1, "file_name": image, "height": height, "width": width}],
            "annotations": [{"image_id": 1, "file_name": png, "segments_info": self.to_coco()}],
            "categories": self.taxonomy.to_coco(),
        }

    def save(self, path: str | Path) -> Path:
        """Writes the overlay, or the prediction itself; atomic, and what is there is replaced.

        Args:
            path: ``.png``, ``.jpg`` or ``.webp`` is a picture of ``overlay()``. ``.json`` is COCO-panoptic of this one
                image, ``image_id`` 1, with its ids as a PNG in the folder of the same name: ``x.json`` and ``x/x.png``.

        Returns:
            The path.

        Raises:
            UserError: another ending.
        """
        path = Path(path)
        if path.suffix.lower() in PICTURES:
            with replacing(path) as temporary:
                Image.fromarray(self.overlay()).save(temporary, quality=95)
            return path
        if path.suffix.lower() != ".json":
            raise UserError(f"{path}: end the name in {', '.join(PICTURES)} for a picture, or in .json for the labels.")
        name = f"{path.stem}.png"
        save_image(ids_to_rgb(self.map), path.with_suffix("") / name)
        with replacing(path) as temporary:
            temporary.write_text(json.dumps(self.coco_file(name, name)), encoding="utf-8")
        return path
