"""What models give. One frozen type per kind of model; a technique reads and replaces these, never a model."""

import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from pantile.contracts.assignment import Assignment


@dataclass(frozen=True)
class MaskSpec:
    """What a technique may know of a mask classification model before its first batch (``model.mask_spec``).

    Attributes:
        num_layers: how many earlier layer outputs it gives in training.
        num_queries: N.
        num_classes: K, without no-object.
        embed_channels: D of ``MaskOutput.pixel_embed``.
        feature_channels: C of ``MaskOutput.pixel_feature`` in the layers.
        feature_stride: pixels of the input per position of it, along each axis.
        query_channels: channels of ``MaskOutput.middle_queries``; 0 where the model gives none.
    """

    num_layers: int
    num_queries: int
    num_classes: int
    embed_channels: int
    feature_channels: int
    feature_stride: int = 4
    query_channels: int = 0


@dataclass(frozen=True)
class PositionSpec(MaskSpec):
    """What a technique may know of a model that makes queries at positions.

    Attributes:
        thing_classes: the class of each channel of ``PositionMaps.thing_logits``.
        stuff_channels: of ``PositionMaps.stuff_logits``; -1 is the region of all things.
    """

    thing_classes: tuple[int, ...] = ()
    stuff_channels: tuple[int, ...] = ()


@dataclass(frozen=True)
class CenterSpec:
    """What a technique may know of a bottom-up model before its first batch (``model.center_spec``).

    Attributes:
        num_classes: K.
        feature_channels: C of ``CenterOutput.semantic_feature``.
        feature_stride: pixels of the input per position of it, along each axis.
    """

    num_classes: int
    feature_channels: int
    feature_stride: int


@dataclass(frozen=True)
class SemanticSpec:
    """What a technique may know of a pixel classifier before its first batch (``model.semantic_spec``).

    Attributes:
        num_classes: K.
        embed_channels: D of a class embedding.
        feature_channels: C of the feature by which ``ClassSelector.select`` knows an image.
        feature_stride: pixels of the input per position of that feature, along each axis.
        refines_classes: class embeddings pass transformer layers together with the pixels, so that embeddings which
            already saw the image may take their place.
    """

    num_classes: int
    embed_channels: int
    feature_channels: int
    feature_stride: int
    refines_classes: bool = False


@dataclass(frozen=True)
class LabelMix:
    """A softened class target for matched queries: ``(1 - weight) * one_hot + weight * soft``.

    Attributes:
        soft: (B, N, K) float32, 0..1; rows need not sum to one.
        weight: 0..1.
    """

    soft: Tensor
    weight: float

    def mixed_with(self, other: "LabelMix") -> "LabelMix":
        """Both at once, in any order and grouping: what is left of the one-hot target is the product of what each
        leaves, and the rest is shared in the ratio of ``-log(1 - weight)``, which for small weights is that of the
        weights.

        Applied one after the other, the later mix would also dilute the earlier one's soft part, so that the result
        would depend on the order of techniques. Two mixes of weight 1 share equally.
        """
        if self.weight == other.weight:
            share = 0.5
        elif max(self.weight, other.weight) == 1.0:
            share = float(self.weight == 1.0)
        else:
            ours, theirs = -math.log1p(-self.weight), -math.log1p(-other.weight)
            share = ours / (ours + theirs)
        weight = 1 - (1 - self.weight) * (1 - other.weight)
        return LabelMix(torch.lerp(other.soft, self.soft, share), weight)


@dataclass(frozen=True)
class PositionMaps:
    """What a model that makes queries at positions of a feature pyramid (Panoptic FCN) says of every position.

    L levels, finest first, of h_l x w_l positions; T things and S stuff classes, each in the order of the taxonomy.

    Attributes:
        thing_logits: (B, T, h_l, w_l) per level, for a sigmoid: whether the centre of a thing of the class is here.
        stuff_logits: (B, C, h_l, w_l) per level, for a sigmoid. C = 1 + S: the region of all things, then of each stuff
            class. C = S: without the former. C = K: one per class of the taxonomy, those of things always empty. With
            one thing class 1 + S = K, which means the first.
        thing_kernels: (B, D, h_l, w_l) per level: the query embedding of a thing that is here.
        stuff_kernels: (B, D, h_l, w_l) per level. The query embedding of a stuff class is their sum over its region
            divided by h_l * w_l, plus ``stuff_bias``.
        stuff_bias: (D,)
        chosen: (B, N) int64, where the queries of the output come from: an index into the positions of all levels,
            each flattened, one after the other; -1 for a query pooled over a region or for none. None before
            queries are chosen.
    """

    thing_logits: tuple[Tensor, ...]
    stuff_logits: tuple[Tensor, ...]
    thing_kernels: tuple[Tensor, ...]
    stuff_kernels: tuple[Tensor, ...]
    stuff_bias: Tensor
    chosen: Tensor | None = None


@dataclass(frozen=True)
class MaskOutput:
    """Output of a mask classification model (kMaX, MaX, CMT, MaskFormer, Mask2Former, Panoptic FCN).

    B images, N queries, K classes, maps of h x w at the prediction's own stride.

    A model of clips gives an entry for every frame, T neighbours to a clip, as in ``PanopticTargets``: query n of clip
    c means the same thing in entries c T .. c T + T - 1. What a model has once for a clip (class logits, query
    embeddings) it repeats with ``repeat_interleave(T, dim=0)`` or, without a copy, expands; gradients add up.

    Attributes:
        class_logits: (B, N, K+1); the last column is no-object.
        mask_logits: (B, N, h, w).
        query_embed: (B, N, D), what the mask head multiplies with ``pixel_embed``.
        pixel_embed: (B, D, h, w).
        pixel_feature: (B, C, h, w), the wider feature from which ``pixel_embed`` is made; a semantic head may read it.
        layers: the same for each earlier decoder layer, first layer first; their own ``layers`` are empty.
            Empty in eval mode unless the model is asked for them.
        semantic_logits: (B, K+1, h', w') per-pixel class logits where a head made them (the last channel is void
            and never a target), else None. Training only.
        label_mix: a softened class target, set by a technique before the loss, else None.
        mask_affine: scalars (scale, shift) by which products of ``query_embed`` and ``pixel_embed`` become mask logits
            where they pass a norm, with the statistics of inference; None is (1, 0). Training only.
        positions: dense predictions of a model that makes queries at positions. It gives them in training, without any
            query (N = 0): the criterion chooses queries where the targets are. Else None.
        assignment: what each query answers for, where queries were chosen for the targets, else None.
        attention: (B, N, h, w) per layer in which queries look at pixels, first layer first: the shares of their
            softmax that go to the pixels, mean of the heads. Given where ``layers`` are asked for outside training.
        reference_masks: (B, N, h, w) 0..1, a coarse mask that each query predicts of its own segment, else None.
        middle_queries: (B, N, C) queries after the third decoder layer, before the norm that precedes predictions; None
            where a model gives none, and in ``layers``.
        classes: (B, k) int64, the classes that compete in an image, where a technique selected some; logits of the
            others are then -100. None is all K. Not in ``layers``.
        presence_logits: (B, K) for a sigmoid, whether the image shows a class; None where nothing says so, and in
            ``layers``.
        frames: T >= 1, of which B is a multiple; 1 is a batch of images. The same in ``layers``.
        next_queries: (B / T, N, C) with which the next clips of the same films go on, of a model that carries its
            queries from frame to frame; else None. Not in ``layers``.
    """

    class_logits: Tensor
    mask_logits: Tensor
    query_embed: Tensor
    pixel_embed: Tensor
    pixel_feature: Tensor
    layers: tuple["MaskOutput", ...] = ()
    semantic_logits: Tensor | None = None
    label_mix: LabelMix | None = None
    mask_affine: tuple[Tensor, Tensor] | None = None
    positions: PositionMaps | None = None
    assignment: Assignment | None = None
    attention: tuple[Tensor, ...] = ()
    reference_masks: Tensor | None = None
    middle_queries: Tensor | None = None
    classes: Tensor | None = None
    presence_logits: Tensor | None = None
    frames: int = 1
    next_queries: Tensor | None = None

    def softened(self, mix: LabelMix) -> "MaskOutput":
        """This output with ``mix`` beside the softened targets that it has already; its layers are left alone."""
        return replace(self, label_mix=mix if self.label_mix is None else self.label_mix.mixed_with(mix))

    @property
    def num_queries(self) -> int:
        return self.class_logits.shape[1]

    @property
    def num_classes(self) -> int:
        """K, without no-object."""
        return self.class_logits.shape[2] - 1


@dataclass(frozen=True)
class CenterOutput:
    """Output of a bottom-up model (Panoptic-DeepLab): no queries; instances are pixels that point at one centre.

    B images, K classes of which k compete in an image, maps of h x w at the prediction's own stride, corners aligned
    with the input's.

    Attributes:
        semantic_logits: (B, k, h, w).
        center_heatmap: (B, 1, h, w), about 1 at the centre of a thing and 0 far from any; no activation.
        center_offset: (B, 2, h, w): (dy, dx) from each pixel to the centre of its thing, in pixels of this map.
            Resized to another size, its values grow with it by (H - 1) / (h - 1).
        num_classes: K; None at construction is k.
        classes, presence_logits: as those of ``SemanticOutput``.
        semantic_feature: (B, C, h', w'), from which class logits are made; None after an average of views.
    """

    semantic_logits: Tensor
    center_heatmap: Tensor
    center_offset: Tensor
    num_classes: int | None = None
    classes: Tensor | None = None
    presence_logits: Tensor | None = None
    semantic_feature: Tensor | None = None

    def __post_init__(self) -> None:
        if self.num_classes is None:
            object.__setattr__(self, "num_classes", self.semantic_logits.shape[1])


@dataclass(frozen=True)
class Neighbours:
    """That a pixel's class competes with those nearest to the pixel in the loss.

    Attributes:
        count: how many.
        weight: 0..1, the share of that loss; the plain one has the rest.
        published: see ``losses.nearest_cross_entropy.among_neighbours``.
    """

    count: int
    weight: float = 1.0
    published: bool = False


@dataclass(frozen=True)
class SemanticOutput:
    """Output of a pixel classifier (Segmenter, DeepLabv3, UPerNet): every pixel has a class, nothing has instances.

    B images, K classes of which k compete in an image, maps of h x w at the prediction's own stride.

    Attributes:
        class_logits: (B, k, h, w) for a softmax over k.
        pixel_embed: (B, D, h, w), what is multiplied with ``class_embed``.
        class_embed: (B, k, D).
        num_classes: K.
        classes: (B, k) int64, the class index of each channel; None where k is K and channel c is class c.
        presence_logits: (B, K) for a sigmoid, whether the image shows a class; None where nothing says so.
        auxiliary: (B, K, h', w') class logits of heads beside the main one, with their channels in the taxonomy's
            order. Training only.
        neighbours: set by a technique before the loss, else None.
    """

    class_logits: Tensor
    pixel_embed: Tensor
    class_embed: Tensor
    num_classes: int
    classes: Tensor | None = None
    presence_logits: Tensor | None = None
    auxiliary: tuple[Tensor, ...] = ()
    neighbours: Neighbours | None = None


ModelOutput = MaskOutput | CenterOutput | SemanticOutput
