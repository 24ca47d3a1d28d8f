"""The independent scheme: a network of its own says which classes an image shows, and learns nothing any more."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from pantile.contracts.errors import UserError
from pantile.techniques.base import Trained
from pantile.techniques.rankseg.presence import Presence


class NetworkHead(nn.Module):
    """
    Args:
        network: an image classifier: gives ``presence_logits`` of K classes.
        num_classes: K.

    Attributes:
        images: (B, C, H, W) 0..255, what the network is to look at; of padding, anything.
    """

    def __init__(self, network: nn.Module, num_classes: int):
        super().__init__()
        self.network = network.requires_grad_(False).eval()
        self.register_buffer("order", torch.arange(num_classes))  # the network's channel of each class
        self.images: Tensor | None = None

    def train(self, mode: bool = True) -> "NetworkHead":
        """In evaluation mode always: neither dropout nor statistics of batches."""
        return super().train(False)

    @torch.no_grad()
    def forward(self, feature: Tensor, class_embed: Tensor | None, tokens: Tensor | None) -> Presence:
        """What the host has computed is not read."""
        logits = self.network(self.network.normalised(self.images)).presence_logits
        return Presence(logits[:, self.order])

    def load(self, trained: Trained, classes: Sequence[str]) -> None:
        """
        Args:
            trained: a run of this network.
            classes: of the run that asks, in any order.

        Raises:
            UserError: they are not its classes.
        """
        theirs = trained.taxonomy.names
        if sorted(theirs) != sorted(classes):
            (odd, *_) = sorted(set(theirs) ^ set(classes))
            raise UserError(
                f"techniques.rankseg.ranking_from: {trained.path} ranks {len(theirs)} classes, which are not the "
                f"{len(classes)} of the data (only one of them has {odd!r}): train it on the same classes."
            )
        self.network.load_state_dict(trained.part("model"))
        self.order.copy_(torch.tensor([theirs.index(name) for name in classes]))
