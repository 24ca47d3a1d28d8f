"""Segmenter (Strudel et al., ICCV 2021, arXiv:2105.05633): patches and classes meet in a transformer.

    images -> ViT -> patch tokens -> W --+-> blocks -> norm -> A, unit length --+
                                         |                                      +-> products -> LayerNorm(K)
                    class embeddings ----+-> blocks -> norm -> B, unit length --+

The linear decoder is one linear layer on the patch tokens. Logits are at the patch's stride.

Which classes take part is asked of ``selector`` before the blocks, with the projected patch tokens as ``tokens``, so
that the blocks see only the classes that compete.

Two codes exist, and their weights fit both; ``positions`` and ``norm_eps`` say which is followed:

- the original: positions are resized bilinearly, the ViT's norms have eps 1e-5;
- a port to MMSegmentation: bicubically, eps 1e-6; norms of the decoder have 1e-5 in both.

Both pad with zeros after the normalisation. The original resizes logits to the padded image and cuts it, the port to
the image: here whoever gives whole patches (``evaluation_size`` in multiples of them) has the original's. Different
from both: they leave the positions as they are when only the number of patches agrees, here the grid has to.
"""

from dataclasses import dataclass, replace
from typing import Literal

import torch
import torch.nn.functional as F
from timm.layers import trunc_normal_
from timm.models.vision_transformer import Block
from torch import Tensor, nn

from pantile.backbones.timm_vit import create_vit
from pantile.contracts.errors import UserError
from pantile.contracts.outputs import SemanticOutput, SemanticSpec
from pantile.models.base import ARCHITECTURES
from pantile.models.semantic_model import AllClasses, SemanticModel

HEAD_CHANNELS = 64  # of an attention head in all published sizes


@dataclass
class SegmenterConfig:
    """Defaults: ViT-B/16 with the mask decoder on ADE20K, as in the original code.

    Attributes:
        architecture: tells the configs of different architectures apart.
        backbone: timm name of a ViT or a distilled DeiT.
        pretrained: load timm's ImageNet weights of the backbone, those of the tag in its name.
        backbone_weights: file with timm weights of the backbone, instead of a download.
        backbone_drop_path: stochastic depth of the backbone, 0..1.
        patch_size: in pixels; None is the backbone's.
        image_size: (H, W) in pixels for which the table of positions is stored; the crop in training.
        positions: how that table is resized for other sizes: "bilinear" (original) or "bicubic" (port).
        norm_eps: of the backbone's layer norms: 1e-5 (original) or 1e-6 (port).
        in_channels: bands of the image.
        image_mean: per band, on the 0..255 scale; subtracted before the model. ImageNet's for DeiT.
        image_std: per band, on the 0..255 scale; divided by before the model. ImageNet's for DeiT.
        decoder: "mask" or "linear". Of what follows, the linear one uses nothing.
        decoder_layers: blocks that patches and classes pass together.
        channels: D of patches and classes in the decoder; None is the backbone's.
        embed_channels: of the space in which they are compared; None is D.
        num_heads: None is D / 64.
        ffn_channels: inner width of a block's feed-forward part; None is 4 D.
        dropout: of attention weights and of what a block adds, 0..1.
        drop_path: of each block, 0..1.
    """

    architecture: Literal["segmenter"] = "segmenter"
    backbone: str = "vit_base_patch16_384.augreg_in21k_ft_in1k"
    pretrained: bool = False
    backbone_weights: str | None = None
    backbone_drop_path: float = 0.1
    patch_size: int | None = None
    image_size: tuple[int, int] = (512, 512)
    positions: Literal["bilinear", "bicubic"] = "bilinear"
    norm_eps: float = 1e-5
    in_channels: int = 3
    image_mean: tuple[float, ...] = (127.5, 127.5, 127.5)
    image_std: tuple[float, ...] = (127.5, 127.5, 127.5)
    decoder: Literal["mask", "linear"] = "mask"
    decoder_layers: int = 2
    channels: int | None = None
    embed_channels: int | None = None
    num_heads: int | None = None
    ffn_channels: int | None = None
    dropout: float = 0.1
    drop_path: float = 0.0


def segmenter_nano_config() -> SegmenterConfig:
    """The same network, small enough to train on two CPU cores."""
    return SegmenterConfig(
        backbone="test_vit.r160_in1k",
        backbone_drop_path=0.0,
        patch_size=8,
        image_size=(192, 192),
        channels=64,
        num_heads=2,
        ffn_channels=128,
        dropout=0.0,
    )


@ARCHITECTURES.register("segmenter")
class Segmenter(SemanticModel):
    """
    Args:
        config: see ``SegmenterConfig``.
        num_classes: K.
    """

    config_class = SegmenterConfig

    def __init__(self, config: SegmenterConfig, num_classes: int):
        super().__init__()
        self.config = config
        self.num_classes = num_classes
        self.backbone = create_vit(
            config.backbone,
            image_size=config.image_size,
            patch_size=config.patch_size,
            pretrained=config.pretrained,
            weights_file=config.backbone_weights,
            in_channels=config.in_channels,
            drop_path=config.backbone_drop_path,
            positions=config.positions,
            norm_eps=config.norm_eps,
        )
        width = self.backbone.channels
        mask = config.decoder == "mask"
        self.decoder = MaskDecoder(width, num_classes, config) if mask else LinearDecoder(width, num_classes)
        channels = self.decoder.channels
        self.semantic_spec = SemanticSpec(
            num_classes=num_classes,
            embed_channels=channels,
            feature_channels=width,
            feature_stride=self.backbone.stride,
            refines_classes=mask,
        )
        self.selector = AllClasses(nn.LayerNorm(num_classes) if mask else None)

    def forward(self, images: Tensor, layer_outputs: bool | None = None) -> SemanticOutput:
        """Predicts the class of every patch.

        Args:
            images: (B, in_channels, H, W) float, normalised with the config's mean and std. Any size.
            layer_outputs: every model can be asked for them; this one has none.

        Returns:
            Maps of (ceil(H / p), ceil(W / p)) for patches of p pixels.
        """
        return self.decoder(self.refine(self.backbone(images)), self)

    def class_heads(self) -> set[str]:
        return {
            name
            for name, _ in self.named_parameters()
            if name.startswith(("decoder.class_embed", "decoder.classifier.", "selector.norm."))
        }


class LinearDecoder(nn.Module):
    """Every patch token to K logits."""

    def __init__(self, channels: int, num_classes: int):
        super().__init__()
        self.channels = channels
        self.classifier = nn.Linear(channels, num_classes)
        _start(self.classifier)

    def forward(self, features: Tensor, model: SemanticModel) -> SemanticOutput:
        """(B, C, h, w) of the backbone to the output of ``model``, which holds this decoder."""
        selection = model.selector.select(features, self.classifier.weight)
        return model.classified(features, selection, self.classifier.bias)


class MaskDecoder(nn.Module):
    """Patch tokens and class embeddings, refined together and compared by their cosines.

    Args:
        in_channels: C of the backbone's map.
        num_classes: K.
        config: of the model.

    Raises:
        UserError: the width is not a multiple of the heads.
    """

    def __init__(self, in_channels: int, num_classes: int, config: SegmenterConfig):
        super().__init__()
        self.channels = channels = config.channels or in_channels
        heads = config.num_heads or max(channels // HEAD_CHANNELS, 1)
        if channels % heads:
            raise UserError(f"model.num_heads is {heads}: it must divide model.channels, which is {channels}.")
        self.input_projection = nn.Linear(in_channels, channels)
        self.class_embed = nn.Parameter(torch.empty(num_classes, channels))
        self.blocks = nn.Sequential(
            *(
                Block(
                    channels,
                    heads,
                    mlp_ratio=(config.ffn_channels or 4 * channels) / channels,
                    qkv_bias=True,
                    proj_drop=config.dropout,
                    attn_drop=config.dropout,
                    drop_path=config.drop_path,
                    norm_layer=nn.LayerNorm,
                )
                for _ in range(config.decoder_layers)
            )
        )
        self.norm = nn.LayerNorm(channels)
        embed_channels = config.embed_channels or channels
        self.patch_projection = nn.Linear(channels, embed_channels, bias=False)
        self.class_projection = nn.Linear(channels, embed_channels, bias=False)
        self.apply(_start)
        trunc_normal_(self.class_embed, std=0.02)
        for projection in (self.patch_projection, self.class_projection):
            nn.init.normal_(projection.weight, std=channels**-0.5)

    def forward(self, features: Tensor, model: SemanticModel) -> SemanticOutput:
        """(B, C, h, w) of the backbone to the output of ``model``, which holds this decoder."""
        size = features.shape[2:]
        patches = self.input_projection(features.flatten(2).transpose(1, 2))
        selection = model.selector.select(features, self.class_embed, patches.transpose(1, 2).unflatten(2, size))
        if selection.tokens is not None:
            patches = selection.tokens.flatten(2).transpose(1, 2)
        tokens = torch.cat([patches, selection.class_embed], dim=1)
        seen = _all_but(selection.filler, patches.shape[1])
        for block in self.blocks:
            tokens = block(tokens, seen)
        patches, classes = self.norm(tokens).split([patches.shape[1], selection.class_embed.shape[1]], 1)
        patches = F.normalize(self.patch_projection(patches), dim=2)
        classes = F.normalize(self.class_projection(classes), dim=2)
        return model.classified(patches.transpose(1, 2).unflatten(2, size), replace(selection, class_embed=classes))


def _all_but(filler: Tensor | None, patches: int) -> Tensor | None:
    """(B, k) bool to (B, 1, 1, patches + k) bool: the tokens that others may look at; None where these are all."""
    return None if filler is None else ~F.pad(filler, (patches, 0))[:, None, None]


def _start(module: nn.Module) -> None:
    if isinstance(module, nn.Linear):
        trunc_normal_(module.weight, std=0.02)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
