"""kMaX-DeepLab: k-means Mask Transformer (Yu et al., ECCV 2022, arXiv:2207.04044).

Queries are cluster centres. Each decoder layer assigns every pixel to the centre with the highest mask logit and
moves the centres by what their pixels sum to (the k-means step replaces cross-attention's softmax over pixels):

    A  = one_hot(argmax_n M)                    hard assignment, no gradient
    C <- C + W (A v) + self-attention(C),       C <- C + FFN(C)
    M_n = BN(f . k_n),   f = L2-normalised pixel embedding,   k_n = mask kernel of centre n

    images -> backbone -> pixel decoder (strides 32, 16, 8, 4[, stem]) -> predictor -> MaskOutput
                              |    |    |                                    |
    cluster centres -----> layers at 32, 16, 8 (two each) -------------------+

Two public implementations exist, in TensorFlow and PyTorch, and they differ. Here everything follows the PyTorch
one, whose checkpoints load into this file:

- backbone features are the activated stage outputs (TensorFlow reads the sums before activation), ResNet has its
  usual max-pooling, and the stem feature is the one after it;
- ``align_corners`` of a resize is true when the source width is odd, in the auxiliary head when that of res5 is
  (TensorFlow: always);
- convolutions start from a truncated normal of std sqrt(2 / in_channels), without the kernel's area;
- the no-object class is the last one in all heads; the Cityscapes auxiliary head has none.

Different from both: relative positions beyond the table's span take its outermost row, inputs may have any size,
and layer outputs stay at their own stride (a criterion resizes them). The pixel decoder has no stochastic depth;
its rate is zero in every released model.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

import torch
import torch.nn.functional as F
from timm.layers import DropPath, trunc_normal_tf_
from torch import Tensor, nn

from pantile.backbones import create_backbone
from pantile.contracts.errors import UserError
from pantile.contracts.outputs import MaskOutput, MaskSpec
from pantile.contracts.precision import at_least_float32
from pantile.layers.conv import ConvNorm, set_batch_norm
from pantile.models.auxiliary_head import ASPPSemanticHead, PlainSemanticHead
from pantile.models.base import ARCHITECTURES, PanopticModel
from pantile.models.kmax_pixel_decoder import PixelDecoder
from pantile.models.mask_predictor import Predictor


@dataclass
class KMaXConfig:
    """Defaults: kMaX-DeepLab with ResNet-50 on COCO.

    Attributes:
        architecture: tells the configs of different architectures apart.
        backbone: timm name.
        pretrained: load timm's ImageNet weights of the backbone, those of the tag in its name.
        backbone_weights: file with timm weights of the backbone, instead of a download.
        backbone_drop_path: stochastic depth of the backbone, 0..1. ResNet-50 0; ConvNeXt T/S/B/L on COCO
            0.3, 0.4, 0.5, 0.6.
        in_channels: bands of the image.
        image_mean: per band, on the 0..255 scale; subtracted before the model.
        image_std: per band, on the 0..255 scale; divided by before the model.
        num_queries: cluster centres N. COCO and ADE20K 128, Cityscapes 256.
        decoder_blocks: residual blocks of the pixel decoder's stages, stride 32 first. Four stages; a fifth one makes
            the decoder read the backbone's stem feature too (Cityscapes: (1, 5, 1, 1, 1)).
        decoder_widths: base width of each stage; a stage gives four times that. Entries beyond the stages are unused.
        transformer_layers: k-means layers that read strides 32, 16 and 8. ReMaX-T, -S and -M: (1, 1, 1).
        query_channels: width of the centres and of the pixels in a layer.
        embed_channels: D of ``query_embed`` and ``pixel_embed``.
        ffn_channels: inner width of a layer's feed-forward part.
        depthwise_kernel: of the predictors and the auxiliary head, odd. Below five it trains faster on a CPU, where
            the gradient of a 5x5 depthwise kernel costs twenty times that of a 3x3 one.
        num_heads: of the axial attention and of the centres' self-attention.
        drop_path: of each layer's three branches, 0..1. COCO and Cityscapes 0.2, ADE20K 0.
        auxiliary_head: semantic head for training: "aspp" (COCO, ADE20K), "plain" (Cityscapes) or "none".
        auxiliary_channels: its width.
        batch_norm_momentum: torch convention, of all batch norms, backbone included.
        batch_norm_eps: of all batch norms, backbone included.
    """

    architecture: Literal["kmax"] = "kmax"
    backbone: str = "resnet50.tv_in1k"
    pretrained: bool = False
    backbone_weights: str | None = None
    backbone_drop_path: float = 0.0
    in_channels: int = 3
    image_mean: tuple[float, ...] = (127.5, 127.5, 127.5)
    image_std: tuple[float, ...] = (127.5, 127.5, 127.5)
    num_queries: int = 128
    decoder_blocks: tuple[int, ...] = (1, 5, 1, 1)
    decoder_widths: tuple[int, ...] = (512, 256, 128, 64, 32)
    transformer_layers: tuple[int, int, int] = (2, 2, 2)
    query_channels: int = 256
    embed_channels: int = 128
    ffn_channels: int = 2048
    depthwise_kernel: int = 5
    num_heads: int = 8
    drop_path: float = 0.2
    auxiliary_head: Literal["aspp", "plain", "none"] = "aspp"
    auxiliary_channels: int = 256
    batch_norm_momentum: float = 0.01
    batch_norm_eps: float = 1e-3


def kmax_nano_config() -> KMaXConfig:
    """The same network, small enough to train on two CPU cores."""
    return KMaXConfig(
        backbone="test_resnet.r160_in1k",
        num_queries=32,
        decoder_blocks=(1, 1, 1, 1),
        decoder_widths=(64, 64, 32, 16),
        transformer_layers=(1, 1, 1),
        query_channels=64,
        embed_channels=32,
        ffn_channels=256,
        depthwise_kernel=3,
        num_heads=4,
        drop_path=0.0,
        auxiliary_channels=32,
        batch_norm_momentum=0.03,  # runs are short
    )


@ARCHITECTURES.register("kmax")
class KMaXDeepLab(PanopticModel):
    """Mask classification by k-means over pixels.

    Args:
        config: see ``KMaXConfig``.
        num_classes: K, things and stuff, without no-object.

    Attributes:
        steer: None, or a function of (index of the layer, its ``MaskOutput``) that returns (B, N, h, w) logits; the
            k-means assignment of that layer then uses them in place of its own mask logits. The layer's output
            stays what it is.
        training_only: names of submodules that inference never runs.
    """

    config_class = KMaXConfig
    training_only = ("auxiliary_head",)

    def __init__(self, config: KMaXConfig, num_classes: int):
        super().__init__()
        _check(config)
        self.config = config
        self.num_classes = num_classes
        self.steer: Callable[[int, MaskOutput], Tensor] | None = None

        self.backbone = create_backbone(
            config.backbone,
            pretrained=config.pretrained,
            weights_file=config.backbone_weights,
            in_channels=config.in_channels,
            drop_path=config.backbone_drop_path,
        )
        channels = self.backbone.channels
        stages = len(config.decoder_blocks)
        if stages == 5 and "stem" not in channels:
            raise UserError(
                f"model.decoder_blocks: {config.backbone} gives no stem feature for a fifth stage; use four stages."
            )
        self.feature_names = [name for name in channels if name != "stem" or stages == 5]
        self.pixel_decoder = PixelDecoder(
            [channels[name] for name in self.feature_names],
            config.decoder_widths[:stages],
            config.decoder_blocks,
            config.num_heads,
        )

        width = config.query_channels
        decoded = self.pixel_decoder.out_channels
        self.cluster_centers = nn.Parameter(trunc_normal_tf_(torch.empty(width, config.num_queries), std=1.0))
        self.layers = nn.ModuleList(
            KMaXLayer(decoded[stage], config, num_classes)
            for stage, count in enumerate(config.transformer_layers)
            for _ in range(count)
        )
        self.class_projection = ConvNorm(width, width, dims=1)
        self.mask_projection = ConvNorm(width, width, dims=1)
        self.predictor = Predictor(decoded[-1], config, num_classes)
        self.auxiliary_head = _auxiliary_head(config, channels, num_classes)
        set_batch_norm(self, eps=config.batch_norm_eps, momentum=config.batch_norm_momentum)

    def forward(self, images: Tensor, layer_outputs: bool | None = None) -> MaskOutput:
        """Predicts N masks with classes.

        Args:
            images: (B, in_channels, H, W) float, normalised with the config's mean and std. Any size; 32k+1 keeps
                corners aligned at all strides.
            layer_outputs: keep what each layer predicts; by default only in training mode.

        Returns:
            ``mask_logits`` at stride 4 (the stride of the last decoder stage), for a softmax over N;
            ``pixel_embed`` of unit length. ``layers`` holds one output per layer at the stride that it reads,
            predicted from the centres that enter the layer. ``semantic_logits`` in training mode only.
        """
        keep = self.training if layer_outputs is None else layer_outputs
        features = self.backbone(images.contiguous(memory_format=torch.channels_last))
        maps = self.pixel_decoder(tuple(features[name] for name in self.feature_names))

        centers = self.cluster_centers.expand(images.shape[0], -1, -1)
        outputs = []
        for index, (layer, stage) in enumerate(zip(self.layers, self._stage_of_layer(), strict=True)):
            centers, output = layer(maps[stage], centers, keep, self._assignment_of(index))
            outputs.append(output)

        final = self.predictor(maps[-1], self.mask_projection(centers), self.class_projection(centers))
        semantic = self.auxiliary_head(features) if self.training and self.auxiliary_head is not None else None
        return replace(final, layers=tuple(outputs) if keep else (), semantic_logits=semantic)

    def class_heads(self) -> set[str]:
        """Names of the tensors whose rows are the classes, with or without one more row at the end."""
        return {name for name, _ in self.named_parameters() if ".classifier." in name}

    def query_embeddings(self) -> dict[str, int]:
        """Names of the tensors that have an entry per query, and along which dimension."""
        return {"cluster_centers": 1}

    @property
    def segment_limit(self) -> int:
        """How many segments it can tell apart in an image."""
        return self.config.num_queries

    @property
    def mask_spec(self) -> MaskSpec:
        """What a technique may know before the first batch."""
        config = self.config
        return MaskSpec(
            num_layers=len(self.layers),
            num_queries=config.num_queries,
            num_classes=self.num_classes,
            embed_channels=config.embed_channels,
            feature_channels=config.query_channels,
        )

    def _stage_of_layer(self) -> list[int]:
        return [stage for stage, count in enumerate(self.config.transformer_layers) for _ in range(count)]

    def _assignment_of(self, index: int) -> Callable[[MaskOutput], Tensor] | None:
        if self.steer is None:
            return None
        return lambda output: self.steer(index, output)


class KMaXLayer(nn.Module):
    """One k-means layer: predicts from the incoming centres, then moves them.

    The k-means step and the self-attention both read the incoming centres; their sum passes one GELU.
    """

    def __init__(self, pixel_channels: int, config: KMaXConfig, num_classes: int):
        super().__init__()
        width = config.query_channels
        self.pixel_in = ConvNorm(pixel_channels, width)
        self.query_in = ConvNorm(width, width, dims=1)
        self.predictor = Predictor(width, config, num_classes)
        self.pixel_value = ConvNorm(width, width, act=None, std=width**-0.5)
        self.kmeans_norm = nn.BatchNorm1d(width)
        self.kmeans_out = ConvNorm(width, width, dims=1, act=None, norm_init=0.0)
        self.attention = QuerySelfAttention(width, config.num_heads)
        self.attention_out = ConvNorm(width, width, dims=1, act=None, norm_init=0.0)
        self.ffn = nn.Sequential(
            ConvNorm(width, config.ffn_channels, dims=1),
            ConvNorm(config.ffn_channels, width, dims=1, act=None, norm_init=0.0),
        )
        self.drop_path = DropPath(config.drop_path)

    def forward(
        self,
        pixels: Tensor,
        centers: Tensor,
        predict: bool,
        steer: Callable[[MaskOutput], Tensor] | None = None,
    ) -> tuple[Tensor, MaskOutput | None]:
        """
        Args:
            pixels: (B, pixel_channels, h, w) from the pixel decoder, activated.
            centers: (B, C, N).
            predict: return the layer's output too.
            steer: makes the assignment's logits from the layer's output.

        Returns:
            (B, C, N) moved centres, and the output or None.
        """
        p = self.pixel_in(pixels)
        c = self.query_in(centers)
        output = self.predictor(p, c, c) if predict or steer is not None else None
        if output is not None:
            output = replace(output, pixel_feature=p)
        if steer is not None:
            logits = steer(output)
        else:
            logits = output.mask_logits if output is not None else self.predictor.masks(p, c)

        moved = self.kmeans_out(self.kmeans_norm(cluster_sums(self.pixel_value(p), logits)))
        attended = self.attention_out(self.attention(c))
        centers = F.gelu(centers + self.drop_path(moved) + self.drop_path(attended))
        centers = F.gelu(centers + self.drop_path(self.ffn(centers)))
        return centers, output if predict else None


def cluster_sums(values: Tensor, logits: Tensor) -> Tensor:
    """Sums each pixel's value into the cluster with its highest logit; float32, whatever the inputs.

    Args:
        values: (B, C, h, w).
        logits: (B, N, h, w); no gradient flows through them.

    Returns:
        (B, C, N); zero for a cluster without pixels.
    """
    batch, clusters = logits.shape[:2]
    nearest = logits.detach().flatten(2).max(dim=1).indices
    slot = nearest + clusters * torch.arange(batch, device=nearest.device)[:, None]
    flat = at_least_float32(values.permute(0, 2, 3, 1).flatten(0, 2))
    sums = flat.new_zeros(batch * clusters, flat.shape[1]).index_add(0, slot.flatten(), flat)
    return sums.unflatten(0, (batch, clusters)).transpose(1, 2)


class QuerySelfAttention(nn.Module):
    """(B, C, N) -> (B, C, N): heads with keys of C/2 and values of C channels in total; batch norm on the logits,
    no 1/sqrt(d), GELU at the end."""

    def __init__(self, width: int, num_heads: int):
        super().__init__()
        self.num_heads = num_heads
        self.split = (width // 2, width // 2, width)
        self.qkv = ConvNorm(width, 2 * width, dims=1, act=None, std=width**-0.5)
        self.norm_similarity = nn.BatchNorm2d(num_heads)
        self.norm_retrieved = nn.BatchNorm1d(width)

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = (part.unflatten(1, (self.num_heads, -1)) for part in self.qkv(x).split(self.split, dim=1))
        weights = self.norm_similarity(at_least_float32(q.transpose(2, 3) @ k)).softmax(-1)
        retrieved = v @ weights.transpose(2, 3).to(v.dtype)
        return F.gelu(self.norm_retrieved(retrieved.flatten(1, 2)))


def _auxiliary_head(config: KMaXConfig, channels: dict[str, int], num_classes: int) -> nn.Module | None:
    if config.auxiliary_head == "none":
        return None
    head = ASPPSemanticHead if config.auxiliary_head == "aspp" else PlainSemanticHead
    return head(channels, num_classes, config.auxiliary_channels, config.depthwise_kernel)


def _check(config: KMaXConfig) -> None:
    """Raises a UserError where fields do not fit together."""
    if len(config.decoder_blocks) not in (4, 5):
        raise UserError(
            f"model.decoder_blocks has {len(config.decoder_blocks)} entries; give four stages, or five to use the stem."
        )
    if len(config.decoder_widths) < len(config.decoder_blocks):
        raise UserError(
            f"model.decoder_widths has {len(config.decoder_widths)} entries for {len(config.decoder_blocks)} stages "
            "of model.decoder_blocks; give one width per stage."
        )
    for name, width in (
        ("decoder_widths", config.decoder_widths[0]),
        ("decoder_widths", config.decoder_widths[1]),
        ("query_channels / 2", config.query_channels // 2),
    ):
        if width % config.num_heads:
            raise UserError(
                f"model.{name}: {width} channels cannot be split over model.num_heads = {config.num_heads}; "
                "change one of them."
            )
