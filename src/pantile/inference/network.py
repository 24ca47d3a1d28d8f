"""Network: all that inference knows of a trained network."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from pantile.contracts.outputs import ModelOutput
from pantile.contracts.taxonomy import Taxonomy
from pantile.data.fit import FitConfig
from pantile.inference.clip_windows import ClipWindows
from pantile.inference.windows import Windows, forward_windows
from pantile.merge import MergeConfig


@dataclass(frozen=True)
class Network:
    """A function from images to outputs, and what it was trained for.

    Attributes:
        forward: (B, C, H, W) float, normalised, padding too or 0 there, of any size the architecture takes, to
            what ``merge`` takes.
        mean, std: (C, 1, 1) of 0..255, on the device where ``forward`` runs.
        taxonomy: its classes.
        evaluation_size: (H, W) to fit images into, or a rule for each image.
        merge: how its outputs become predictions.
        windows: of its input that the network sees one by one; None is the input as a whole.
        pad_value: 0..255, what padding is before the normalisation; None is 0 after it.
        clips: windows of a film that it sees at once, by ``forward(images, frames=T)``; None sees single images.
    """

    forward: Callable[..., ModelOutput]
    mean: Tensor
    std: Tensor
    taxonomy: Taxonomy
    evaluation_size: tuple[int, int] | FitConfig
    merge: MergeConfig
    windows: Windows | None = None
    pad_value: int | None = None
    clips: ClipWindows | None = None

    @property
    def device(self) -> torch.device:
        return self.mean.device

    def normalised(self, images: Tensor, padding: Tensor | None) -> Tensor:
        """What ``forward`` takes, of pixels; see ``normalise``."""
        return normalise(images, padding, self.mean, self.std, self.pad_value)

    def output_of(self, images: Tensor, **options: object) -> ModelOutput:
        """``forward``, averaged over windows where there are any. ``options`` go to the model."""
        forward = partial(self.forward, **options) if options else self.forward
        return forward(images) if self.windows is None else forward_windows(forward, images, self.windows)


def normalise(
    images: Tensor, padding: Tensor | None, mean: Tensor, std: Tensor, pad_value: int | None = None
) -> Tensor:
    """What networks see: normalised, and where there is padding exactly 0, whatever the mean, or a colour normalised.

    Args:
        images: (B, C, H, W) uint8 or float of 0..255, on the device of ``mean``.
        padding: (B, H, W) bool, true where there is no image, on any device; None is nowhere.
        mean, std: (C, 1, 1)
        pad_value: 0..255, of the padding before the normalisation; None is 0 after it.

    Returns:
        (B, C, H, W) float32
    """
    normalised = (images.float() - mean) / std
    if padding is None:
        return normalised
    where = padding[:, None].to(normalised.device, non_blocking=True)
    if pad_value is None:
        return normalised.masked_fill(where, 0.0)
    return torch.where(where, (pad_value - mean) / std, normalised)
