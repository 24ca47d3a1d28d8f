"""RankSeg on mask classification: queries are classified among the selected classes and no-object.

Class logits go back to their K + 1 columns, those of other classes at -100, so that losses and merging need not know.
Segments of other classes leave the targets before the matching, as if nobody had annotated them (published code: with
their masks, and out of the number of masks). The frames of a clip share a ranking.
"""

from dataclasses import replace

import torch
from torch import Tensor, nn

from pantile.contracts.outputs import MaskOutput, MaskSpec
from pantile.contracts.targets import PanopticTargets
from pantile.techniques.rankseg.config import RankSegConfig
from pantile.techniques.rankseg.hosts import Host, create_host
from pantile.techniques.rankseg.presence import Presence
from pantile.techniques.rankseg.selection import ABSENT, Selected


class MaskHost(Host):
    """
    Args:
        config: see ``RankSegConfig``.
        spec: of the model.
    """

    extra = 1  # no-object is normalised with the ranks

    def __init__(self, config: RankSegConfig, spec: MaskSpec):
        super().__init__(config, spec.num_classes)
        self.reads_queries = config.reads == "queries" and bool(spec.query_channels)
        if self.reads_queries:
            self.ranking.make_head(spec.query_channels, 1, are_queries=True)
        else:
            self.ranking.make_head(spec.feature_channels, spec.feature_stride)
        self.ranking.make_norm(extra=self.extra)
        self.needed_at_inference = self.ranking.selects

    def rewrite(self, output: MaskOutput) -> MaskOutput:
        ranking = self.ranking
        logits = output.class_logits
        if ranking.hides_absent:
            return _hiding(output, ~ranking.ground_truth(logits.shape[0], logits.device))
        presence = self._presence(output) if self.training or self.needed_at_inference else None
        if presence is not None:
            output = replace(output, presence_logits=presence.logits)
        if not ranking.selects:
            return output
        selected = ranking.select(presence, logits)
        layers = tuple(self._classified(layer, selected) for layer in output.layers)
        return replace(self._classified(output, selected), classes=selected.classes, layers=layers)

    def change_targets(self, output: MaskOutput, targets: PanopticTargets) -> PanopticTargets:
        return targets if output.classes is None else only_classes(targets, output.classes, output.num_classes)

    def _presence(self, output: MaskOutput) -> Presence | None:
        """Of a clip once, so that its frames share a ranking: of its queries, or the mean of what its frames say."""
        read, frames = self._read(output), output.frames
        presence = self.ranking.presence(read[::frames] if self.reads_queries else read)
        if frames == 1 or presence is None:
            return presence
        logits = presence.logits if self.reads_queries else presence.logits.unflatten(0, (-1, frames)).mean(dim=1)
        return Presence(logits.repeat_interleave(frames, dim=0))

    def _read(self, output: MaskOutput) -> Tensor:
        """(B, C, h, w); queries as a map of one column."""
        if self.reads_queries:
            return output.middle_queries.transpose(1, 2)[..., None]
        return output.pixel_feature

    def _classified(self, output: MaskOutput, selected: Selected) -> MaskOutput:
        return replace(output, class_logits=self.ranked_logits(output.class_logits, selected))

    def ranked_logits(self, class_logits: Tensor, selected: Selected) -> Tensor:
        """(B, N, K+1) to the same, with -100 for classes that were not selected."""
        columns = torch.cat([selected.classes, torch.full_like(selected.classes[:, :1], self.ranking.num_classes)], 1)
        columns = columns[:, None].expand(-1, class_logits.shape[1], -1)
        logits = class_logits.gather(2, columns)
        filler = selected.filler
        if filler is not None:
            filler = torch.cat([filler, torch.zeros_like(filler[:, :1])], dim=1)[:, None]
        if self.ranking.norm is not None:
            logits = self.ranking.norm(logits, filler)
        if filler is not None:
            logits = logits.masked_fill(filler, ABSENT)
        return torch.full_like(class_logits, ABSENT, dtype=logits.dtype).scatter(2, columns, logits)


def only_classes(targets: PanopticTargets, classes: Tensor, num_classes: int) -> PanopticTargets:
    """Targets without the segments of other classes, whose pixels become void. Rows keep their numbers.

    Args:
        classes: (B, k) int64.
        num_classes: K.
    """
    kept = torch.zeros(classes.shape[0], num_classes + 1, dtype=torch.bool, device=classes.device)
    kept.scatter_(1, classes, True)  # the last column is that of rows without a class
    rows = targets.classes.to(classes.device)
    stays = kept.gather(1, torch.where(rows < 0, num_classes, rows)) | targets.crowd  # crowd is void anyway
    of_id = torch.cat([torch.ones_like(stays[:, :1]), stays], dim=1)
    ids = targets.ids * of_id.gather(1, targets.ids.flatten(1).long()).view_as(targets.ids)
    return replace(targets, ids=ids, classes=torch.where(stays, rows, -1))


def _hiding(output: MaskOutput, absent: Tensor) -> MaskOutput:
    """``absent`` (B, K) bool"""
    absent = torch.cat([absent, torch.zeros_like(absent[:, :1])], dim=1)[:, None]
    hidden = [
        replace(each, class_logits=each.class_logits.masked_fill(absent, ABSENT)) for each in (*output.layers, output)
    ]
    return replace(hidden[-1], layers=tuple(hidden[:-1]))


@create_host.register
def _(spec: MaskSpec, config: RankSegConfig, model: nn.Module) -> MaskHost:
    return MaskHost(config, spec)
