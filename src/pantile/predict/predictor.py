"""Predictor: a trained model that takes an image and gives a PanopticResult."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, overload

import numpy as np
import torch
from torch import Tensor

from pantile.contracts.outputs import ModelOutput
from pantile.contracts.placement import Placement, padding_mask
from pantile.contracts.taxonomy import Taxonomy
from pantile.data.fit import fit_placement
from pantile.data.image_files import open_image
from pantile.data.orientation import UPRIGHT, check_frame
from pantile.data.raster_file import RasterImage
from pantile.data.resize import fit_to
from pantile.engine.checkpoint import Checkpoint
from pantile.engine.config import to_dict
from pantile.engine.evaluate import load_task
from pantile.engine.measures import per_class
from pantile.engine.task import PanopticTask
from pantile.inference.images import image_outputs, predict_image
from pantile.inference.tiles import Tiling, Track
from pantile.inference.views import Views
from pantile.merge import MergeConfig, merge
from pantile.predict.arrays import is_batch
from pantile.predict.inferred import Inferred
from pantile.predict.result import PanopticResult
from pantile.predict.sources import Source, as_pixels

SAMPLED = 16  # values of each tensor that tell weights apart


def predictor_of(
    checkpoint: Checkpoint,
    device: torch.device | str | None = None,
    views: Views | None = None,
    tiling: Tiling | None = None,
    orientation: str = UPRIGHT,
) -> "Predictor":
    """``load`` of a checkpoint that is open already."""
    digest = weights_digest(checkpoint.state)
    return Predictor(load_task(checkpoint), device, views, tiling, orientation, digest)


class Predictor:
    """Runs one image at a time: resize and pad, network, merge, back to the image's own size; or tile by tile.

    Attributes:
        fingerprint: of the weights as their file has them, by which a job knows what it was started with.
    """

    def __init__(
        self,
        task: PanopticTask,
        device: torch.device | str | None = None,
        views: Views | None = None,
        tiling: Tiling | None = None,
        orientation: str = UPRIGHT,
        fingerprint: str | None = None,
    ) -> None:
        self.orientation = check_frame(orientation, "orientation")
        self.reading = task.config.images  # of files: what of them the network takes
        self.views = views or Views()
        self.tiling = tiling
        self.device = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
        self.fingerprint = fingerprint or weights_digest(task.state_dict())
        self.task = task.eval().to(self.device)
        self.network = self.task.network

    def __repr__(self) -> str:
        model = self.task.config.model
        return f"Predictor({model.architecture}, {model.backbone}, {len(self.taxonomy)} classes, on {self.device})"

    @property
    def taxonomy(self) -> Taxonomy:
        return self.task.taxonomy

    @property
    def per_class(self) -> bool:
        """Whether a segment is all pixels of a class (``PanopticResult.per_class``)."""
        return per_class(self.task.config)

    def settings(self) -> dict:
        """What of the network decides a prediction, in plain containers."""
        config = to_dict(self.task.config)
        return {
            "weights": self.fingerprint,
            "classes": self.taxonomy.to_coco(),
            "config": {group: config[group] for group in ("model", "merge", "evaluation_size", "techniques")},
            "views": asdict(self.views),
        }

    @overload
    def __call__(self, image: Source, track: Track | None = None) -> PanopticResult: ...

    @overload
    def __call__(self, image: Sequence[Source], track: Track | None = None) -> list[PanopticResult]: ...

    def __call__(self, image: Any, track: Track | None = None) -> Any:
        """
        Args:
            image: a file's path; an encoded image as bytes (the content of a JPEG, say); a PIL image; or uint8 pixels,
                0..255 and not normalised: an array (H, W, C) or a tensor (C, H, W), of any device. C is 3 for RGB, or
                the bands that the model was trained on. Where C is not on that axis but on the other end, as in an
                array (C, H, W), the axes are swapped; where both ends have C entries, the order named first counts.

                Or a batch: a list or tuple of any of these, of any sizes, or one array (B, H, W, C) or tensor
                (B, C, H, W) by the same rule. Its images go through the network one by one, so that each result is
                what the image alone gives.
            track: takes the tiles of an image that has several, and gives them one by one, for a progress bar.

        Returns:
            One result; for a batch a list of them, in its order.

        Raises:
            UserError: a file that is missing or does not decode, numbers that are not uint8, other channels, or
                something that is no image.
        """
        if is_batch(image):
            return [self(one, track) for one in image]
        pixels = self.open(image)
        prediction = predict_image(self.network, pixels, self.views, self.tiling, track=track)
        return PanopticResult(pixels, prediction.panoptic, self.taxonomy, prediction.per_class)

    def open(self, image: Source) -> np.ndarray | RasterImage:
        """The image as the network takes it; of a large raster that is cut into tiles, one whose parts are read later.

        Raises:
            UserError: see ``__call__``.
        """
        channels = self.task.config.model.in_channels
        if isinstance(image, str | Path) and self.tiling is not None:
            return open_image(image, channels, self.reading, self.orientation, windows=True)
        return as_pixels(image, channels, self.reading, self.orientation)

    @property
    def merge_config(self) -> MergeConfig:
        """Every threshold by which ``merge`` decides."""
        return self.network.merge

    def placement(self, image: np.ndarray) -> Placement:
        """Where (H, W, C) pixels lie in the network's input, taken as a whole."""
        return fit_placement((image.shape[0], image.shape[1]), self.network.evaluation_size)

    def infer(self, images: Sequence[np.ndarray]) -> list[Inferred]:
        """What the network says of whole images, which ``merge`` makes results of.

        Args:
            images: of ``open``, whose placements have inputs of one size; they go through the network together, which
                may round other than each alone.
        """
        placements = [self.placement(image) for image in images]
        outputs = image_outputs(self.network, images, placements, self.views)
        return [Inferred(*one) for one in zip(images, outputs, placements, strict=True)]

    def merge(self, inferred: Inferred, config: MergeConfig | None = None) -> PanopticResult:
        """``config`` in place of ``merge_config``."""
        merged = merge(inferred.output, self.taxonomy, config or self.merge_config, [inferred.placement])[0]
        return PanopticResult(inferred.image, merged.panoptic, self.taxonomy, merged.per_class)

    @torch.inference_mode()
    def outputs(self, pixels: np.ndarray, **options: bool) -> tuple[ModelOutput, Placement]:
        """The network's own output of one view, for (H, W, 3) uint8, and where the image lies in its input.

        Args:
            options: of the model, such as ``layer_outputs=True``.
        """
        network = self.network
        tensor, placement = fit_to(pixels, network.evaluation_size)
        images = network.normalised(tensor[None].to(network.device), padding_mask([placement]))
        return network.forward(images, **options), placement


def weights_digest(state: Mapping[str, Tensor]) -> str:
    """Of every tensor's name, shape and ``SAMPLED`` of its values: other weights differ in nearly all of them."""
    digest = hashlib.blake2b(digest_size=10)
    for name in sorted(state):
        values = state[name].detach().flatten()
        some = values[:: max(1, len(values) // SAMPLED)].cpu().double().numpy()
        digest.update(f"{name} {tuple(state[name].shape)}".encode() + some.tobytes())
    return digest.hexdigest()
