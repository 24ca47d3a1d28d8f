"""Mask2Former on a plain transformer with an adapter, as ViT-Adapter (Chen et al., ICLR 2023) trains it on ADE20K.

See ``backbones.vit_adapter``, which any architecture can have by its name; what is added here is what the two are
trained with: positions for the crop, and which parts learn slowly.
"""

from dataclasses import dataclass
from typing import Literal

from torch import nn

from pantile.backbones import create_backbone
from pantile.backbones.vit_adapter import ViTAdapter
from pantile.contracts.errors import UserError
from pantile.models.base import ARCHITECTURES
from pantile.models.mask2former import Mask2Former, Mask2FormerConfig, mask2former_nano_config


@dataclass
class ViTAdapterConfig(Mask2FormerConfig):
    """Defaults: ViT-Adapter-L on ADE20K at 896. The fields are Mask2Former's, and

    Attributes:
        architecture: tells the configs of different architectures apart.
        backbone: "vit_adapter_" and the timm name of a BEiT.
        image_size: (H, W) in pixels for which the BEiT stores its tables of relative positions, the crop in training;
            None is the name's.
    """

    architecture: Literal["vit_adapter"] = "vit_adapter"
    backbone: str = "vit_adapter_beit_large_patch16_224.in22k_ft_in22k"
    backbone_drop_path: float = 0.3
    frozen_batch_norm: bool = False
    image_size: tuple[int, int] | None = (896, 896)
    num_queries: int = 200
    channels: int = 1024
    embed_channels: int = 1024
    num_heads: int = 32
    encoder_ffn_channels: int = 4096
    decoder_ffn_channels: int = 4096


def vit_adapter_nano_config() -> ViTAdapterConfig:
    """The same network, small enough to train on two CPU cores."""
    changes = {"architecture": "vit_adapter", "backbone": "vit_adapter_beit_nano_patch16_224"}
    return ViTAdapterConfig(**vars(mask2former_nano_config()) | changes, image_size=(192, 192))


@ARCHITECTURES.register("vit_adapter")
class ViTAdapterMask2Former(Mask2Former):
    """
    Args:
        config: see ``ViTAdapterConfig``.
        num_classes: K, things and stuff, without no-object.
    """

    config_class = ViTAdapterConfig

    def make_backbone(self) -> nn.Module:
        config = self.config
        backbone = create_backbone(
            config.backbone,
            pretrained=config.pretrained,
            weights_file=config.backbone_weights,
            in_channels=config.in_channels,
            drop_path=config.backbone_drop_path,
            image_size=config.image_size,
        )
        if not isinstance(backbone, ViTAdapter):
            raise UserError(
                f"model.backbone: {type(backbone).__name__} has no adapter; take one such as "
                "vit_adapter_beit_large_patch16_224, or model.architecture=mask2former."
            )
        return backbone

    def no_weight_decay(self) -> set[str]:
        """Of vectors only; tables, queries and level embeddings decay, as in the original."""
        return {name for name, parameter in self.named_parameters() if parameter.ndim == 1}

    def layers_behind(self) -> dict[str, int]:
        """Queries and their heads learn as slowly as what lies before the first block, as in the original."""
        behind = super().layers_behind()
        slowest = max(behind.values())
        names = [name for name, _ in self.named_parameters() if name.startswith(SLOW)]
        return behind | dict.fromkeys(names, slowest)


SLOW = ("query_content", "query_position", "level_embed", "classifier.", "mask_embed.")
