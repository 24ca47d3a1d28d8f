"""RankSeg on pixel classifiers: the selector that takes the place of the model's."""

from dataclasses import replace

import torch.nn.functional as F
from torch import Tensor, nn

from pantile.contracts.outputs import SemanticOutput, SemanticSpec
from pantile.contracts.selection import ClassSelection
from pantile.techniques.rankseg.config import RankSegConfig
from pantile.techniques.rankseg.hosts import Host, create_host
from pantile.techniques.rankseg.rank_norm import RankNorm, standardised
from pantile.techniques.rankseg.ranking import gathered
from pantile.techniques.rankseg.selection import ABSENT


class PixelHost(Host):
    """
    Args:
        config: see ``RankSegConfig``.
        spec: of the model.
        model: whose norm of all classes stays in use with the temperature "host".
    """

    def __init__(self, config: RankSegConfig, spec: SemanticSpec, model: nn.Module):
        super().__init__(config, spec.num_classes)
        self.spec = spec
        ranking = self.ranking
        ranking.make_head(spec.feature_channels, spec.feature_stride, spec.embed_channels, tokens=spec.refines_classes)
        ranking.make_norm()
        if ranking.norm is None and isinstance(norm := getattr(model.selector, "norm", None), nn.LayerNorm):
            ranking.norm = ClassNorm(norm)
        shared = config.head == "encoder" and config.share_embeddings and ranking.head is not None
        self.refines = spec.refines_classes and config.refine_classes and shared
        self.needed_at_inference = ranking.selects or self.refines or ranking.norm is not None

    def attach(self, model: nn.Module) -> None:
        model.replace_selector(RankedClasses(self))

    def select(self, feature: Tensor, class_embed: Tensor, tokens: Tensor | None = None) -> ClassSelection:
        """See ``ClassSelector.select``."""
        ranking = self.ranking
        presence = ranking.presence(feature, class_embed, tokens) if self._is_asked() else None
        logits = None if presence is None else presence.logits
        refined = presence is not None and self.refines
        embed = presence.class_embed if refined else class_embed
        tokens = presence.tokens if refined else None
        if not ranking.selects:
            return ClassSelection(embed.expand(feature.shape[0], -1, -1), None, logits, tokens=tokens)
        selected = ranking.select(presence, feature)
        in_any_order = selected.classes.shape[1] == self.spec.num_classes and selected.filler is None
        if in_any_order and not _reads_ranks(ranking.norm):  # the taxonomy's own, and not a bit is rounded otherwise
            return ClassSelection(embed.expand(feature.shape[0], -1, -1), None, logits, tokens=tokens)
        return ClassSelection(gathered(embed, selected.classes), selected.classes, logits, selected.filler, tokens)

    def normalise(self, logits: Tensor, selection: ClassSelection) -> Tensor:
        """See ``ClassSelector.normalise``."""
        norm, filler = self.ranking.norm, selection.filler
        if isinstance(norm, RankNorm):
            logits = norm(logits.movedim(1, -1), None if filler is None else filler[:, None, None]).movedim(-1, 1)
        elif norm is not None:
            logits = norm(logits, selection)
        return logits if filler is None else logits.masked_fill(filler[..., None, None], ABSENT)

    def rewrite(self, output: SemanticOutput) -> SemanticOutput:
        if not self.ranking.hides_absent:
            return output
        logits = output.class_logits
        absent = ~self.ranking.ground_truth(logits.shape[0], logits.device)
        return replace(output, class_logits=logits.masked_fill(absent[..., None, None], ABSENT))

    def _is_asked(self) -> bool:
        return self.training or self.needed_at_inference


class RankedClasses:
    """The model's selector: an object that holds the module, so that its weights stay the technique's."""

    def __init__(self, host: PixelHost) -> None:
        self._host = host

    def select(self, feature: Tensor, class_embed: Tensor, tokens: Tensor | None = None) -> ClassSelection:
        return self._host.select(feature, class_embed, tokens)

    def normalise(self, logits: Tensor, selection: ClassSelection) -> Tensor:
        return self._host.normalise(logits, selection)


class ClassNorm(nn.Module):
    """A model's layer norm over all classes, with gain and bias of those that were selected.

    Args:
        norm: over K.
    """

    def __init__(self, norm: nn.LayerNorm):
        super().__init__()
        self.norm = norm

    def forward(self, logits: Tensor, selection: ClassSelection) -> Tensor:
        """(B, k, h, w) to the same."""
        moved = logits.movedim(1, -1)
        if selection.classes is None:
            return self.norm(moved).movedim(-1, 1)
        filler = None if selection.filler is None else selection.filler[:, None, None]
        standard = F.layer_norm(moved, moved.shape[-1:]) if filler is None else standardised(moved, filler)
        gain, bias = (values[selection.classes][:, None, None] for values in (self.norm.weight, self.norm.bias))
        return (standard * gain + bias).movedim(-1, 1)


def _reads_ranks(norm: nn.Module | None) -> bool:
    return isinstance(norm, RankNorm) and not norm.shared


@create_host.register
def _(spec: SemanticSpec, config: RankSegConfig, model: nn.Module) -> PixelHost:
    return PixelHost(config, spec, model)
