"""EoMT: encoder-only mask transformer (Kerssies et al., CVPR 2025, arXiv:2503.19108): a plain ViT whose last blocks
hold queries among the patches.

    images -> patches -> blocks -> [queries, class, registers, patches] -> last Q blocks -> norm -> prediction

    class logits = linear(queries),   M = E . F,   E = MLP(queries),   F = upscaled patches, at a quarter of their side

In training there is a prediction before each of the last Q blocks, too, and in that block a query looks at patches
only where its mask is positive; at all other tokens it looks always. Each query obeys its mask with a probability that
falls from 1 to 0 in the course of the run, block after block (mask annealing), and in eval mode no mask is obeyed,
whatever a checkpoint says: the network is a ViT and nothing else.

Forms: DINOv2 with registers (learned positions, which are resized for other image sizes), DINOv3 (rotary positions).

Images are padded with zeros to whole patches at the right and the bottom, and mask logits cut to what they are of the
image. Whoever fits images into whole patches (``evaluation_size``) decides what padding is.

A block's parameters are learned at ``optimizer.layer_decay`` times the rate of the block behind it, the last block's at
the decoder's own rate. Deviation: norms, tokens and layer scales do not decay here; the original lets everything decay.
"""

import math
from dataclasses import dataclass, replace
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pantile.backbones.plain_vit import PatchTokens, PlainViT, Positions, load_timm_weights
from pantile.contracts.errors import UserError
from pantile.contracts.outputs import MaskOutput, MaskSpec
from pantile.layers.rounding import ceil_div
from pantile.models.base import ARCHITECTURES, PanopticModel

UPSCALING = 2  # of each layer, along each axis


@dataclass
class EoMTConfig:
    """Defaults: EoMT-B on COCO panoptic at 640.

    Attributes:
        architecture: tells the configs of different architectures apart.
        backbone: timm name of the weights that ``pretrained`` loads; the sizes below say what is built.
        pretrained: load timm's weights, downloaded on first use.
        backbone_weights: file with timm weights of the backbone, instead of a download.
        backbone_drop_path: stochastic depth of the backbone, 0..1.
        in_channels: bands of the image.
        image_mean: per band, on the 0..255 scale; subtracted before the model.
        image_std: per band, on the 0..255 scale; divided by before the model.
        patch_size: side in pixels.
        image_size: (H, W) in pixels for which learned positions are stored.
        positions: "learned" (DINOv2) or "rotary" (DINOv3).
        rotary_rescale: rotary coordinates are multiplied by up to this or its inverse in training, drawn per batch.
        registers: tokens beside the class token.
        channels: C of all tokens.
        layers: blocks, all together.
        num_heads: of every attention.
        ffn_channels: inner width of a block's MLP.
        gated: whether MLPs are SwiGLU (g).
        layer_scale: what it starts from where no weights are loaded.
        norm_eps: of the backbone's layer norms.
        num_queries: N.
        query_layers: Q, the last blocks, which hold queries.
        upscale_layers: each doubles the resolution of the masks.
        mask_annealing: for each of the last Q blocks, the fractions of the run at which the probability that a query
            obeys its mask begins to fall from 1 and at which it has reached 0. Empty: masks are obeyed to the end.
        annealing_power: of its fall, (1 - progress) ** power.
        slow_query_layers: whether ``optimizer.layer_decay`` also slows the blocks that hold queries down (DINOv2).
    """

    architecture: Literal["eomt"] = "eomt"
    backbone: str = "vit_base_patch14_reg4_dinov2.lvd142m"
    pretrained: bool = False
    backbone_weights: str | None = None
    backbone_drop_path: float = 0.0
    in_channels: int = 3
    image_mean: tuple[float, ...] = (123.675, 116.28, 103.53)
    image_std: tuple[float, ...] = (58.395, 57.12, 57.375)
    patch_size: int = 16
    image_size: tuple[int, int] = (640, 640)
    positions: Positions = "learned"
    rotary_rescale: float = 2.0
    registers: int = 4
    channels: int = 768
    layers: int = 12
    num_heads: int = 12
    ffn_channels: int = 3072
    gated: bool = False
    layer_scale: float = 1e-5
    norm_eps: float = 1e-6
    num_queries: int = 200
    query_layers: int = 3
    upscale_layers: int = 2
    mask_annealing: tuple[tuple[float, float], ...] = ()
    annealing_power: float = 0.9
    slow_query_layers: bool = True


def eomt_nano_config() -> EoMTConfig:
    """The same network, small enough to train on two CPU cores."""
    return EoMTConfig(
        backbone="vit_nano_patch8_reg4_dinov2",
        patch_size=8,
        image_size=(192, 192),
        channels=96,
        layers=6,
        num_heads=4,
        ffn_channels=288,
        layer_scale=0.5,
        num_queries=32,
        query_layers=3,
        upscale_layers=1,
        mask_annealing=((0.2, 0.4), (0.4, 0.6), (0.6, 0.8)),
    )


@ARCHITECTURES.register("eomt")
class EoMT(PanopticModel):
    """See the module's docstring.

    Args:
        config: see ``EoMTConfig``.
        num_classes: K, things and stuff, without no-object.

    Attributes:
        mask_probabilities: for each of the last Q blocks, the probability that a query obeys its mask in training.

    Raises:
        UserError: fields that do not fit together, or weights that cannot be had or do not fit.
    """

    config_class = EoMTConfig

    def __init__(self, config: EoMTConfig, num_classes: int):
        super().__init__()
        _check(config)
        self.config = config
        self.num_classes = num_classes
        width = config.channels
        self.backbone = PlainViT(
            width,
            config.layers,
            config.num_heads,
            config.ffn_channels,
            config.patch_size,
            config.image_size,
            positions=config.positions,
            registers=config.registers,
            gated=config.gated,
            rotary_rescale=config.rotary_rescale,
            in_channels=config.in_channels,
            layer_scale=config.layer_scale,
            drop_path=config.backbone_drop_path,
            norm_eps=config.norm_eps,
        )
        if config.pretrained or config.backbone_weights is not None:
            load_timm_weights(self.backbone, config.backbone, config.backbone_weights)
        self.query = nn.Parameter(torch.randn(config.num_queries, width))
        self.classifier = nn.Linear(width, num_classes + 1)
        self.mask_embed = nn.Sequential(
            nn.Linear(width, width), nn.GELU(), nn.Linear(width, width), nn.GELU(), nn.Linear(width, width)
        )
        self.upscale = nn.Sequential(*(Upscale(width) for _ in range(config.upscale_layers)))
        self.set_progress(0.0)

    def forward(self, images: Tensor, layer_outputs: bool | None = None) -> MaskOutput:
        """Predicts N masks with classes.

        Args:
            images: (B, in_channels, H, W) float, normalised with the config's mean and std. Any size.
            layer_outputs: keep what is predicted before each of the last Q blocks; by default only in training mode.

        Returns:
            ``mask_logits`` of ceil(H / s) x ceil(W / s), s being a patch's side over 2 to the power of upscale layers,
            for a sigmoid. ``layers`` holds Q outputs.
        """
        patches = self.encode(images)
        queries = self.query.expand(len(images), -1, -1)
        mask_size = (ceil_div(images.shape[2], self._stride), ceil_div(images.shape[3], self._stride))
        output, _ = self.decode(queries, patches, mask_size, self.training if layer_outputs is None else layer_outputs)
        return output

    def encode(self, images: Tensor) -> PatchTokens:
        """The tokens before queries join them."""
        patches = self.backbone.embed(images)
        tokens = patches.tokens
        for block in self.backbone.blocks[: -self.config.query_layers]:
            tokens = block(tokens, patches.rotation)
        return replace(patches, tokens=tokens)

    def decode(
        self, queries: Tensor, patches: PatchTokens, mask_size: tuple[int, int], keep: bool
    ) -> tuple[MaskOutput, Tensor]:
        """The last Q blocks.

        Args:
            queries: (B, N, C) that join the tokens.
            patches: of ``encode``.
            mask_size: (h, w) of the mask logits, those of padding at the right and the bottom cut off.
            keep: what is predicted before each block.

        Returns:
            The output, and the queries (B, N, C) after the last block, before the norm.
        """
        count = queries.shape[1]
        tokens = torch.cat([queries, patches.tokens], dim=1)
        outputs = []
        for block, probability in zip(
            self.backbone.blocks[-self.config.query_layers :], self.mask_probabilities, strict=True
        ):
            seen = None
            if keep or (self.training and probability > 0):
                outputs.append(self._predict(tokens, count, patches.size, mask_size))
            if self.training and probability > 0:
                seen = self._seen(outputs[-1], tokens, patches.size, probability)
            tokens = block(tokens, patches.rotation, seen)
        final = self._predict(tokens, count, patches.size, mask_size)
        return replace(final, layers=tuple(outputs) if keep else ()), tokens[:, :count]

    def set_progress(self, progress: float) -> None:
        """Before each training step: the probability of masks at this fraction of the run, 0..1."""
        annealing = self.config.mask_annealing
        if not annealing:
            self.mask_probabilities = (1.0,) * self.config.query_layers
            return
        power = self.config.annealing_power
        self.mask_probabilities = tuple(_annealed(progress, start, end, power) for start, end in annealing)

    def layers_behind(self) -> dict[str, int]:
        """As everywhere, but that the last block learns at the decoder's rate; with ``slow_query_layers`` off, so do
        the last Q blocks."""
        behind = {name: count - 1 for name, count in super().layers_behind().items()}
        first = 0 if self.config.slow_query_layers else self.config.query_layers
        deepest = self.config.layers - 1  # what lies before the first block learns as it does
        return {name: min(count, deepest) if count >= first else 0 for name, count in behind.items()}

    def class_heads(self) -> set[str]:
        """Names of the tensors whose rows are the classes and one more at the end."""
        return {"classifier.weight", "classifier.bias"}

    def stem(self) -> set[str]:
        """The patches, and the tokens beside them."""
        return {"backbone.patch_embed.proj.weight", "backbone.reg_token"}

    def query_embeddings(self) -> dict[str, int]:
        """Names of the tensors that have an entry per query, and along which dimension."""
        return {"query": 0}

    def position_tables(self) -> dict[str, tuple[int, int]]:
        """Of learned positions, with the grid of their patches."""
        return {} if self.backbone.pos_embed is None else {"backbone.pos_embed": self.backbone.grid}

    @property
    def segment_limit(self) -> int:
        """How many segments it can tell apart in an image."""
        return self.config.num_queries

    @property
    def mask_spec(self) -> MaskSpec:
        """What a technique may know before the first batch."""
        config = self.config
        return MaskSpec(
            num_layers=config.query_layers,
            num_queries=config.num_queries,
            num_classes=self.num_classes,
            embed_channels=config.channels,
            feature_channels=config.channels,
            feature_stride=self._stride,
        )

    @property
    def _stride(self) -> int:
        return self.config.patch_size // UPSCALING**self.config.upscale_layers

    def _predict(self, tokens: Tensor, count: int, size: tuple[int, int], mask_size: tuple[int, int]) -> MaskOutput:
        """Of (B, N + T + h w, C): N queries first, the patches last."""
        normed = self.backbone.norm(tokens)
        queries, patches = normed[:, :count], normed[:, -size[0] * size[1] :]
        pixels = self.upscale(patches.unflatten(1, size).permute(0, 3, 1, 2))[:, :, : mask_size[0], : mask_size[1]]
        embed = self.mask_embed(queries)
        return MaskOutput(
            class_logits=self.classifier(queries),
            mask_logits=(embed @ pixels.flatten(2).to(embed.dtype)).unflatten(2, mask_size),
            query_embed=embed,
            pixel_embed=pixels,
            pixel_feature=pixels,
        )

    def _seen(self, output: MaskOutput, tokens: Tensor, size: tuple[int, int], probability: float) -> Tensor:
        """(B, N, N + T + h w) bool: which tokens each query looks at."""
        logits = output.mask_logits.detach()
        whole = tuple(side * self.config.patch_size // self._stride for side in size)
        padding = (0, whole[1] - logits.shape[3], 0, whole[0] - logits.shape[2])
        logits = F.pad(logits, padding, mode="replicate") if any(padding) else logits
        inside = F.interpolate(logits, size, mode="bilinear").flatten(2) > 0
        if probability < 1:
            free = torch.rand(inside.shape[:2], device=inside.device) > probability
            inside = inside | free[:, :, None]
        others = tokens.shape[1] - inside.shape[2]
        return torch.cat([inside.new_ones(*inside.shape[:2], others), inside], dim=2)


class Upscale(nn.Module):
    """(B, C, h, w) to twice the height and width: transposed convolution, GELU, depthwise convolution, norm over C.

    In channels-last memory, in which the norm reads neighbours and the depthwise convolution is fast on CPUs, too.
    """

    def __init__(self, channels: int):
        super().__init__()
        self.conv1 = nn.ConvTranspose2d(channels, channels, UPSCALING, stride=UPSCALING)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, groups=channels, bias=False)
        self.norm = nn.LayerNorm(channels, eps=1e-6)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv2(F.gelu(self.conv1(x)))
        return self.norm(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


def _annealed(progress: float, start: float, end: float, power: float) -> float:
    """1 until ``start``, then (1 - share of the way to ``end``) ** power, 0 from ``end`` on."""
    if progress < start:
        return 1.0
    return 0.0 if progress >= end else (1 - (progress - start) / (end - start)) ** power


def _check(config: EoMTConfig) -> None:
    """Raises a UserError where fields do not fit together."""
    multiple = config.num_heads * (4 if config.positions == "rotary" else 1)
    if config.channels % multiple:
        raise UserError(
            f"model.channels is {config.channels}: with model.num_heads={config.num_heads} and {config.positions} "
            f"positions it must be a multiple of {multiple}."
        )
    if not 1 <= config.query_layers <= config.layers:
        raise UserError(
            f"model.query_layers is {config.query_layers}: give at least 1 and at most model.layers, {config.layers}."
        )
    if config.upscale_layers < 0 or config.patch_size % UPSCALING**config.upscale_layers:
        raise UserError(
            f"model.upscale_layers is {config.upscale_layers}: each halves a patch, whose model.patch_size is "
            f"{config.patch_size}; give 0 to {int(math.log2(config.patch_size & -config.patch_size))}."
        )
    annealing = config.mask_annealing
    if annealing and len(annealing) != config.query_layers:
        raise UserError(
            f"model.mask_annealing has {len(annealing)} pairs for model.query_layers={config.query_layers}: give a "
            "start and an end for each of these blocks, or none."
        )
    if not all(0 <= start < end for start, end in annealing):
        raise UserError(
            f"model.mask_annealing is {[list(pair) for pair in annealing]}: every pair is a start from 0 on and a "
            "later end, in fractions of the run."
        )
