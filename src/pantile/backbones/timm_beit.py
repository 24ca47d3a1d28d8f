"""BEiT (arXiv:2106.08254) on images of any size, and the four maps that dense predictors make of it.

After a third, half, two thirds and all of the blocks the patch tokens are a map at the patch's stride of 16; they
become stride 4 (two transposed convolutions), 8 (one), 16 and 32 (max-pooling).

Every block has a table of relative positions for a grid of patches. For another grid it is resized bilinearly without
aligned corners (MiDaS 3.1, Hugging Face); the original only ever sees images of its training crop.
"""

from typing import Any

import torch
import torch.nn.functional as F
from timm.models import register_model
from timm.models.beit import Beit, gen_relative_position_index
from torch import Tensor, nn

from pantile.backbones.interface import Backbone, layers_behind
from pantile.contracts.errors import UserError
from pantile.layers.position_encoding import cached_by_arguments
from pantile.layers.rounding import ceil_div

OTHERS = 3  # rows at the end of a table: class token to patch, patch to class token, class token to itself


@register_model
def beit_nano_patch16_224(pretrained: bool = False, **options: Any) -> Beit:
    """A BEiT that trains on two CPU cores: four blocks of 64 channels. There are no weights of it."""
    if pretrained:
        raise ValueError("nobody has trained it")
    options = {name: value for name, value in options.items() if not name.startswith(("pretrained", "cache"))}
    return Beit(
        embed_dim=64, depth=4, num_heads=2, use_abs_pos_emb=False, use_rel_pos_bias=True, init_values=0.1, **options
    )


class BeitBackbone(Backbone):
    """Base: 768 channels in all four maps, large: 1024. No stem.

    Args:
        model: timm's, without absolute positions; blocks behind the last feature and the head are left out.
        output_stride: 32.
        feature_blocks: after how many blocks the features are taken, fine to coarse.

    Raises:
        UserError: another output stride, patches of other than 16 pixels, absolute positions, or no such blocks.
    """

    def __init__(
        self, model: Beit, output_stride: int = 32, feature_blocks: tuple[int, int, int, int] | None = None
    ) -> None:
        width, depth = model.embed_dim, len(model.blocks)
        super().__init__(dict.fromkeys(("res5", "res4", "res3", "res2"), width), stem_stride=4, output_stride=32)
        if model.patch_embed.patch_size != (16, 16) or model.pos_embed is not None or output_stride != 32:
            raise UserError(
                "model.backbone: a BEiT needs patches of 16 pixels, relative positions and output stride 32; take one "
                "such as beit_base_patch16_224 or beit_large_patch16_512."
            )
        blocks = feature_blocks or tuple(
            max(depth * sixths // 6, index) for index, sixths in enumerate((2, 3, 4, 6), start=1)
        )
        if list(blocks) != sorted(set(blocks)) or not 1 <= blocks[0] <= blocks[-1] <= depth:
            raise UserError(f"model.feature_blocks is {blocks}: give four rising numbers from 1 to {depth}.")
        self.feature_blocks = blocks
        self.grid: tuple[int, int] = model.patch_embed.grid_size
        model.blocks = model.blocks[: blocks[-1]]
        self.tables = nn.ParameterList(block.attn.relative_position_bias_table for block in model.blocks)
        for block in model.blocks:  # timm's attention then adds what it is given
            block.attn.relative_position_bias_table = block.attn.relative_position_index = None
        del model.norm, model.fc_norm, model.head, model.head_drop
        self.model = model
        self.quarter = nn.Sequential(
            nn.ConvTranspose2d(width, width, 2, stride=2),
            nn.BatchNorm2d(width),
            nn.GELU(),
            nn.ConvTranspose2d(width, width, 2, stride=2),
        )
        self.eighth = nn.ConvTranspose2d(width, width, 2, stride=2)

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        model, (height, width) = self.model, images.shape[2:]
        patches = model.patch_embed.proj(F.pad(images, (0, -width % 16, 0, -height % 16)))
        grid = (patches.shape[2], patches.shape[3])
        x = torch.cat([model.cls_token.expand(images.shape[0], -1, -1), patches.flatten(2).transpose(1, 2)], dim=1)
        maps = []
        for number, (block, table) in enumerate(zip(model.blocks, self.tables, strict=True), start=1):
            x = block(x, relative_bias(table, self.grid, grid).to(x.dtype))
            if number in self.feature_blocks:
                maps.append(x[:, 1:].transpose(1, 2).unflatten(2, grid))
        finest, fine, middle, coarse = maps
        return {
            "res2": self.quarter(finest)[:, :, : ceil_div(height, 4), : ceil_div(width, 4)],
            "res3": self.eighth(fine)[:, :, : ceil_div(height, 8), : ceil_div(width, 8)],
            "res4": middle,
            "res5": F.max_pool2d(coarse, 2, ceil_mode=True),
        }

    def layers_behind(self) -> dict[str, int]:
        """Of the transformer's parameters; see ``interface.layers_behind``."""
        names = [name for name, _ in self.named_parameters() if name.startswith(("model.", "tables."))]
        return layers_behind(names, r"(?:model\.blocks|tables)\.(\d+)")


def relative_bias(table: Tensor, grid: tuple[int, int], size: tuple[int, int]) -> Tensor:
    """What is added to the attention logits of a class token followed by h x w patches.

    Args:
        table: ((2 gh - 1)(2 gw - 1) + 3, heads) for a grid of gh x gw patches.
        grid: (gh, gw).
        size: (h, w).

    Returns:
        (1, heads, 1 + h w, 1 + h w).
    """
    if tuple(grid) != tuple(size):
        (height, width), wanted = (2 * side - 1 for side in grid), [2 * side - 1 for side in size]
        distances = table[:-OTHERS].unflatten(0, (height, width)).permute(2, 0, 1)[None]
        resized = F.interpolate(distances, size=wanted, mode="bilinear", align_corners=False)
        table = torch.cat([resized[0].flatten(1).T, table[-OTHERS:]])
    return table[_pairs(*size, table.device)].permute(2, 0, 1)[None]


@cached_by_arguments
def _pairs(height: int, width: int, device: torch.device) -> Tensor:
    """(1 + h w, 1 + h w) int64: the row of the table for each pair of tokens."""
    return gen_relative_position_index((height, width)).to(device)
