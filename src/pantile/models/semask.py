"""SeMask (Jain et al., arXiv:2112.12782) under Mask2Former: a Swin that is told the classes at the end of each stage.

See ``backbones.semask_swin``. Its class map is trained by a cross-entropy of its own and not used at inference.
"""

from dataclasses import dataclass, replace
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pantile.backbones.semask_swin import SeMaskSwin
from pantile.backbones.timm_swin import SwinBackbone
from pantile.contracts.errors import UserError
from pantile.contracts.outputs import MaskOutput
from pantile.models.base import ARCHITECTURES
from pantile.models.mask2former import Mask2Former, Mask2FormerConfig, mask2former_nano_config


@dataclass
class SeMaskConfig(Mask2FormerConfig):
    """Defaults: SeMask-T; -L is ``swin_large_patch4_window12_384``. The fields are Mask2Former's, and

    Attributes:
        architecture: tells the configs of different architectures apart.
        backbone: timm name of a Swin.
        semantic_dropout: of what a semantic layer adds, 0..1.
    """

    architecture: Literal["semask"] = "semask"
    backbone: str = "swin_tiny_patch4_window7_224.ms_in1k"
    backbone_drop_path: float = 0.3
    semantic_dropout: float = 0.1


def semask_nano_config() -> SeMaskConfig:
    """The same network, small enough to train on two CPU cores."""
    changes = {"architecture": "semask", "backbone": "swin_nano_patch4_window7_224", "backbone_drop_path": 0.0}
    return SeMaskConfig(**vars(mask2former_nano_config()) | changes)


@ARCHITECTURES.register("semask")
class SeMask(Mask2Former):
    """
    Args:
        config: see ``SeMaskConfig``.
        num_classes: K, things and stuff, without no-object.
    """

    config_class = SeMaskConfig

    def make_backbone(self) -> nn.Module:
        swin = super().make_backbone()
        if not isinstance(swin, SwinBackbone):
            raise UserError(
                f"model.backbone: {type(swin).__name__} is not a Swin; take one such as swin_tiny_patch4_window7_224."
            )
        return SeMaskSwin(swin, self.num_classes, self.config.semantic_dropout)

    def forward(self, images: Tensor, layer_outputs: bool | None = None) -> MaskOutput:
        """As Mask2Former's; in training ``semantic_logits`` at stride 4, whose last channel, void, is empty."""
        features = self.backbone(images.contiguous(memory_format=torch.channels_last))
        output = self.decode(features, self.training if layer_outputs is None else layer_outputs)
        if "semantic" not in features:
            return output
        return replace(output, semantic_logits=F.pad(features["semantic"], (0, 0, 0, 0, 0, 1), value=VOID))

    def class_heads(self) -> set[str]:
        parts = (".query.weight", ".query.bias", ".key.weight", ".key.bias")
        semantic = {name for name, _ in self.named_parameters() if name.startswith("backbone.semantic.")}
        return super().class_heads() | {name for name in semantic if name.endswith(parts)}


VOID = -1e4  # a logit that no softmax gives a share
