"""SeMask (Jain et al., arXiv:2112.12782): Swin whose every stage ends in a layer that knows the classes.

Within the windows of the stage, after a layer norm:

    Q = x W_q,  K = x W_k   one channel per class,      A = softmax(Q K^T),      x <- x + gamma W_o (A x W_v)

Q is also a class map at the stage's stride. gamma and W_o start at 0, so that a pretrained Swin is what it was.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pantile.backbones.interface import Backbone
from pantile.backbones.timm_swin import STAGES, SwinBackbone, run_stage
from pantile.layers.windows import from_windows, pad_to_windows, to_windows, window_counts, without_padding


class SeMaskSwin(Backbone):
    """Features as Swin's, and ``semantic``: (B, K, H / 4, W / 4), the class maps of all stages, resized and summed; in
    training only.

    Args:
        swin: taken over; its tensors keep their names.
        num_classes: K.
        dropout: of what a semantic layer adds, 0..1.
    """

    def __init__(self, swin: SwinBackbone, num_classes: int, dropout: float = 0.1):
        super().__init__(swin.channels, stem_stride=4, output_stride=swin.strides["res5"])
        self.swin = swin
        self.semantic = nn.ModuleDict(
            {
                name: SemanticLayer(swin.channels[name], num_classes, stage.blocks[0].attn.window_size, dropout)
                for name, stage in zip(STAGES, swin.model.layers, strict=True)
            }
        )

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        swin = self.swin
        x = swin.patches(images)
        size, semantic, features = x.shape[1:3], [], {}
        for name, stage in zip(STAGES, swin.model.layers, strict=True):
            x, classes = self.semantic[name](run_stage(stage, x))
            features[name] = swin.norms[name](x).permute(0, 3, 1, 2)
            if self.training:
                semantic.append(F.interpolate(classes, size=size, mode="bilinear", align_corners=False))
        return features | ({"semantic": torch.stack(semantic).sum(0)} if semantic else {})

    def layers_behind(self) -> dict[str, int]:
        """Of Swin's parameters; the semantic layers learn as the decoder does."""
        return {f"swin.{name}": count for name, count in self.swin.layers_behind().items()}


class SemanticLayer(nn.Module):
    """(B, H, W, C) -> the same, and the class map (B, K, H, W)."""

    def __init__(self, channels: int, num_classes: int, window: tuple[int, int], dropout: float):
        super().__init__()
        self.window_size = tuple(window)
        self.norm = nn.LayerNorm(channels)
        self.query = nn.Linear(channels, num_classes)
        self.key = nn.Linear(channels, num_classes)
        self.value = nn.Linear(channels, channels)
        self.out = nn.Linear(channels, channels)
        self.dropout = nn.Dropout(dropout)
        self.gamma = nn.Parameter(torch.zeros(1))
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        size, window = x.shape[1:3], self.window_size
        counts = window_counts(size, window)
        windows = to_windows(pad_to_windows(self.norm(x), window), window, counts)
        classes = self.query(windows)
        attention = (classes @ self.key(windows).transpose(1, 2)).softmax(dim=2)
        added = self.dropout(self.out(attention @ self.value(windows)))
        added, classes = (from_windows(own, window, counts, x.shape[0]) for own in (added, classes))
        return x + self.gamma * without_padding(added, size), without_padding(classes, size).permute(0, 3, 1, 2)
