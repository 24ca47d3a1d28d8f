"""RankSeg on models that choose queries at positions (Panoptic FCN), where the paper has not tried it.

Every position says for each class by itself, with a sigmoid, whether its centre or region is here; there is nothing to
standardise over. What is left of equation 3 is a gain and a bias for each rank, which start as if they were not there.
Classes that are not selected are nowhere, before peaks are sought and before the criterion chooses positions.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from pantile.contracts.outputs import MaskOutput, PositionSpec
from pantile.contracts.selection import PositionSelection
from pantile.techniques.rankseg.config import RankSegConfig
from pantile.techniques.rankseg.hosts import create_host
from pantile.techniques.rankseg.mask_host import MaskHost
from pantile.techniques.rankseg.rank_norm import RankNorm
from pantile.techniques.rankseg.selection import ABSENT, Selected


class PositionHost(MaskHost):
    """
    Args:
        config: see ``RankSegConfig``.
        spec: of the model.
    """

    extra = 0

    def __init__(self, config: RankSegConfig, spec: PositionSpec):
        super().__init__(config, spec)
        self.channels = (spec.thing_classes, spec.stuff_channels)

    def attach(self, model: nn.Module) -> None:
        model.select_positions = self.select_positions

    def select_positions(
        self, feature: Tensor, thing_logits: Sequence[Tensor], stuff_logits: Sequence[Tensor]
    ) -> PositionSelection:
        """See ``PositionSelector``."""
        ranking, classes = self.ranking, None
        presence = ranking.presence(feature) if self.training or self.needed_at_inference else None
        if ranking.selects or ranking.hides_absent:
            if ranking.selects:
                selected = ranking.select(presence, feature)
                classes = selected.classes
                gain, bias = self._by_class(selected, feature)
            else:
                present = ranking.ground_truth(len(feature), feature.device)
                gain, bias = present.to(feature.dtype), torch.where(present, 0.0, ABSENT).to(feature.dtype)
            thing_logits, stuff_logits = (
                [_scaled(level, gain, bias, channels) for level in levels]
                for levels, channels in zip((thing_logits, stuff_logits), self.channels, strict=True)
            )
        logits = None if presence is None else presence.logits
        return PositionSelection(tuple(thing_logits), tuple(stuff_logits), classes, logits)

    def rewrite(self, output: MaskOutput) -> MaskOutput:
        return output

    def _by_class(self, selected: Selected, like: Tensor) -> tuple[Tensor, Tensor]:
        """Gain and bias, (B, K) each; 0 and -100 for classes that do not compete."""
        batch, count = selected.classes.shape
        norm: RankNorm | None = self.ranking.norm
        gain, bias = (like.new_ones(count), like.new_zeros(count)) if norm is None else norm.of_ranks(count)
        gain, bias = gain.expand(batch, -1), bias.expand(batch, -1)
        if selected.filler is not None:
            gain, bias = gain.masked_fill(selected.filler, 0.0), bias.masked_fill(selected.filler, ABSENT)
        every = (batch, self.ranking.num_classes)
        return (
            gain.new_zeros(every).scatter(1, selected.classes, gain),
            bias.new_full(every, ABSENT).scatter(1, selected.classes, bias),
        )


def _scaled(logits: Tensor, gain: Tensor, bias: Tensor, channels: Sequence[int]) -> Tensor:
    """(B, C, h, w) with the gain and bias (B, K) of the class of each channel; -1 is that of no class."""
    index = torch.tensor(channels, device=logits.device, dtype=torch.int64).add(1)
    gain = torch.cat([torch.ones_like(gain[:, :1]), gain], dim=1)[:, index]
    bias = torch.cat([torch.zeros_like(bias[:, :1]), bias], dim=1)[:, index]
    return logits * gain[..., None, None] + bias[..., None, None]


@create_host.register
def _(spec: PositionSpec, config: RankSegConfig, model: nn.Module) -> PositionHost:
    return PositionHost(config, spec)
