"""MaX-DeepLab: end-to-end panoptic segmentation with mask transformers (Wang et al., CVPR 2021, arXiv:2012.00759).

N memory vectors run beside the pixels, from the coarse stages of the backbone on. After a residual block a dual-path
layer (``layers.dual_path``) lets both read both; a stacked decoder goes back to stride 4; memory and pixels meet once
more in the predictor, whose masks compete by a softmax over the N.

    images -> backbone -> stacked decoder -> ReLU -> predictor -> MaskOutput
               | after each block at stride 32 (S) or 16, 32 (L)  |
    memory ----+--------------+-----------------------------------+

S: backbone axial_r50, dual-path layers after the 3 blocks of its last stage and 1 more block; fusions to strides 8 and
4. L: backbone max_l with its decoder path 8, 4, 8, 32; then 3 blocks at 32, and 8, 4, 8, 32, 8, 4 with 3 blocks each.
"32" is the original stride of maps that have stride 16 here (output stride 16).

Layers, widths and numbers are those of the TensorFlow library deeplab2, whose recorded outputs both networks meet. Two
differences: image pooling in the auxiliary head is the mean over the whole map (there a window of the training crop),
and its void channel is the last.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import Literal

import torch
from timm.layers import trunc_normal_tf_
from torch import Tensor, nn

from pantile.backbones import create_backbone
from pantile.backbones.axial_resnet import AxialResNet
from pantile.backbones.stacked_decoder import StackedDecoder
from pantile.contracts.errors import UserError
from pantile.contracts.outputs import MaskOutput, MaskSpec
from pantile.layers.conv import ConvNorm, set_batch_norm
from pantile.layers.dual_path import DualPathLayer
from pantile.models.auxiliary_head import ASPPSemanticHead, PlainSemanticHead
from pantile.models.base import ARCHITECTURES, PanopticModel
from pantile.models.mask_predictor import Predictor


@dataclass
class MaXDeepLabConfig:
    """Defaults: MaX-DeepLab-S.

    Attributes:
        architecture: tells the configs of different architectures apart.
        backbone: "axial_r50" (S), "max_l" (L), "axial_r104" or another Axial-ResNet.
        pretrained: there are no public PyTorch weights of these backbones.
        backbone_weights: file with weights of the backbone.
        backbone_drop_path: stochastic depth of the last blocks, in backbone and decoder, 0..1.
        in_channels: bands of the image.
        image_mean: per band, on the 0..255 scale; subtracted before the model.
        image_std: per band, on the 0..255 scale; divided by before the model.
        num_queries: memory vectors N.
        memory_channels: their width. S 256, L 512.
        bottleneck: of the dual-path layers at original stride 32; half of it at 16. S 256, L 512.
        ffn_channels: inner width of the memory's feed-forward part.
        dual_path_from: original stride from which blocks have dual-path layers. S 32, L 16.
        decoder: (original stride, residual blocks) of each step of the stacked decoder.
        query_channels: width of the class and mask features of a query. S 256, L 512.
        predictor_channels: width of ``pixel_feature``.
        embed_channels: D of ``query_embed`` and ``pixel_embed``.
        depthwise_kernel: of the predictor and the auxiliary head, odd.
        num_heads: of axial attention and dual-path layers.
        auxiliary_head: semantic head for training: "aspp" reads the backbone (S), "decoder" the last but one map of the
            decoder at stride 4 (L), or "none".
        auxiliary_channels: its width.
        batch_norm_momentum: torch convention, of all batch norms, backbone included.
        batch_norm_eps: of all batch norms, backbone included.
    """

    architecture: Literal["max_deeplab"] = "max_deeplab"
    backbone: str = "axial_r50"
    pretrained: bool = False
    backbone_weights: str | None = None
    backbone_drop_path: float = 0.2
    in_channels: int = 3
    image_mean: tuple[float, ...] = (127.5, 127.5, 127.5)
    image_std: tuple[float, ...] = (127.5, 127.5, 127.5)
    num_queries: int = 128
    memory_channels: int = 256
    bottleneck: int = 256
    ffn_channels: int = 2048
    dual_path_from: Literal[16, 32] = 32
    decoder: tuple[tuple[int, int], ...] = ((32, 1), (8, 1), (4, 1))
    query_channels: int = 256
    predictor_channels: int = 256
    embed_channels: int = 128
    depthwise_kernel: int = 5
    num_heads: int = 8
    auxiliary_head: Literal["aspp", "decoder", "none"] = "aspp"
    auxiliary_channels: int = 256
    batch_norm_momentum: float = 0.01
    batch_norm_eps: float = 1e-3


def max_nano_config() -> MaXDeepLabConfig:
    """The same network as S, small enough to train on two CPU cores."""
    return MaXDeepLabConfig(
        backbone="axial_nano",
        backbone_drop_path=0.0,
        num_queries=32,
        memory_channels=64,
        bottleneck=64,
        ffn_channels=256,
        query_channels=64,
        predictor_channels=64,
        embed_channels=32,
        depthwise_kernel=3,
        num_heads=4,
        auxiliary_channels=32,
        batch_norm_momentum=0.03,  # runs are short
    )


def max_deeplab_l_config() -> MaXDeepLabConfig:
    """MaX-DeepLab-L."""
    return MaXDeepLabConfig(
        backbone="max_l",
        memory_channels=512,
        query_channels=512,
        bottleneck=512,
        dual_path_from=16,
        decoder=((32, 3), (8, 3), (4, 3), (8, 3), (32, 3), (8, 3), (4, 3)),
        auxiliary_head="decoder",
    )


@ARCHITECTURES.register("max_deeplab")
class MaXDeepLab(PanopticModel):
    """
    Args:
        config: see ``MaXDeepLabConfig``.
        num_classes: K, things and stuff, without no-object.
    """

    config_class = MaXDeepLabConfig
    training_only = ("auxiliary_head",)

    def __init__(self, config: MaXDeepLabConfig, num_classes: int):
        super().__init__()
        check_heads(config.num_heads, config.bottleneck * config.dual_path_from // 32)
        self.config = config
        self.num_classes = num_classes
        self.backbone = axial_backbone(config)
        channels = self.backbone.channels
        widths = {2**i: channels[f"res{i}"] for i in (2, 3, 4, 5)}
        make_block, act = self.backbone.make_block, nn.ReLU
        self.decoder = StackedDecoder(config.decoder, widths, self.backbone.maps_by_stride(), 32, make_block, act)
        self.memory = nn.Parameter(trunc_normal_tf_(torch.empty(config.memory_channels, config.num_queries), std=1.0))
        self.dual_paths = nn.ModuleList(
            DualPathLayer(
                widths[stride],
                config.memory_channels,
                config.bottleneck * stride // 32,
                config.num_heads,
                config.ffn_channels,
                act,
                self.backbone.drop_path_rate(entry),
            )
            for entry, stride in self._dual_path_strides()
        )
        project = partial(ConvNorm, config.memory_channels, config.query_channels, dims=1, act=act)
        self.class_projection, self.mask_projection = project(), project()
        self.predictor = Predictor(widths[config.decoder[-1][0]], config, num_classes, act, config.predictor_channels)
        self.auxiliary_head = _auxiliary_head(config, channels, num_classes)
        set_batch_norm(self, eps=config.batch_norm_eps, momentum=config.batch_norm_momentum)

    def forward(self, images: Tensor, layer_outputs: bool | None = None) -> MaskOutput:
        """Predicts N masks with classes.

        Args:
            images: (B, in_channels, H, W) float, normalised with the config's mean and std. Any size; 32k+1 keeps
                corners aligned at all strides.
            layer_outputs: True gives the attention of each dual-path layer; there are no layer outputs.

        Returns:
            ``mask_logits`` at stride 4, for a softmax over N; ``semantic_logits`` in training mode only.
        """
        memory = MemoryPath(
            self.dual_paths, self.memory.expand(images.shape[0], -1, -1), self.config, bool(layer_outputs)
        )
        trail = self.backbone.run(images.contiguous(memory_format=torch.channels_last), memory.after_block)
        coarsest = trail[32][-1]
        pixels = self.decoder(coarsest, trail, memory.after_block).relu()
        queries = memory.memory
        final = self.predictor(pixels, self.mask_projection(queries), self.class_projection(queries))
        semantic = None
        if self.training and self.auxiliary_head is not None:
            maps = {"res5": coarsest, "res3": trail[8][0], "res2": trail[4][0], "decoder": trail[4][-2]}
            semantic = self.auxiliary_head({name: x.relu() for name, x in maps.items()})
        return replace(final, semantic_logits=semantic, attention=tuple(memory.attention))

    def class_heads(self) -> set[str]:
        """Names of the tensors whose rows are the classes, with or without one more row at the end."""
        return {name for name, _ in self.named_parameters() if ".classifier." in name}

    def query_embeddings(self) -> dict[str, int]:
        """Names of the tensors that have an entry per query, and along which dimension."""
        return {"memory": 1}

    @property
    def segment_limit(self) -> int:
        """How many segments it can tell apart in an image."""
        return self.config.num_queries

    @property
    def mask_spec(self) -> MaskSpec:
        """What a technique may know before the first batch."""
        config = self.config
        return MaskSpec(0, config.num_queries, self.num_classes, config.embed_channels, config.predictor_channels)

    def _dual_path_strides(self) -> Iterator[tuple[int, int]]:
        """(stride of the block's input, stride) for each block that a layer follows, in the order of running."""
        strides = self.backbone.block_strides() + self.decoder.block_strides()
        before = 2
        for stride in strides:
            if stride >= self.config.dual_path_from:
                yield min(before, stride), stride
            before = stride


class MemoryPath:
    """The memory on its way through the network, beside the pixels.

    Attributes:
        memory: (B, M, N) so far.
        attention: of the layers so far, if asked for.
    """

    def __init__(self, layers: nn.ModuleList, memory: Tensor, config: MaXDeepLabConfig, attend: bool):
        self.layers, self.memory, self.attend = iter(layers), memory, attend
        self.first_stride = config.dual_path_from
        self.attention: list[Tensor] = []

    def after_block(self, pixels: Tensor, stride: int) -> Tensor:
        """(B, C, h, w) of a residual block to the same of the dual-path layer after it."""
        if stride < self.first_stride:
            return pixels
        result = next(self.layers)(pixels, self.memory, self.attend)
        self.memory = result.memory
        self.attention += [result.attention] if self.attend else []
        return result.pixels


def axial_backbone(config: MaXDeepLabConfig) -> AxialResNet:
    """At output stride 16.

    Raises:
        UserError: another kind of backbone.
    """
    backbone = create_backbone(
        config.backbone,
        pretrained=config.pretrained,
        weights_file=config.backbone_weights,
        in_channels=config.in_channels,
        drop_path=config.backbone_drop_path,
        output_stride=16,
    )
    if not isinstance(backbone, AxialResNet):
        raise UserError(
            f"model.backbone: MaX-DeepLab has layers between the blocks of an Axial-ResNet, not of {config.backbone}; "
            "take axial_r50, axial_r104 or max_l."
        )
    return backbone


def check_heads(num_heads: int, bottleneck: int) -> None:
    """Raises a UserError where keys cannot be split over heads."""
    if bottleneck // 2 % num_heads:
        raise UserError(
            f"model.bottleneck: keys of {bottleneck} / 2 channels cannot be split over model.num_heads = {num_heads}; "
            "change one of them."
        )


def _auxiliary_head(config: MaXDeepLabConfig, channels: dict[str, int], num_classes: int) -> nn.Module | None:
    if config.auxiliary_head == "none":
        return None
    sizes = (config.auxiliary_channels, config.depthwise_kernel, nn.ReLU)
    if config.auxiliary_head == "aspp":
        return ASPPSemanticHead(channels, num_classes, *sizes, align_corners=True)
    return PlainSemanticHead({"decoder": channels["res2"]}, num_classes + 1, *sizes, feature="decoder")
