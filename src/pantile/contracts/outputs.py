"""What models give. One frozen type per kind of model; a technique reads and replaces these, never a model."""

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class MaskSpec:
    """What a technique may know of a mask classification model before its first batch (``model.mask_spec``).

    Attributes:
        num_layers: how many earlier layer outputs it gives in training.
        num_queries: N.
        num_classes: K, without no-object.
        embed_channels: D of ``MaskOutput.pixel_embed``.
        feature_channels: C of ``MaskOutput.pixel_feature`` in the layers.
    """

    num_layers: int
    num_queries: int
    num_classes: int
    embed_channels: int
    feature_channels: int


@dataclass(frozen=True)
class LabelMix:
    """A softened class target for matched queries: ``(1 - weight) * one_hot + weight * soft``.

    Attributes:
        soft: (B, N, K) float32, 0..1; rows need not sum to one.
        weight: 0..1.
    """

    soft: Tensor
    weight: float


@dataclass(frozen=True)
class MaskOutput:
    """Output of a mask classification model (kMaX, MaX, CMT, MaskFormer, Mask2Former, Panoptic FCN).

    B images, N queries, K classes, maps of h x w at the prediction's own stride.

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
    """

    class_logits: Tensor
    mask_logits: Tensor
    query_embed: Tensor
    pixel_embed: Tensor
    pixel_feature: Tensor
    layers: tuple["MaskOutput", ...] = ()
    semantic_logits: Tensor | None = None
    label_mix: LabelMix | None = None

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

    B images, K classes, maps of h x w at the prediction's own stride, corners aligned with the input's.

    Attributes:
        semantic_logits: (B, K, h, w).
        center_heatmap: (B, 1, h, w), about 1 at the centre of a thing and 0 far from any; no activation.
        center_offset: (B, 2, h, w): (dy, dx) from each pixel to the centre of its thing, in pixels of this map.
            Resized to another size, its values grow with it by (H - 1) / (h - 1).
    """

    semantic_logits: Tensor
    center_heatmap: Tensor
    center_offset: Tensor

    @property
    def num_classes(self) -> int:
        """K."""
        return self.semantic_logits.shape[1]


ModelOutput = MaskOutput | CenterOutput
