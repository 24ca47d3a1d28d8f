"""Predictor: a trained model that takes an image and gives a PanopticResult."""

from pathlib import Path

import numpy as np
import torch
from PIL import Image

from pantile.contracts.errors import UserError
from pantile.contracts.outputs import ModelOutput
from pantile.contracts.placement import Placement
from pantile.contracts.taxonomy import Taxonomy
from pantile.data.image_files import read_image
from pantile.data.resize import fit_to
from pantile.engine.checkpoint import load_checkpoint
from pantile.engine.evaluate import load_task
from pantile.engine.task import PanopticTask
from pantile.merge import merge
from pantile.predict.result import PanopticResult


def load(path: str | Path, device: torch.device | str | None = None) -> "Predictor":
    """A predictor from a run folder, a ``.ckpt`` or a ``.safetensors`` file.

    Args:
        device: where to run; None is a GPU when there is one.
    """
    return Predictor(load_task(load_checkpoint(path)), device)


class Predictor:
    """Runs one image at a time: resize and pad, network, merge, back to the image's own size."""

    def __init__(self, task: PanopticTask, device: torch.device | str | None = None) -> None:
        self.device = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
        self.task = task.eval().to(self.device)

    @property
    def taxonomy(self) -> Taxonomy:
        return self.task.taxonomy

    def __call__(self, image: str | Path | Image.Image | np.ndarray) -> PanopticResult:
        """
        Args:
            image: a file, a PIL image, or (H, W, 3) uint8 RGB.
        """
        pixels = as_pixels(image)
        output, placement = self.outputs(pixels)
        (prediction,) = merge(output, self.taxonomy, self.task.config.merge, [placement])
        return PanopticResult(pixels, prediction.panoptic, self.taxonomy)

    @torch.inference_mode()
    def outputs(self, pixels: np.ndarray, **options: bool) -> tuple[ModelOutput, Placement]:
        """The network's output for (H, W, 3) uint8, and where the image lies in the network's input.

        Args:
            options: of the model, such as ``layer_outputs=True``.
        """
        tensor, placement = fit_to(pixels, self.task.config.evaluation_size)
        return self.task(tensor[None].to(self.device), **options), placement


def as_pixels(image: str | Path | Image.Image | np.ndarray) -> np.ndarray:
    """(H, W, 3) uint8 RGB.

    Raises:
        UserError: a file that does not exist or does not decode, or an array of another kind.
    """
    if isinstance(image, np.ndarray):
        if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
            raise UserError(f"The image array is {image.dtype} {image.shape}: give (H, W, 3) uint8 RGB.")
        return image
    if isinstance(image, Image.Image):
        return np.asarray(image.convert("RGB"))
    return read_image(image)
