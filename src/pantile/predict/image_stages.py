"""What is done to one image of a job: it is read, goes through the network, is merged and written."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import numpy as np

from pantile.contracts.errors import UserError
from pantile.contracts.panoptic import PanopticMap
from pantile.contracts.taxonomy import Taxonomy
from pantile.data.id_png import save_ids
from pantile.data.image_files import save_image
from pantile.inference.tiles import Track
from pantile.predict.georeferenced import write_georeferenced
from pantile.predict.images import ImageFile
from pantile.predict.inferred import Inferred
from pantile.predict.job import Done, JobFolder, stamp_of
from pantile.predict.protocol import ImagePredictor
from pantile.predict.result import PanopticResult

Value = TypeVar("Value")

OVERLAY_SIDE = 4096  # overlays of larger images are drawn smaller: few viewers open more, and drawing takes memory


@dataclass(frozen=True)
class Read:
    """What the network is to see, and the stamp that its file had before it was read."""

    stamp: list[int]
    source: Any


@dataclass
class ImageStages:
    """Three stages, each of which may run in a thread of its own; an image's UserError takes the place of its value.

    Attributes:
        predictor: for all images.
        folder: to write.
        ids: of the images, by name.
        classes: of the JSON.
        overlays: draw them, too.
        skip_bad: go on after an image that cannot be used; else the others are only read, to find more bad ones.
        track: takes the tiles of an image that has several.
        only_read: nothing is predicted from now on.
    """

    predictor: ImagePredictor
    folder: JobFolder
    ids: Mapping[str, int | str]
    classes: Taxonomy
    overlays: bool
    skip_bad: bool
    track: Track | None = None
    only_read: bool = False

    def read(self, image: ImageFile) -> Read | UserError:
        """Pixels; but where images are cut into tiles their paths, since of large ones two may not fit into memory."""
        source = (lambda path: path) if self.predictor.tiling else self.predictor.open
        return _attempt(lambda: Read(stamp_of(image.path), source(image.path)))

    def infer(self, read: Read | UserError) -> Inferred | PanopticResult | UserError | None:
        """What the network says, to be merged; of tiles, which are merged one by one, the result."""
        if isinstance(read, UserError):
            self.only_read |= not self.skip_bad
            return read
        if self.only_read:
            return None
        if self.predictor.tiling:
            return _attempt(lambda: self.predictor(read.source, track=self.track))
        return _attempt(lambda: self.predictor.infer([read.source])[0])

    def finish(
        self, image: ImageFile, read: Read | UserError, inferred: Inferred | PanopticResult | UserError | None
    ) -> Done | UserError | None:
        """None of an image that was only read."""
        if inferred is None or isinstance(inferred, UserError):
            return inferred
        return _attempt(lambda: write_image(self, image, read.stamp, inferred))


def write_image(stages: ImageStages, image: ImageFile, stamp: list[int], inferred: Inferred | PanopticResult) -> Done:
    """The PNG and the overlay of one image, and a GeoTIFF where it has a place on the Earth."""
    predictor, folder = stages.predictor, stages.folder
    result = predictor.merge(inferred) if isinstance(inferred, Inferred) else inferred
    png, named = folder.png(image.stem), replace(result, taxonomy=stages.classes)
    placed = write_georeferenced(image.path, named, folder.geotiff(image.stem), predictor.orientation)
    save_ids(result.map, png)
    if stages.overlays:
        save_image(overlay(result), folder.overlay(image.stem))
    height, width = result.map.shape
    return Done(
        image.name,
        stamp,
        png.stat().st_size,
        {"id": stages.ids[image.name], "file_name": image.name, "height": height, "width": width},
        {
            "image_id": stages.ids[image.name],
            "file_name": f"{image.stem}.png",
            "segments_info": named.to_coco(),
        },
        placed is not None,
    )


def overlay(result: PanopticResult) -> np.ndarray:
    """(H, W, 3) uint8, of every n-th pixel where the image is larger than ``OVERLAY_SIDE``."""
    step = -(-max(result.map.shape) // OVERLAY_SIDE)
    if step == 1:
        return result.overlay()
    seen = np.ascontiguousarray(result.image[::step, ::step])
    panoptic = PanopticMap(np.ascontiguousarray(result.map[::step, ::step]), result.segments)
    return replace(result, image=seen, panoptic=panoptic).overlay()


def _attempt(function: Callable[[], Value]) -> Value | UserError:
    try:
        return function()
    except UserError as error:
        return error
