"""Mask2Former for video (Cheng et al. 2021, arXiv:2112.10764): one set of queries for all frames of a clip.

The network is Mask2Former's, and its weights are: each frame has its pixels decoded alone, then queries attend to the
pixels of all frames at once, and E . F is a mask in every frame. What is new is a part of the positions that tells the
frames apart, (sines of t) added to those of rows and columns, and scaled so that the last frame is 2 pi whatever the
length of the clip. So an image is a clip of one frame, with one constant more in its positions than Mask2Former has.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

from torch import Tensor

from pantile.contracts.errors import UserError
from pantile.contracts.outputs import MaskOutput
from pantile.layers.position_encoding import sine_times
from pantile.models.base import ARCHITECTURES
from pantile.models.mask2former import Mask2Former, Mask2FormerConfig, mask2former_nano_config
from pantile.models.mask2former_pixel_decoder import DecodedPixels


@dataclass
class VideoMask2FormerConfig(Mask2FormerConfig):
    """Defaults: Mask2Former for video with ResNet-50. The fields are Mask2Former's.

    Attributes:
        architecture: tells the configs of different architectures apart.
    """

    architecture: Literal["mask2former_video"] = "mask2former_video"


def mask2former_video_nano_config() -> VideoMask2FormerConfig:
    """The same network, small enough to train on two CPU cores."""
    return VideoMask2FormerConfig(**vars(mask2former_nano_config()) | {"architecture": "mask2former_video"})


@ARCHITECTURES.register("mask2former_video")
class VideoMask2Former(Mask2Former):
    """
    Args:
        config: see ``VideoMask2FormerConfig``.
        num_classes: K, things and stuff, without no-object.
    """

    config_class = VideoMask2FormerConfig
    reads_clips: ClassVar[bool] = True

    def forward(self, images: Tensor, layer_outputs: bool | None = None, frames: int = 1) -> MaskOutput:
        """As Mask2Former's, of B / T clips.

        Args:
            images: (B, in_channels, H, W) float, normalised with the config's mean and std. Any size.
            layer_outputs: keep what is predicted before each layer; by default only in training mode.
            frames: T >= 1, of which B is a multiple.

        Raises:
            UserError: B is no multiple of T.
        """
        if frames < 1 or len(images) % frames:
            raise UserError(f"{len(images)} images are no clips of {frames} frames each: give as many to each clip.")
        features = self.extract(images)
        return self.decode(features, self.training if layer_outputs is None else layer_outputs, frames)

    def key_positions(self, pixels: DecodedPixels, frames: int) -> Sequence[Tensor]:
        places = pixels.positions
        times = sine_times(frames, places[0].shape[1], places[0].device).to(places[0].dtype)
        return [(times[:, None] + place).flatten(0, 1) for place in places]
