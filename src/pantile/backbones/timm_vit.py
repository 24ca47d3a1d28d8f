"""Vision Transformer (arXiv:2010.11929) on images of any size, as Segmenter uses it: one map at the patch's stride.

timm's forward wants whole patches and has choices of its own about positions, so timm's blocks are driven from here:

- the image is padded with zeros to whole patches, at the right and the bottom;
- the table of positions has the grid of ``image_size`` and is resized for any other;
- the tokens that are no patches (class; DeiT's distillation) are dropped after the last norm.
"""

from typing import Literal

import timm
import torch
import torch.nn.functional as F
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor, nn

from pantile.backbones.interface import layers_behind
from pantile.backbones.timm_bridge import build, checked_name, create_tokens
from pantile.backbones.timm_tokens import PlainTransformer, is_plain_transformer
from pantile.contracts.errors import UserError
from pantile.layers.position_table import resize_positions
from pantile.layers.rounding import ceil_div

Interpolation = Literal["bilinear", "bicubic"]


class ViTBackbone(nn.Module):
    """(B, in_channels, H, W) normalised float -> (B, channels, ceil(H / stride), ceil(W / stride)), normalised.

    Args:
        model: timm's, with a class token and learned positions; its head is left out.
        image_size: (H, W) in pixels, from which the grid of the table of positions is made.
        positions: how the table is resized.
        norm_eps: of the layer norms.

    Attributes:
        channels: D.
        stride: side of a patch in pixels.
        grid: (h, w) of the table of positions.

    Raises:
        UserError: a transformer with other tokens or positions, or patches that are not square.
    """

    def __init__(
        self,
        model: VisionTransformer,
        image_size: tuple[int, int],
        positions: Interpolation = "bilinear",
        norm_eps: float = 1e-5,
    ):
        super().__init__()
        _check(model)
        model.reset_classifier(0, global_pool="")
        for head in ("head_dist", "fc_norm", "head_drop"):
            if hasattr(model, head):
                delattr(model, head)
        for module in model.modules():
            if isinstance(module, nn.LayerNorm):
                module.eps = norm_eps
        self.channels: int = model.embed_dim
        self.stride: int = model.patch_embed.patch_size[0]
        self.grid = _grid(image_size, self.stride)
        self.positions = positions
        with torch.no_grad():
            table = resize_positions(model.pos_embed, model.patch_embed.grid_size, self.grid, positions)
        model.pos_embed = nn.Parameter(table)
        self.model = model

    def forward(self, images: Tensor) -> Tensor:
        model, stride = self.model, self.stride
        images = F.pad(images, (0, -images.shape[3] % stride, 0, -images.shape[2] % stride))
        patches = model.patch_embed.proj(images)
        size = patches.shape[2:]
        others = [token.expand(images.shape[0], -1, -1) for token in _tokens(model)]
        x = torch.cat([*others, patches.flatten(2).transpose(1, 2)], dim=1)
        x = x + resize_positions(model.pos_embed, self.grid, size, self.positions)
        x = model.norm(model.blocks(x))
        return x[:, len(others) :].transpose(1, 2).unflatten(2, size)

    def layers_behind(self) -> dict[str, int]:
        """See ``interface.layers_behind``; the last norm goes with the decoder."""
        names = [name for name, _ in self.named_parameters() if not name.startswith("model.norm.")]
        return layers_behind(names, r"model\.blocks\.(\d+)")


def create_vit(
    name: str | ViTBackbone | PlainTransformer,
    *,
    image_size: tuple[int, int],
    patch_size: int | None = None,
    pretrained: bool = False,
    weights_file: str | None = None,
    in_channels: int = 3,
    drop_path: float = 0.0,
    positions: Interpolation = "bilinear",
    norm_eps: float = 1e-5,
) -> ViTBackbone | PlainTransformer:
    """A transformer by its timm name, such as ``vit_base_patch16_384.augreg_in21k_ft_in1k``; or one that is taken as
    it is.

    One with registers, without a class token or with rotary positions (DINOv2, DINOv3, EVA-02) comes as
    ``PlainTransformer``; ``image_size``, ``positions`` and ``norm_eps`` are not for it.

    Args:
        image_size: (H, W) of the table of positions in pixels; that of loaded weights is resized to it.
        patch_size: in pixels; None is the name's. The first kernel of loaded weights is resized to it.
        pretrained: load timm's weights, downloaded on first use.
        weights_file: load these weights of the whole timm model instead.
        in_channels: bands of the image.
        drop_path: stochastic depth of the last block, 0..1; it grows from 0 at the first one.
        positions: how the table is resized.
        norm_eps: of the layer norms.

    Raises:
        UserError: unknown name, another kind of model, or weights that cannot be had or do not fit.
    """
    if isinstance(name, ViTBackbone | PlainTransformer):
        return name
    base_name = checked_name(name, weights_file)
    options: dict = {"in_chans": in_channels, "drop_path_rate": drop_path}
    with torch.device("meta"):
        kind = timm.create_model(base_name)
    if is_plain_transformer(kind) and not _has_table(kind):
        return create_tokens(
            name, options, lambda size: patch_size or size, pretrained=pretrained, weights_file=weights_file
        )
    if patch_size is not None:
        options["patch_size"] = patch_size
    model = build(name, options, pretrained=pretrained, weights_file=weights_file)
    return ViTBackbone(model, image_size, positions, norm_eps)


def _tokens(model: VisionTransformer) -> list[Tensor]:
    """(1, 1, D) each, in the order of the table of positions."""
    return [model.cls_token, model.dist_token] if hasattr(model, "dist_token") else [model.cls_token]


def _grid(image_size: tuple[int, int], stride: int) -> tuple[int, int]:
    height, width = (ceil_div(side, stride) for side in image_size)
    return height, width


def _has_table(model: nn.Module) -> bool:
    """Whether it is a plain ViT or a DeiT, with a position for every token."""
    plain = isinstance(model, VisionTransformer) and model.cls_token is not None and model.pos_embed is not None
    return plain and model.pos_embed.shape[1] == model.patch_embed.num_patches + len(_tokens(model))


def _check(model: nn.Module) -> None:
    """Raises a UserError unless the model is a plain ViT or a DeiT."""
    if not _has_table(model):
        raise UserError(
            f"model.backbone: {type(model).__name__} is not a vision transformer with a class token and a table of "
            "positions; take one such as vit_base_patch16_384 or deit_base_distilled_patch16_384."
        )
    if len(set(model.patch_embed.patch_size)) > 1:
        raise UserError(f"model.backbone: its patches are {model.patch_embed.patch_size}; they must be square.")
