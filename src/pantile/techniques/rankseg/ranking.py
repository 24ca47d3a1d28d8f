"""The parts of RankSeg that every host has: the head, the selection, the temperatures."""

import torch
from torch import Tensor, nn

from pantile.contracts.errors import UserError
from pantile.techniques.rankseg.config import RankSegConfig, check_counts
from pantile.techniques.rankseg.decoder_head import DecoderHead
from pantile.techniques.rankseg.encoder_head import EncoderHead, LinearProjection, SeparableProjection
from pantile.techniques.rankseg.network_head import NetworkHead
from pantile.techniques.rankseg.pooling import Pooling
from pantile.techniques.rankseg.pooling_head import PoolingHead
from pantile.techniques.rankseg.presence import Presence
from pantile.techniques.rankseg.rank_norm import RankNorm
from pantile.techniques.rankseg.selection import Selected, most_probable, those_present

OWN_CHANNELS = 512  # of tokens that are not the model's
HEAD_CHANNELS = 64  # of an attention head


class Ranking(nn.Module):
    """
    Args:
        config: see ``RankSegConfig``.
        num_classes: K.

    Attributes:
        head: says which classes an image shows; None where nobody asks.
        norm: of logits in rank order; None leaves them to the host.
        present: (B, K) bool or (1, K) for any batch: the ground truth that an oracle selects by; None where nobody
            has told it.
    """

    def __init__(self, config: RankSegConfig, num_classes: int):
        super().__init__()
        check_counts(config, num_classes)
        self.config = config
        self.num_classes = num_classes
        self.head: nn.Module | None = None
        self.norm: nn.Module | None = None
        self.present: Tensor | None = None

    @property
    def selects(self) -> bool:
        """Whether some classes compete, in an order of the image's own."""
        return self.config.selection in ("predicted", "ground_truth")

    @property
    def hides_absent(self) -> bool:
        """Whether classes that the ground truth lacks are taken from the finished logits."""
        return self.config.selection == "ground_truth_in_evaluation" and not self.training

    def make_norm(self, extra: int = 0) -> None:
        """
        Args:
            extra: see ``RankNorm``.
        """
        config = self.config
        if self.selects and config.temperature != "host":
            ranks = (config.selected or self.num_classes) if config.selection == "predicted" else self.num_classes
            unbiased = config.unbiased_variance and config.selection == "ground_truth"
            self.norm = RankNorm(ranks, config.temperature == "shared", extra, unbiased)

    def make_head(
        self,
        in_channels: int,
        stride: int,
        class_channels: int | None = None,
        tokens: bool = False,
        are_queries: bool = False,
    ) -> None:
        """
        Args:
            in_channels: C of what the head reads.
            stride: pixels of the input per position of it.
            class_channels: D of the model's class embeddings, None where it has none.
            tokens: whether the model has pixels in the space of its class embeddings.
            are_queries: the head reads object queries, in no order.

        Raises:
            UserError: the width of the tokens does not fit.
        """
        config = self.config
        if not config.has_head:
            return
        if config.ranking_from is not None:  # see ``rank_by``
            return
        pool = Pooling(1, 0) if are_queries else Pooling(stride, config.pooled_stride, config.pooled_grid)
        shared = class_channels is not None and config.share_embeddings
        channels = config.channels or (class_channels if shared else OWN_CHANNELS)
        if shared and channels != class_channels and config.head != "pooling":
            raise UserError(
                f"techniques.rankseg.channels is {channels}, but the head shares class embeddings of {class_channels}: "
                "leave it null or set techniques.rankseg.share_embeddings=false."
            )
        if config.head == "pooling":
            self.head = PoolingHead(self.num_classes, in_channels, pool)
            return
        if config.head == "decoder":
            heads, inner = config.num_heads or 8, config.ffn_channels or 2048
            _check_heads(channels, heads)
            self.head = DecoderHead(
                self.num_classes, in_channels, channels, heads, inner, config.dropout, pool, not shared
            )
            return
        heads, inner = config.num_heads or max(1, channels // HEAD_CHANNELS), config.ffn_channels or 4 * channels
        _check_heads(channels, heads)
        linear = config.projection == "linear" or are_queries
        projection = None
        if not (shared and tokens):
            projection = (LinearProjection if linear else SeparableProjection)(in_channels, channels)
        self.head = EncoderHead(
            self.num_classes, channels, heads, inner, config.dropout, pool, projection, learned_classes=not shared
        )

    def rank_by(self, network: nn.Module) -> None:
        """Takes a trained image classifier in place of a head."""
        self.head = NetworkHead(network, self.num_classes)

    def presence(
        self, feature: Tensor, class_embed: Tensor | None = None, tokens: Tensor | None = None
    ) -> Presence | None:
        """What the head says; None where there is none."""
        return None if self.head is None else self.head(feature, class_embed, tokens)

    def select(self, presence: Presence | None, feature: Tensor) -> Selected:
        """The classes that compete, of a technique that ``selects``.

        Args:
            presence: what the head said; None where there is none.
            feature: of the batch; only its number of images and its device are read.

        Raises:
            UserError: ground truth is to decide and there is none.
        """
        config = self.config
        if config.selection == "ground_truth":
            return those_present(self.ground_truth(len(feature), feature.device))
        count = config.selected or self.num_classes
        if self.training:
            return most_probable(presence.logits, count)
        return most_probable(presence.logits, config.selected_at_test or count, config.threshold_at_test)

    def ground_truth(self, batch: int, device: torch.device) -> Tensor:
        """(B, K) bool

        Raises:
            UserError: nobody has told it, or of other images.
        """
        if self.present is None:
            raise UserError(
                f"techniques.rankseg.selection={self.config.selection} reads the annotations of every image, which "
                "prediction does not have: use it in training and evaluation only."
            )
        if len(self.present) not in (1, batch):
            raise UserError(
                f"techniques.rankseg.selection={self.config.selection} was told the classes of {len(self.present)} "
                f"images and sees {batch}: evaluate tiles of one image at a time."
            )
        return self.present.to(device).expand(batch, -1)

    def trained_parts(self) -> list[nn.Module]:
        """Those with a learning rate and a weight decay of their own: not projections, norms and embeddings."""
        names = ("layer", "layers", "hidden", "classifier")
        return [] if self.head is None else [part for name, part in self.head.named_children() if name in names]


def gathered(embed: Tensor, classes: Tensor) -> Tensor:
    """(B, K, D) or (K, D) -> (B, k, D), those of ``classes`` (B, k)"""
    if embed.ndim == 2:
        return embed[classes]
    return torch.take_along_dim(embed, classes[..., None], dim=1)


def _check_heads(channels: int, heads: int) -> None:
    if channels % heads:
        raise UserError(
            f"techniques.rankseg.num_heads is {heads}, which does not divide the {channels} channels of its tokens: "
            "set it to one that does."
        )
