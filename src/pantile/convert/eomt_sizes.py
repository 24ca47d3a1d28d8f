"""The sizes of an EoMT, told by the shapes of its tensors under the names of another project, and by its config."""

import math
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from pantile.contracts.errors import UserError
from pantile.convert.sizes import count_of, size_of
from pantile.models.eomt import EoMTConfig

#: width -> size in timm's names, channels of a head and query layers of the published networks
PUBLISHED = {384: ("small", 3), 768: ("base", 3), 1024: ("large", 4), 1536: ("giant", 5)}
HEAD_CHANNELS = 64  # of all published sizes


@dataclass(frozen=True)
class EoMTLandmarks:
    """Tensors that tell the sizes.

    Attributes:
        patches: kernel of the patch projection.
        positions: table of learned positions, patches along its second dimension from the end; None where they are
            rotary.
        registers: (1, R, C).
        blocks: prefix of numbered blocks.
        ffn: (I, C), first kernel of the MLP.
        gate: the other kernel beside it, where the MLP is gated.
        queries: (N, C).
        upscale: prefix of numbered upscaling layers.
    """

    patches: str
    positions: str | None
    registers: str
    blocks: str
    ffn: str
    gate: str
    queries: str
    upscale: str


def eomt_config(foreign: dict[str, Tensor], names: EoMTLandmarks, told: dict[str, Any]) -> EoMTConfig:
    """
    Args:
        told: Hugging Face's config.json; {} takes what published networks of this width have.

    Raises:
        UserError: sizes that are no EoMT's, or a file that disagrees with config.json.
    """
    width, patch = size_of(foreign, names.patches, 0), size_of(foreign, names.patches, 2)
    gated = names.gate in foreign
    ffn = size_of(foreign, names.gate if gated else names.ffn, 0)
    size, query_layers = PUBLISHED.get(width, ("base", None))
    query_layers = told.get("num_blocks") or len(foreign.get("attn_mask_probs", ())) or query_layers
    if not query_layers:
        raise UserError(f"A ViT of width {width} is none of S, B, L and g, and the file does not tell its num_blocks.")
    heads = told.get("num_attention_heads") or max(width // HEAD_CHANNELS, 1)
    rotary = names.positions is None
    registers = size_of(foreign, names.registers, 1)
    _agree(told, "patch_size", patch, names.patches)
    _agree(told, "num_register_tokens", registers, names.registers)
    _agree(told, "num_queries", size_of(foreign, names.queries, 0), names.queries)
    return EoMTConfig(
        backbone=f"vit_{size}_patch16_dinov3_qkvb.lvd1689m" if rotary else f"vit_{size}_patch14_reg4_dinov2.lvd142m",
        in_channels=size_of(foreign, names.patches, 1),
        patch_size=patch,
        image_size=_image_size(foreign, names, patch, told),
        positions="rotary" if rotary else "learned",
        registers=registers,
        channels=width,
        layers=count_of(foreign, names.blocks),
        num_heads=heads,
        ffn_channels=ffn,
        gated=gated,
        norm_eps=told.get("layer_norm_eps", EoMTConfig.norm_eps),
        num_queries=size_of(foreign, names.queries, 0),
        query_layers=query_layers,
        upscale_layers=count_of(foreign, names.upscale),
        slow_query_layers=not rotary,
    )


def _image_size(foreign: dict[str, Tensor], names: EoMTLandmarks, patch: int, told: dict[str, Any]) -> tuple[int, int]:
    """(H, W): config.json's, else that of a square grid."""
    size = told.get("image_size")
    size = (size, size) if isinstance(size, int) else tuple(size) if size else None
    if names.positions is None:
        return size or EoMTConfig.image_size
    patches = size_of(foreign, names.positions, foreign[names.positions].ndim - 2)
    if size is None:
        side = math.isqrt(patches)
        size = (side * patch, side * patch)
    if (size[0] // patch) * (size[1] // patch) != patches:
        raise UserError(
            f"{names.positions} has {patches} positions, but images of {size[0]} x {size[1]} in patches of {patch} "
            "have another number: the weights and config.json are of different models."
        )
    return size


def _agree(told: dict[str, Any], field: str, value: int, tensor: str) -> None:
    given = told.get(field)
    given = given[0] if isinstance(given, list | tuple) and len(set(given)) == 1 else given
    if given is not None and given != value:
        raise UserError(
            f"{tensor} says that {field} is {value}, config.json that it is {given}: the two are of different models; "
            "copy both again."
        )
