"""Panoptic FCN: fully convolutional networks for panoptic segmentation (Li et al., CVPR 2021, arXiv:2012.00720).

Every position of a feature pyramid could be the centre of a thing or lie in a region of stuff; it says how likely that
is, and what the kernel of the segment would be. Kernels are query embeddings: a mask is their product with the pixels.

    L_th, L_st = position head(p_l),   G = kernel head(p_l, y, x),   F = encoder(sum of p2..p5 at stride 4, y, x)
    thing   q = A G(peak of L_th) + a
    stuff   q = B mean_p(G(p) [p in region]) + b,   regions by argmax over L_st; the mean is over the whole map
    mask    M = q . F

    images -> backbone -> pyramid p2..p7 -+- p2..p5 -> semantic pyramid -> encoder -> F -+
                                          |                                              |
                                          +- p3..p7 -> position head, kernel head -> q --+-> MaskOutput

Queries exist only where somebody chooses positions. In training that is the criterion, which knows where objects are:
the output has dense maps (``positions``) and no query. In eval mode peaks and regions are chosen here, as many as sizes
allow; thresholds and the fusion of kernels that belong together are left to merging.

The classes' order in the maps: things in the order of the taxonomy; for stuff the region of all things and then the
stuff classes (``thing_regions``). The region of all things competes with stuff at inference, too; its query has no
class, but all of them equally (``panoptic_fcn_queries.logits_of_no_class``).

As the authors' code: kernels pool over the whole map, coordinates span the padded image, zeros outside count in
smoothing. Different: batches of any size at inference; p3..p5 resize to the next finer level's size, which for images
of whole multiples of 32 is the doubling of the original; with one class there is nothing for things to compete with,
and no query of no class.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pantile.backbones import create_backbone
from pantile.backbones.resnet_variants import freeze_stages, stride_in_first_conv
from pantile.contracts.errors import UserError
from pantile.contracts.outputs import MaskOutput, PositionMaps, PositionSpec
from pantile.contracts.selection import PositionSelector
from pantile.layers.coordinates import with_coordinates
from pantile.layers.feature_pyramid import FeaturePyramid
from pantile.layers.frozen_batch_norm import freeze_batch_norms
from pantile.models.base import ARCHITECTURES, PanopticModel
from pantile.models.panoptic_fcn_heads import (
    NORM_GROUPS,
    KernelHead,
    PositionHead,
    PositionLogits,
    SemanticPyramid,
    conv_stack,
    kernel_generator,
)
from pantile.models.panoptic_fcn_queries import (
    find_peaks,
    kernels_at,
    logits_of_class,
    logits_of_no_class,
    pool_regions,
)

STAGES = ("res2", "res3", "res4", "res5")
SMOOTHING = (3, 3, 3, 5, 5)  # of thing maps, p3 to p7


@dataclass
class PanopticFCNConfig:
    """Defaults: Panoptic FCN with ResNet-50 on COCO.

    Attributes:
        architecture: tells the configs of different architectures apart.
        backbone: timm name.
        pretrained: load timm's ImageNet weights of the backbone, those of the tag in its name.
        backbone_weights: file with timm weights of the backbone, instead of a download.
        backbone_drop_path: stochastic depth of the backbone, 0..1.
        frozen_batch_norm: keep the backbone's batch norms as they were loaded. False where the backbone starts without
            weights.
        frozen_stages: of the backbone, without gradient: 1 is the stem, 2 the stem and res2. 0 where the backbone
            starts without weights.
        stride_in_1x1: ResNets halve the size in the first convolution of a block, as the MSRA weights and the original
            checkpoints do; timm's do it in the second.
        in_channels: bands of the image.
        image_mean: per band, on the 0..255 scale; subtracted before the model.
        image_std: per band, on the 0..255 scale; divided by before the model.
        channels: width of the pyramid and the heads, a multiple of 32 and at least 64.
        embed_channels: D of ``query_embed`` and ``pixel_embed``, the width of the encoder. 256 in Panoptic FCN* (Star),
            and on Cityscapes and Mapillary.
        deformable_encoder: deformable convolutions in the encoder (Star).
        levels: of the pyramid that have positions, from p3 on: 3 to 5. Levels whose strides exceed the images' things
            cost little and find nothing; the criterion has a range of sizes for each.
        candidates: peaks per level at inference; fewer where a level has fewer positions. The original's ``TOP_NUM`` is
            twice this: 50 on COCO, 100 on Cityscapes and Mapillary.
        thing_regions: "together": the stuff maps have a channel for the region of all things, before those of the stuff
            classes. "by_class": a channel for every class of the taxonomy, in its order; those of things stay empty
            (Cityscapes of the Intra-Batch Supervision authors). With one thing class they are the same, in the order of
            "together".
    """

    architecture: Literal["panoptic_fcn"] = "panoptic_fcn"
    backbone: str = "resnet50.tv_in1k"
    pretrained: bool = False
    backbone_weights: str | None = None
    backbone_drop_path: float = 0.0
    frozen_batch_norm: bool = True
    frozen_stages: int = 2
    stride_in_1x1: bool = False
    in_channels: int = 3
    image_mean: tuple[float, ...] = (123.675, 116.28, 103.53)
    image_std: tuple[float, ...] = (58.395, 57.12, 57.375)
    channels: int = 256
    embed_channels: int = 64
    deformable_encoder: bool = False
    levels: int = 5
    candidates: int = 50
    thing_regions: Literal["together", "by_class"] = "together"


def panoptic_fcn_nano_config() -> PanopticFCNConfig:
    """The same network, small enough to train on two CPU cores.

    Three levels: things of images of 193 pixels have at most the sizes of p5, and p6 would have 4x4 positions.
    """
    return PanopticFCNConfig(
        backbone="test_resnet.r160_in1k",
        frozen_batch_norm=False,
        frozen_stages=0,
        channels=64,
        embed_channels=32,
        levels=3,
        candidates=20,
    )


@ARCHITECTURES.register("panoptic_fcn")
class PanopticFCN(PanopticModel):
    """Kernels for things and stuff from the positions of a feature pyramid.

    Args:
        config: see ``PanopticFCNConfig``.
        num_classes: K, things and stuff, without no-object.
        is_thing: per class.

    Attributes:
        select_positions: None, or what says which classes may have positions, before anything is chosen among them.

    Raises:
        UserError: fields do not fit together, or there is no flag for each class.
    """

    config_class = PanopticFCNConfig
    reads_thing_flags = True

    def __init__(self, config: PanopticFCNConfig, num_classes: int, is_thing: Sequence[bool] | None = None):
        super().__init__()
        _check(config, num_classes, is_thing)
        self.config = config
        self.num_classes = num_classes
        self.is_thing = tuple(map(bool, is_thing))
        self.select_positions: PositionSelector | None = None
        self.thing_classes, self.stuff_channels = _channels(self.is_thing, config.thing_regions)

        self.backbone = create_backbone(
            config.backbone,
            pretrained=config.pretrained,
            weights_file=config.backbone_weights,
            in_channels=config.in_channels,
            drop_path=config.backbone_drop_path,
        )
        if config.stride_in_1x1:
            stride_in_first_conv(self.backbone)
        if config.frozen_batch_norm:
            freeze_batch_norms(self.backbone)
        freeze_stages(self.backbone, config.frozen_stages)
        width = config.channels
        self.pyramid = FeaturePyramid([self.backbone.channels[s] for s in STAGES], width, coarser=config.levels - 3)
        self.semantic_pyramid = SemanticPyramid(width)
        self.encoder = conv_stack(width + 2, config.embed_channels, deformable=config.deformable_encoder, norm=False)
        self.position_head = PositionHead(width, len(self.thing_classes), len(self.stuff_channels))
        self.kernel_head = KernelHead(width)
        self.thing_generator = kernel_generator(width, config.embed_channels)
        self.stuff_generator = kernel_generator(width, config.embed_channels)

    def forward(self, images: Tensor, layer_outputs: bool | None = None) -> MaskOutput:
        """Predicts maps over positions in training mode, masks with classes in eval mode.

        Args:
            images: (B, in_channels, H, W) float, normalised with the config's mean and std. Any size.
            layer_outputs: every model can be asked for them; this one has no decoder layers.

        Returns:
            Maps at stride 4, ``mask_logits`` for a sigmoid. In training N = 0, and ``positions`` says what every
            position of p3, p4, ... would be. In eval mode ``positions`` is None and N depends on H and W only: per
            level up to ``candidates`` things from the highest score to the lowest, finest level first; then per level
            the region of all things (unless K is 1) and each stuff class in the order of the taxonomy. Class logits are
            logarithms of probabilities; a peak or region that is none has probability 1e-6.
        """
        features = self.backbone(images.contiguous(memory_format=torch.channels_last))
        levels = self.pyramid([features[name] for name in STAGES])
        pixel_feature = self.semantic_pyramid(levels[:4])
        pixel_embed = self.encoder(with_coordinates(pixel_feature))
        logits = [self.position_head(level) for level in levels[1:]]
        classes = presence_logits = None
        if self.select_positions is not None:
            things, stuff = zip(*logits, strict=True)
            selection = self.select_positions(pixel_feature, things, stuff)
            logits = list(map(PositionLogits, selection.thing_logits, selection.stuff_logits))
            classes, presence_logits = selection.classes, selection.presence_logits
        kernel_maps = [self.kernel_head(level) for level in levels[1:]]
        if self.training:
            none = pixel_embed.new_zeros(images.shape[0], 0, 1)
            queries = Queries(none.expand(-1, -1, self.num_classes + 1), none.expand(-1, -1, pixel_embed.shape[1]))
            positions = self._positions(logits, kernel_maps)
        else:
            queries, positions = self._choose(logits, kernel_maps), None
        return MaskOutput(
            class_logits=queries.class_logits,
            mask_logits=(queries.embed.to(pixel_embed.dtype) @ pixel_embed.flatten(2)).unflatten(
                2, pixel_embed.shape[2:]
            ),
            query_embed=queries.embed,
            pixel_embed=pixel_embed,
            pixel_feature=pixel_feature,
            positions=positions,
            classes=classes,
            presence_logits=presence_logits,
        )

    def class_heads(self) -> set[str]:
        """Names of the tensors whose rows are classes; ``class_rows`` says which."""
        return set(self.class_rows(self.is_thing))

    def class_rows(self, is_thing: Sequence[bool]) -> dict[str, tuple[int, ...]]:
        """Which class each row of a class head has, in a model like this one for other classes.

        Args:
            is_thing: per class.

        Returns:
            tensor name -> for each row the index of its class, or -1 for the region of all things.
        """
        things, stuff = _channels(tuple(map(bool, is_thing)), self.config.thing_regions)
        rows = {"things": things, "stuff": stuff} if things else {"stuff": stuff}
        return {f"position_head.{head}.{name}": of for head, of in rows.items() for name in ("weight", "bias")}

    def query_embeddings(self) -> dict[str, int]:
        """Names of the tensors that have an entry per query: there are none."""
        return {}

    @property
    def mask_spec(self) -> PositionSpec:
        """What a technique may know before the first batch; the queries are those of inference on large images."""
        config = self.config
        regions = self.num_classes - len(self.thing_classes) + (self.num_classes > 1)
        return PositionSpec(
            num_layers=0,
            num_queries=config.levels * (config.candidates * bool(self.thing_classes) + regions),
            num_classes=self.num_classes,
            embed_channels=config.embed_channels,
            feature_channels=config.channels,
            thing_classes=self.thing_classes,
            stuff_channels=self.stuff_channels,
        )

    def _positions(self, logits: list[PositionLogits], kernel_maps: list[Tensor]) -> PositionMaps:
        stuff_weight = self.stuff_generator.weight  # linear, so pooling may come after it; the bias must
        return PositionMaps(
            thing_logits=tuple(level.things for level in logits),
            stuff_logits=tuple(level.stuff for level in logits),
            thing_kernels=tuple(self.thing_generator(kernels) for kernels in kernel_maps),
            stuff_kernels=tuple(F.conv2d(kernels, stuff_weight) for kernels in kernel_maps),
            stuff_bias=self.stuff_generator.bias,
        )

    def _choose(self, logits: list[PositionLogits], kernel_maps: list[Tensor]) -> "Queries":
        """Peaks level by level, then regions level by level."""
        thing_queries = zip(logits, kernel_maps, SMOOTHING, strict=False)
        chosen = [self._things(level.things, kernels, side) for level, kernels, side in thing_queries]
        chosen += [self._stuff(level.stuff, kernels) for level, kernels in zip(logits, kernel_maps, strict=True)]
        return Queries(*(torch.cat(parts, dim=1) for parts in zip(*chosen, strict=True)))

    def _things(self, logits: Tensor, kernel_map: Tensor, smoothing: int) -> "Queries":
        if not self.thing_classes:
            none = kernel_map.new_zeros(logits.shape[0], 0, 1)
            return Queries(none.expand(-1, -1, self.num_classes + 1), none.expand(-1, -1, self.config.embed_channels))
        peaks = find_peaks(logits, smoothing, self.config.candidates)
        class_index = torch.tensor(self.thing_classes, device=logits.device)[peaks.channel]
        kernels = kernels_at(kernel_map, peaks.position)
        return Queries(
            logits_of_class(class_index, peaks.score, self.num_classes), _linear(self.thing_generator, kernels)
        )

    def _stuff(self, logits: Tensor, kernel_map: Tensor) -> "Queries":
        stuff = [index for index, thing in enumerate(self.is_thing) if not thing]
        group = {index: 1 + rank for rank, index in enumerate(stuff)}  # things, whatever their channels, are group 0
        groups = torch.tensor([group.get(index, 0) for index in self.stuff_channels], device=logits.device)
        regions = pool_regions(logits, kernel_map, groups, 1 + len(stuff))
        class_index = torch.tensor(stuff, device=logits.device, dtype=torch.int64).expand(logits.shape[0], -1)
        class_logits = logits_of_class(class_index, regions.score[:, 1:], self.num_classes)
        embed = _linear(self.stuff_generator, regions.kernel)
        if self.num_classes == 1:
            return Queries(class_logits, embed[:, 1:])
        of_things = logits_of_no_class(regions.score[:, :1], self.num_classes)
        return Queries(torch.cat([of_things, class_logits], dim=1), embed)


class Queries(NamedTuple):
    """Attributes:
    class_logits: (B, n, K+1)
    embed: (B, n, D)
    """

    class_logits: Tensor
    embed: Tensor


def _linear(conv: nn.Conv2d, x: Tensor) -> Tensor:
    """A 1x1 convolution of (B, n, C)."""
    return F.linear(x.to(conv.weight.dtype), conv.weight.flatten(1), conv.bias)


def _channels(is_thing: tuple[bool, ...], thing_regions: str) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The class of each channel of the thing maps and of the stuff maps; -1 is the region of all things."""
    things = tuple(index for index, thing in enumerate(is_thing) if thing)
    if thing_regions == "by_class" and len(things) != 1:
        return things, tuple(range(len(is_thing)))
    return things, (-1, *(index for index, thing in enumerate(is_thing) if not thing))


def _check(config: PanopticFCNConfig, num_classes: int, is_thing: Sequence[bool] | None) -> None:
    """Raises a UserError where fields do not fit together."""
    if is_thing is None or len(is_thing) != num_classes:
        raise UserError(
            f"PanopticFCN needs is_thing, a flag for each of the {num_classes} classes: it has separate channels for "
            "things and stuff."
        )
    if config.channels % NORM_GROUPS or config.channels < 2 * NORM_GROUPS:
        raise UserError(
            f"model.channels: {config.channels} does not fit the {NORM_GROUPS} groups of the group norms; choose a "
            f"multiple of {NORM_GROUPS} that is at least {2 * NORM_GROUPS}, such as 256."
        )
    if not 3 <= config.levels <= len(SMOOTHING):
        raise UserError(f"model.levels: {config.levels} is not between 3 (p3 to p5) and {len(SMOOTHING)} (p3 to p7).")
    if config.candidates < 1:
        raise UserError(f"model.candidates: {config.candidates} peaks per level; give at least 1.")
    if config.embed_channels < 1:
        raise UserError(f"model.embed_channels: {config.embed_channels}; give at least 1.")
