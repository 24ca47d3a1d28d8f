"""ExportedPredictor: an exported file that takes an image and gives a PanopticResult; of an ONNX file without torch."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any, overload

import numpy as np

from pantile.contracts.placement import Placement
from pantile.contracts.taxonomy import Taxonomy
from pantile.data.image_files import open_image
from pantile.data.orientation import UPRIGHT, check_frame
from pantile.data.raster_file import RasterImage
from pantile.inference.tiles import Tiling, Track
from pantile.merge.registry import MergeConfig
from pantile.predict.arrays import is_batch
from pantile.predict.inferred import Inferred
from pantile.predict.result import PanopticResult
from pantile.predict.sources import Source, as_pixels
from pantile.runtime.images import PANOPTIC, ExportedFile, merged, predict_image, run_images, whole_placement
from pantile.runtime.kinds import KINDS


class ExportedPredictor:
    """Runs one image at a time, as a ``Predictor`` does.

    Args:
        file: an opened file.
        tiling: how large images are cut into tiles; None takes every image as a whole.
        orientation: see ``pantile.load``.
    """

    def __init__(self, file: ExportedFile, tiling: Tiling | None = None, orientation: str = UPRIGHT) -> None:
        self.file, self.header = file, file.header
        self.tiling = tiling
        self.orientation = check_frame(orientation, "orientation")
        self.reading = self.header.reading

    def __repr__(self) -> str:
        header = self.header
        made = f"{header.architecture}, {header.backbone}, {len(self.taxonomy)} classes, {header.weights}"
        return f"ExportedPredictor({self.file.path.name}: {made})"

    @property
    def taxonomy(self) -> Taxonomy:
        return self.header.taxonomy

    @property
    def per_class(self) -> bool:
        return "instance" not in KINDS[self.header.merge.kind].tasks

    @overload
    def __call__(self, image: Source, track: Track | None = None) -> PanopticResult: ...

    @overload
    def __call__(self, image: Sequence[Source], track: Track | None = None) -> list[PanopticResult]: ...

    def __call__(self, image: Any, track: Track | None = None) -> Any:
        """As ``Predictor.__call__``."""
        if is_batch(image):
            return [self(one, track) for one in image]
        pixels = self.open(image)
        prediction = predict_image(self.file, pixels, self.tiling, track=track)
        return PanopticResult(pixels, prediction.panoptic, self.taxonomy, prediction.per_class)

    def open(self, image: Source) -> np.ndarray | RasterImage:
        """As ``Predictor.open``."""
        if isinstance(image, str) or hasattr(image, "__fspath__"):
            windows = self.tiling is not None
            return open_image(image, self.header.channels, self.reading, self.orientation, windows=windows)
        return as_pixels(image, self.header.channels, self.reading, self.orientation)

    @property
    def merge_config(self) -> MergeConfig | None:
        """As ``Predictor.merge_config``; None where the graph merges, with thresholds of its own."""
        return None if self.header.inside is not None else self.header.merge

    def placement(self, image: np.ndarray) -> Placement:
        """As ``Predictor.placement``."""
        return whole_placement(self.header, image)

    def infer(self, images: Sequence[np.ndarray]) -> list[Inferred]:
        """As ``Predictor.infer``; one by one where the graph takes one image."""
        placements = [self.placement(image) for image in images]
        outputs = run_images(self.file, images, placements)
        return [Inferred(*one) for one in zip(images, outputs, placements, strict=True)]

    def merge(self, inferred: Inferred, config: MergeConfig | None = None) -> PanopticResult:
        """As ``Predictor.merge``."""
        prediction = merged(self.header, inferred.output, config or self.header.merge, inferred.placement, PANOPTIC)
        return PanopticResult(inferred.image, prediction.panoptic, self.taxonomy, prediction.per_class)

    def settings(self) -> dict:
        """As ``Predictor.settings``."""
        return {
            "weights": self.file.fingerprint,
            "classes": self.taxonomy.to_coco(),
            "merge": asdict(self.header.merge),
        }
