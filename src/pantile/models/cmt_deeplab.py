"""CMT-DeepLab: clustering mask transformers (Yu et al., CVPR 2022), a reconstruction.

The authors released nothing. The supplement fixes the backbones (MaX-S without transformer layers inside; Axial-R104),
that more blocks with transformers stand in the decoder, the recursive feature network, and the parameters. What a
clustering layer does is read from public summaries (``cmt_layer``); how many blocks the decoder has was searched
(``cmt_config``).

    images -> backbone (output stride 32) -> decoder: strides 32, 16, 8, 4 -> ReLU -> predictor -> MaskOutput
                                               | a layer after each block from 8 on    |
    centres -----------------------------------+---------------------------------------+

RFN: a first network runs before; its map at stride 4 is averaged with the map at stride 4 of the second network's
backbone, which goes on from the average, and the centres go on from where the first left them. Both networks'
predictions are supervised, with the matching of the last.
"""

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import torch
from timm.layers import trunc_normal_tf_
from torch import Tensor, nn

from pantile.backbones import Backbone, create_backbone
from pantile.backbones.axial_resnet import AxialResNetConfig, make_block
from pantile.backbones.stacked_decoder import StackedDecoder
from pantile.contracts.errors import UserError
from pantile.contracts.outputs import MaskOutput, MaskSpec
from pantile.layers.conv import ConvNorm, set_batch_norm
from pantile.models.auxiliary_head import ASPPSemanticHead
from pantile.models.base import ARCHITECTURES, PanopticModel
from pantile.models.cmt_config import CMTDeepLabConfig
from pantile.models.cmt_layer import ClusteringLayer
from pantile.models.mask_predictor import Predictor
from pantile.models.max_deeplab import check_heads


@ARCHITECTURES.register("cmt_deeplab")
class CMTDeepLab(PanopticModel):
    """
    Args:
        config: see ``CMTDeepLabConfig``.
        num_classes: K, things and stuff, without no-object.

    Attributes:
        steer: None, or a function of (index of the layer, its ``MaskOutput``) that returns (B, N, h, w) logits, which
            take the place of the layer's own mask logits in its assignment.
    """

    config_class = CMTDeepLabConfig
    training_only = ("auxiliary_head",)

    def __init__(self, config: CMTDeepLabConfig, num_classes: int):
        super().__init__()
        _check(config)
        self.config = config
        self.num_classes = num_classes
        self.steer: Callable[[int, MaskOutput], Tensor] | None = None
        names = [config.backbone] if config.first_backbone is None else [config.first_backbone, config.backbone]
        backbones = [_backbone(config, name) for name in names]
        _check_recursion(backbones)
        #: a backbone, or a list of both
        self.backbone = backbones[0] if len(backbones) == 1 else nn.ModuleList(backbones)
        self.networks = nn.ModuleList(_Network(backbone, config, num_classes) for backbone in backbones)
        self.cluster_centers = nn.Parameter(trunc_normal_tf_(torch.empty(config.query_channels, config.num_queries)))
        channels = backbones[-1].channels
        self.auxiliary_head = None
        if config.auxiliary_head == "aspp":
            sizes = (config.auxiliary_channels, config.depthwise_kernel, nn.ReLU)
            self.auxiliary_head = ASPPSemanticHead(channels, num_classes, *sizes, align_corners=True)
        set_batch_norm(self, eps=config.batch_norm_eps, momentum=config.batch_norm_momentum)

    def forward(self, images: Tensor, layer_outputs: bool | None = None) -> MaskOutput:
        """Predicts N masks with classes.

        Args:
            images: (B, in_channels, H, W) float, normalised with the config's mean and std. Any size; 32k+1 keeps
                corners aligned at all strides.
            layer_outputs: keep what each layer predicts; by default only in training mode. True also gives the layers'
                cross-attention.

        Returns:
            ``mask_logits`` at stride 4, for a softmax over N. ``layers`` holds one output per clustering layer at the
            stride that it reads and, in an RFN, the first network's output after its layers. ``semantic_logits`` in
            training mode only.
        """
        keep = self.config.deep_supervision and self.training if layer_outputs is None else layer_outputs
        images = images.contiguous(memory_format=torch.channels_last)
        backbones = self.backbone if isinstance(self.backbone, nn.ModuleList) else [self.backbone]
        centers, previous, skip, attention = self.cluster_centers.expand(images.shape[0], -1, -1), None, None, []
        outputs: list[MaskOutput] = []
        for backbone, network in zip(backbones, self.networks, strict=True):
            walk = _Walk(network, centers, previous, skip, self.steer, len(outputs))
            trail = backbone.run(images, walk.merge_skip)
            res5, res3, res2 = (trail[stride][0] for stride in (32, 8, 4))
            skip = network.decoder(res5, trail, walk.cluster)
            centers, previous = walk.centers, walk.previous
            attention += walk.attention
            final = network.predictor(skip.relu(), network.mask_projection(centers), network.class_projection(centers))
            outputs += [*walk.outputs, final]
        *layers, final = outputs
        semantic = None
        if self.training and self.auxiliary_head is not None:
            semantic = self.auxiliary_head({"res5": res5.relu(), "res3": res3.relu(), "res2": res2.relu()})
        return replace(
            final,
            layers=tuple(layers) if keep else (),
            semantic_logits=semantic,
            attention=tuple(attention) if layer_outputs else (),
        )

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
        layers = sum(len(network.layers) + 1 for network in self.networks) - 1
        count = layers if config.deep_supervision else 0
        return MaskSpec(count, config.num_queries, self.num_classes, config.embed_channels, config.bottleneck)


class _Network(nn.Module):
    """Everything of one network but its backbone."""

    def __init__(self, backbone: Backbone, config: CMTDeepLabConfig, num_classes: int):
        super().__init__()
        widths = {2**i: backbone.channels[f"res{i}"] for i in (2, 3, 4, 5)}
        style = AxialResNetConfig(num_heads=config.num_heads)
        block = partial(make_block, style)
        self.layers_from = config.layers_from
        self.early_blocks = backbone.block_strides().count(4)
        self.decoder = StackedDecoder(config.decoder, widths, backbone.maps_by_stride(), 32, block, nn.ReLU)
        self.layers = nn.ModuleList(
            ClusteringLayer(widths[stride], config, num_classes, config.drop_path)
            for stride in self.decoder.block_strides()
            if stride >= config.layers_from
        )
        project = partial(ConvNorm, config.query_channels, config.query_channels, dims=1, act=nn.ReLU)
        self.class_projection, self.mask_projection = project(), project()
        self.predictor = Predictor(widths[4], config, num_classes, nn.ReLU, config.bottleneck)


class _Walk:
    """What travels through one network beside the pixels: centres, assignment, outputs."""

    def __init__(
        self,
        network: _Network,
        centers: Tensor,
        previous: Tensor | None,
        skip: Tensor | None,
        steer: Callable[[int, MaskOutput], Tensor] | None,
        first_index: int,
    ):
        self.layers, self.layers_from = iter(network.layers), network.layers_from
        self.centers, self.previous, self.skip = centers, previous, skip
        self.steer, self.index, self.early_blocks = steer, first_index, network.early_blocks
        self.outputs: list[MaskOutput] = []
        self.attention: list[Tensor] = []

    def merge_skip(self, pixels: Tensor, stride: int) -> Tensor:
        """In the backbone: the mean with the first network's map, after the last block at stride 4."""
        if stride != 4 or self.skip is None:
            return pixels
        self.early_blocks -= 1
        return pixels if self.early_blocks else (pixels + self.skip) / 2

    def cluster(self, pixels: Tensor, stride: int) -> Tensor:
        """In the decoder, after each block."""
        if stride < self.layers_from:
            return pixels
        steer = None if self.steer is None else partial(self.steer, self.index)
        step = next(self.layers)(pixels, self.centers, self.previous, steer)
        self.centers, self.previous = step.centers, step.logits
        self.outputs.append(step.output)
        self.attention.append(step.attention)
        self.index += 1
        return step.pixels


def _backbone(config: CMTDeepLabConfig, name: str) -> Backbone:
    return create_backbone(
        name,
        pretrained=config.pretrained,
        weights_file=config.backbone_weights,
        in_channels=config.in_channels,
        drop_path=config.backbone_drop_path,
        output_stride=config.output_stride,
    )


def _check(config: CMTDeepLabConfig) -> None:
    """Raises a UserError for a decoder that ends nowhere, or widths that do not fit."""
    check_heads(config.num_heads, config.bottleneck)
    if not config.decoder or config.decoder[-1][0] != 4 or max(s for s, _ in config.decoder) < config.layers_from:
        raise UserError(
            f"model.decoder is {config.decoder}; give (stride, blocks) from stride 32 to 4, with blocks at "
            f"model.layers_from = {config.layers_from} or coarser."
        )


def _check_recursion(backbones: list[Backbone]) -> None:
    """Raises a UserError where two networks do not fit behind one another."""
    if len(backbones) == 1:
        return
    first, second = (backbone.channels["res2"] for backbone in backbones)
    if first != second:
        raise UserError(
            f"model.first_backbone: the first network has {first} channels at stride 4 and the second {second}, but an "
            "RFN averages them; take two backbones of one width."
        )
    if not backbones[1].block_strides():
        raise UserError(
            "model.first_backbone: an RFN goes on inside the backbone, which this one does not allow; take "
            "an Axial-ResNet, or set it to none."
        )
