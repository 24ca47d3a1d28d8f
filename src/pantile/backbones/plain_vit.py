"""Plain vision transformers of the DINO family as rows of blocks that a model drives itself, so that it may put tokens
of its own among theirs (EoMT).

    images -> patches (+ learned positions) -> [class, registers, patches] -> blocks -> norm

DINOv2 with registers (arXiv:2309.16588) has learned positions of patches, DINOv3 (arXiv:2508.10104) rotary ones.
Parameters have timm's names; its weights load.
"""

import math
from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pantile.backbones.interface import layers_behind
from pantile.backbones.timm_bridge import build, checked_name
from pantile.contracts.errors import UserError
from pantile.layers.position_table import resize_positions
from pantile.layers.rotary_positions import rotary_positions
from pantile.layers.rounding import ceil_div
from pantile.layers.vit_block import Rotation, ViTBlock

Positions = Literal["learned", "rotary"]


@dataclass(frozen=True)
class PatchTokens:
    """Attributes:
    tokens: (B, T + h w, C): the class token, the registers, and the patches row by row.
    size: (h, w) of the patches.
    rotation: of the patches, where positions are rotary.
    """

    tokens: Tensor
    size: tuple[int, int]
    rotation: Rotation | None


class PlainViT(nn.Module):
    """
    Args:
        channels: C, a multiple of ``num_heads``; a head's a multiple of 4 where positions are rotary.
        depth: number of blocks.
        num_heads: of every attention.
        hidden_channels: of the MLPs.
        patch_size: side in pixels.
        image_size: (H, W) in pixels, for whose patches learned positions are stored; other sizes resize them.
        positions: "learned" or "rotary".
        registers: number of tokens beside the class token and the patches.
        gated: whether MLPs are SwiGLU.
        rotary_rescale: in training, coordinates of rotary positions are multiplied by a number between its inverse and
            it, drawn for each batch.
        in_channels: bands.
        layer_scale: what it starts from.
        drop_path: 0..1 of the last block; it grows from 0 at the first.
        norm_eps: of the layer norms.

    Attributes:
        grid: (h, w) of the table of positions.
        num_prefix_tokens: T.
    """

    def __init__(
        self,
        channels: int,
        depth: int,
        num_heads: int,
        hidden_channels: int,
        patch_size: int,
        image_size: tuple[int, int],
        *,
        positions: Positions = "learned",
        registers: int = 4,
        gated: bool = False,
        rotary_rescale: float = 2.0,
        in_channels: int = 3,
        layer_scale: float = 1e-5,
        drop_path: float = 0.0,
        norm_eps: float = 1e-6,
    ):
        super().__init__()
        self.patch_size = patch_size
        self.num_prefix_tokens = 1 + registers
        self.head_channels = channels // num_heads
        self.rotary_rescale = rotary_rescale
        self.grid = tuple(ceil_div(side, patch_size) for side in image_size)
        self.patch_embed = nn.ModuleDict({"proj": nn.Conv2d(in_channels, channels, patch_size, stride=patch_size)})
        self.cls_token = nn.Parameter(0.02 * torch.randn(1, 1, channels))
        self.reg_token = nn.Parameter(0.02 * torch.randn(1, registers, channels))
        learned = positions == "learned"
        self.pos_embed = nn.Parameter(0.02 * torch.randn(1, math.prod(self.grid), channels)) if learned else None
        self.blocks = nn.ModuleList(
            ViTBlock(
                channels,
                num_heads,
                hidden_channels,
                gated=gated,
                key_bias=learned,
                layer_scale=layer_scale,
                drop_path=drop_path * index / max(depth - 1, 1),
                norm_eps=norm_eps,
            )
            for index in range(depth)
        )
        self.norm = nn.LayerNorm(channels, eps=norm_eps)

    def embed(self, images: Tensor) -> PatchTokens:
        """(B, in_channels, H, W) normalised float to the tokens of ceil(H / p) x ceil(W / p) patches: zeros fill up
        the last ones at the right and the bottom."""
        patch = self.patch_size
        images = F.pad(images, (0, -images.shape[3] % patch, 0, -images.shape[2] % patch))
        maps = self.patch_embed["proj"](images)
        size = (maps.shape[2], maps.shape[3])
        patches = maps.flatten(2).transpose(1, 2)
        rotation = None
        if self.pos_embed is not None:
            patches = patches + resize_positions(self.pos_embed, self.grid, size, "bicubic")
        else:
            rotation = rotary_positions(size, self.head_channels, patches, self._rescale(patches))
        prefix = torch.cat([self.cls_token, self.reg_token], dim=1).expand(len(images), -1, -1)
        return PatchTokens(torch.cat([prefix, patches], dim=1), size, rotation)

    def _rescale(self, like: Tensor) -> Tensor | float:
        if not self.training or self.rotary_rescale == 1:
            return 1.0
        exponent = 2 * torch.rand((), device=like.device) - 1
        return self.rotary_rescale**exponent

    def layers_behind(self) -> dict[str, int]:
        """See ``interface.layers_behind``; the last norm goes with the decoder."""
        names = [name for name, _ in self.named_parameters() if not name.startswith("norm.")]
        return layers_behind(names, r"blocks\.(\d+)")


def load_timm_weights(vit: PlainViT, name: str, weights_file: str | None) -> None:
    """Loads timm's weights of a DINOv2 with registers or a DINOv3, resized to the patches and positions of ``vit``.

    Args:
        name: of timm's model and weights, such as ``vit_base_patch14_reg4_dinov2.lvd142m``; downloaded on first use.
        weights_file: load these weights of the timm model instead.

    Raises:
        UserError: unknown name, weights that cannot be had, or a transformer of another size or kind.
    """
    checked_name(name, weights_file)
    options: dict = {"in_chans": vit.patch_embed["proj"].in_channels, "patch_size": vit.patch_size, "num_classes": 0}
    if vit.pos_embed is not None:
        options["img_size"] = tuple(count * vit.patch_size for count in vit.grid)
    model = build(name, options, pretrained=weights_file is None, weights_file=weights_file)
    given = {_our_name(name): tensor for name, tensor in model.state_dict().items()}
    own = vit.state_dict()
    others = sorted(
        n for n in own.keys() | given.keys() if n not in own or n not in given or own[n].shape != given[n].shape
    )
    if others:
        raise UserError(
            f"model.backbone: {name} is not the transformer that the other fields of model say ({len(others)} tensors "
            f"differ, such as {others[0]}): take the recipe of this size, or set model.pretrained=false."
        )
    vit.load_state_dict(given)


def _our_name(name: str) -> str:
    return name.replace(".ls1.gamma", ".gamma_1").replace(".ls2.gamma", ".gamma_2")
