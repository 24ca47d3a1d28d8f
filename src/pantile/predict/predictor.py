"""Predictor: a trained model that takes an image and gives a PanopticResult."""

from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from pantile.contracts.errors import UserError
from pantile.contracts.outputs import ModelOutput
from pantile.contracts.placement import Placement
from pantile.contracts.taxonomy import Taxonomy
from pantile.convert.open_checkpoint import open_checkpoint
from pantile.data.image_files import image_pixels, open_image, read_image
from pantile.data.raster_file import RasterImage
from pantile.data.reading import AS_STORED, Reading
from pantile.data.resize import fit_to
from pantile.engine.evaluate import load_task
from pantile.engine.task import PanopticTask
from pantile.engine.tiles import Tiling, Track, predict_image
from pantile.engine.views import Views
from pantile.predict.result import PanopticResult


def load(
    path: str | Path,
    device: torch.device | str | None = None,
    views: Views | None = None,
    tiling: Tiling | None = None,
) -> "Predictor":
    """A predictor from a run folder, a ``.ckpt`` or a ``.safetensors`` file, or weights of other projects: what
    ``open_checkpoint`` reads, such as ``"facebook/mask2former-swin-tiny-coco-panoptic"``.

    Args:
        device: where to run; None is a GPU when there is one.
        views: scales and mirror images to average over; None is the image as it is.
        tiling: how large images are cut into tiles; None takes every image as a whole.
    """
    return Predictor(load_task(open_checkpoint(path)), device, views, tiling)


class Predictor:
    """Runs one image at a time: resize and pad, network, merge, back to the image's own size; or tile by tile."""

    def __init__(
        self,
        task: PanopticTask,
        device: torch.device | str | None = None,
        views: Views | None = None,
        tiling: Tiling | None = None,
    ) -> None:
        self.views = views or Views()
        self.tiling = tiling
        self.reading = task.config.images  # of files: what of them the network takes
        self.device = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
        self.task = task.eval().to(self.device)

    @property
    def taxonomy(self) -> Taxonomy:
        return self.task.taxonomy

    def __call__(self, image: str | Path | Image.Image | np.ndarray, track: Track | None = None) -> PanopticResult:
        """
        Args:
            image: a file, a PIL image, or (H, W, C) uint8: RGB, or the bands that the model was trained on, their
                values mapped to 0..255 already.
            track: takes the tiles of an image that has several, and gives them one by one, for a progress bar.
        """
        pixels = self.open(image)
        prediction = predict_image(self.task, pixels, self.views, self.tiling, track=track)
        return PanopticResult(pixels, prediction.panoptic, self.taxonomy)

    def open(self, image: str | Path | Image.Image | np.ndarray) -> np.ndarray | RasterImage:
        """The image as the network takes it; of a large raster that is cut into tiles, one whose parts are read later.

        Raises:
            UserError: see ``as_pixels``.
        """
        channels = self.task.config.model.in_channels
        if isinstance(image, str | Path) and self.tiling is not None:
            return open_image(image, channels, self.reading, windows=True)
        return as_pixels(image, channels, self.reading)

    @torch.inference_mode()
    def outputs(self, pixels: np.ndarray, **options: bool) -> tuple[ModelOutput, Placement]:
        """The network's own output of one view, for (H, W, 3) uint8, and where the image lies in its input.

        Args:
            options: of the model, such as ``layer_outputs=True``.
        """
        tensor, placement = self._input(pixels)
        return self.task(tensor, **options), placement

    def _input(self, pixels: np.ndarray) -> tuple[Tensor, Placement]:
        """(1, 3, H', W') uint8, fitted and padded."""
        tensor, placement = fit_to(pixels, self.task.config.evaluation_size)
        return tensor[None].to(self.device), placement


def as_pixels(
    image: str | Path | Image.Image | np.ndarray, channels: int = 3, reading: Reading = AS_STORED
) -> np.ndarray:
    """(H, W, channels) uint8: RGB, or as many bands as the model takes. ``reading`` is for files.

    Raises:
        UserError: a file that does not exist or does not decode, an array of another kind, or other bands.
    """
    if isinstance(image, np.ndarray):
        if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != channels:
            wanted = f"(H, W, {channels}) uint8{' RGB' if channels == 3 else ''}"
            raise UserError(f"The image array is {image.dtype} {image.shape}: give {wanted}.")
        return image
    if isinstance(image, Image.Image):
        return image_pixels(image, channels)
    return read_image(image, channels, reading)
