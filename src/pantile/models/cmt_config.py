"""Settings of CMT-DeepLab.

The decoder's depth is known from a figure that is not public text, so it was searched, by the published parameters and
multiply-adds of Axial-R50 (94.9 M; 396 G at 1200 x 800). Those of Axial-R104 differ by 157 G, and 18 axial blocks at
stride 16 have 156.7 G here, so both are counted alike and what differs is the decoder. With one clustering layer per
block, of MaX-DeepLab's widths, and layers from some stride on, no decoder has both numbers at output stride 16:
((32, 4), (8, 3), (4, 4)) has the parameters and 11 % too many multiply-adds. At output stride 32 the shallowest ones
have 21 and 22 blocks; the default is the second, 94.90 M and 394 G. It is a search, not knowledge: two layers per block
would do with 17 blocks, other widths with other depths.
"""

from dataclasses import dataclass
from typing import Literal


@dataclass
class CMTDeepLabConfig:
    """Defaults: CMT-DeepLab with Axial-R50 on COCO.

    The six fields after ``layers_from`` are the paper's ingredients, each a switch.

    Attributes:
        architecture: tells the configs of different architectures apart.
        backbone: "axial_r50", "axial_r104", "resnet50", or another.
        first_backbone: of the first network of a recursive feature network (RFN), which has a whole network of its own
            before this one; None is a single network.
        pretrained: load ImageNet weights, where there are any.
        backbone_weights: file with weights of the backbone (of both backbones, which must then be the same).
        backbone_drop_path: stochastic depth of the backbone, 0..1.
        in_channels: bands of the image.
        image_mean: per band, on the 0..255 scale; subtracted before the model.
        image_std: per band, on the 0..255 scale; divided by before the model.
        output_stride: of the backbone's last stage, and so of the decoder's blocks at original stride 32.
        num_queries: cluster centres N.
        decoder: (stride, residual blocks) of each step; blocks at stride 16 and 32 are axial. A reading, see the head
            of this file.
        layers_from: the stride from which a block of the decoder has a clustering layer after it.
        cluster_update: move centres by what is assigned to them, beside cross-attention.
        pixel_update: pixels take from the centres by "assignment", by "attention" (MaX-DeepLab), or "none".
        residual_assignment: add a layer's assignment logits to the next one's.
        reference_masks: each centre predicts a mask of place and extent that modulates its assignment.
        coordinates: two coordinate channels before the pixels' projection.
        deep_supervision: give every layer's prediction to the criterion; without it the layers still assign.
        bottleneck: width inside a clustering layer.
        query_channels: width of the centres.
        embed_channels: D of ``query_embed`` and ``pixel_embed``.
        ffn_channels: inner width of a layer's feed-forward part.
        depthwise_kernel: of the predictors and the auxiliary head, odd.
        num_heads: of axial attention and clustering layers.
        drop_path: of each branch of a layer, 0..1.
        auxiliary_head: semantic head for training: "aspp" or "none".
        auxiliary_channels: its width.
        batch_norm_momentum: torch convention, of all batch norms, backbone included.
        batch_norm_eps: of all batch norms, backbone included.
    """

    architecture: Literal["cmt_deeplab"] = "cmt_deeplab"
    backbone: str = "axial_r50"
    first_backbone: str | None = None
    pretrained: bool = False
    backbone_weights: str | None = None
    backbone_drop_path: float = 0.2
    in_channels: int = 3
    image_mean: tuple[float, ...] = (127.5, 127.5, 127.5)
    image_std: tuple[float, ...] = (127.5, 127.5, 127.5)
    output_stride: Literal[16, 32] = 32
    num_queries: int = 128
    decoder: tuple[tuple[int, int], ...] = ((32, 1), (16, 3), (8, 12), (4, 6))
    layers_from: Literal[4, 8, 16, 32] = 8
    cluster_update: bool = True
    pixel_update: Literal["assignment", "attention", "none"] = "assignment"
    residual_assignment: bool = True
    reference_masks: bool = True
    coordinates: bool = True
    deep_supervision: bool = True
    bottleneck: int = 256
    query_channels: int = 256
    embed_channels: int = 128
    ffn_channels: int = 2048
    depthwise_kernel: int = 5
    num_heads: int = 8
    drop_path: float = 0.2
    auxiliary_head: Literal["aspp", "none"] = "aspp"
    auxiliary_channels: int = 256
    batch_norm_momentum: float = 0.01
    batch_norm_eps: float = 1e-3


def cmt_nano_config() -> CMTDeepLabConfig:
    """The same network, small enough to train on two CPU cores."""
    return CMTDeepLabConfig(
        backbone="axial_nano",
        backbone_drop_path=0.0,
        output_stride=16,
        num_queries=32,
        decoder=((32, 1), (8, 1), (4, 1)),
        bottleneck=64,
        query_channels=64,
        embed_channels=32,
        ffn_channels=256,
        depthwise_kernel=3,
        num_heads=4,
        drop_path=0.0,
        auxiliary_channels=32,
        batch_norm_momentum=0.03,  # runs are short
    )
