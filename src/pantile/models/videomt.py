"""VidEoMT (Norouzi et al., CVPR 2026, arXiv:2602.17807): EoMT on films, whose queries go from frame to frame.

    queries of the first frame = learned,   of frame t = linear(queries after the last block of frame t - 1) + learned

The first blocks see all frames of a clip at once, each alone; the last Q blocks go through them in order. A query is
one thing in all frames, each of which it classifies anew. What the last frame leaves (``MaskOutput.next_queries``) is
all that the next clip of a film needs (``queries``): a film in one clip and in many give the same.

No mask confines attention, in training neither. Deviation from the authors' code: predictions before a block pass the
last norm, as in EoMT; there they do not, and the one before the last block has no loss.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn

from pantile.contracts.errors import UserError
from pantile.contracts.outputs import MaskOutput
from pantile.layers.rounding import ceil_div
from pantile.models.base import ARCHITECTURES
from pantile.models.eomt import EoMT, EoMTConfig, eomt_nano_config


@dataclass
class VidEoMTConfig(EoMTConfig):
    """Defaults: VidEoMT-B. The fields are EoMT's; ``mask_annealing`` has no effect.

    Attributes:
        architecture: tells the configs of different architectures apart.
    """

    architecture: Literal["videomt"] = "videomt"


def videomt_nano_config() -> VidEoMTConfig:
    """The same network, small enough to train on two CPU cores."""
    return VidEoMTConfig(**vars(eomt_nano_config()) | {"architecture": "videomt", "mask_annealing": ()})


@ARCHITECTURES.register("videomt")
class VidEoMT(EoMT):
    """See the module's docstring.

    Args:
        config: see ``VidEoMTConfig``.
        num_classes: K, things and stuff, without no-object.

    Raises:
        UserError: see ``EoMT``.
    """

    config_class = VidEoMTConfig
    reads_clips: ClassVar[bool] = True

    def __init__(self, config: VidEoMTConfig, num_classes: int):
        super().__init__(config, num_classes)
        self.query_updater = nn.Linear(config.channels, config.channels)

    def forward(
        self,
        images: Tensor,
        layer_outputs: bool | None = None,
        frames: int = 1,
        queries: Tensor | None = None,
    ) -> MaskOutput:
        """As EoMT's, of B / T clips.

        Args:
            images: (B, in_channels, H, W) float, normalised with the config's mean and std. Any size.
            layer_outputs: keep what is predicted before each of the last Q blocks; by default only in training mode.
            frames: T >= 1, of which B is a multiple.
            queries: (B / T, N, C) that the clips before have left (``next_queries``); None where films begin.

        Raises:
            UserError: B is no multiple of T.
        """
        if frames < 1 or len(images) % frames:
            raise UserError(f"{len(images)} images are no clips of {frames} frames each: give as many to each clip.")
        patches = self.encode(images)
        mask_size = (ceil_div(images.shape[2], self._stride), ceil_div(images.shape[3], self._stride))
        keep = self.training if layer_outputs is None else layer_outputs
        outputs, left = [], queries
        for tokens in patches.tokens.unflatten(0, (-1, frames)).unbind(dim=1):
            learned = self.query.expand(len(tokens), -1, -1)
            joining = learned if left is None else self.query_updater(left) + learned
            output, left = self.decode(joining, replace(patches, tokens=tokens), mask_size, keep)
            outputs.append(output)
        clips = interleaved(outputs)
        if self.training and frames == 1:  # all parameters take part, so that several processes need not look for some
            clips = replace(clips, class_logits=clips.class_logits + 0 * self.query_updater(left).sum())
        return replace(clips, next_queries=None if self.training else left)

    def set_progress(self, progress: float) -> None:
        """No mask is obeyed at any time."""
        self.mask_probabilities = (0.0,) * self.config.query_layers


def interleaved(outputs: Sequence[MaskOutput]) -> MaskOutput:
    """T outputs, the t-th of frame t of each clip, as one whose neighbours are the frames of a clip."""
    names = ("class_logits", "mask_logits", "query_embed", "pixel_embed")
    joined = {name: torch.stack([getattr(o, name) for o in outputs], dim=1).flatten(0, 1) for name in names}
    layers = tuple(interleaved(layer) for layer in zip(*(o.layers for o in outputs), strict=True))
    return MaskOutput(**joined, pixel_feature=joined["pixel_embed"], layers=layers, frames=len(outputs))
