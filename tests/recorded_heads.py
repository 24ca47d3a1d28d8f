"""Heads of MMSegmentation's kind on recorded feature maps."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

NAMES = ("res2", "res3", "res4", "res5")


class RecordedFeatures(nn.Module):
    """A backbone that gives what was recorded, whatever the image."""

    def __init__(self, maps: dict[str, Tensor], strides: dict[str, int]):
        super().__init__()
        self.maps = maps
        self.channels = {name: maps[name].shape[1] if name in maps else 1 for name in reversed(NAMES)}
        self.strides = strides

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        return self.maps


def mmseg_state(foreign: dict[str, Tensor], renames: dict[str, str]) -> dict[str, Tensor]:
    """Our names: the beginnings by ``renames``, ``bn`` is ``norm``; the last layer is linear here."""
    state = {}
    for name, tensor in foreign.items():
        theirs = next(prefix for prefix in renames if name.startswith(prefix))
        ours = renames[theirs] + name.removeprefix(theirs).replace("bn.", "norm.")
        state[ours] = tensor.flatten(1) if ours == "classifier.weight" else tensor
    return state


def pooled_first_to_last(kernel: Tensor, width: int) -> Tensor:
    """MMSegmentation's ASPP concatenates the pooled branch first, ours last."""
    return torch.cat([kernel[:, width:], kernel[:, :width]], dim=1)


def loss_over_all_pixels(logits: Tensor, label: Tensor) -> Tensor:
    resized = F.interpolate(logits, size=label.shape[1:], mode="bilinear", align_corners=False)
    return F.cross_entropy(resized, label, ignore_index=255, reduction="sum") / label.numel()


IMAGE = torch.zeros(2, 3, 8, 8, dtype=torch.float64)
