"""RankSeg on the semantic branch of bottom-up models (Panoptic-DeepLab), where the paper has not tried it.

Pixels are classified among the selected classes. Centres and offsets know no class, and their targets stay whole.
"""

from dataclasses import replace

import torch
from torch import nn

from pantile.contracts.outputs import CenterOutput, CenterSpec
from pantile.techniques.rankseg.config import RankSegConfig
from pantile.techniques.rankseg.hosts import Host, create_host
from pantile.techniques.rankseg.selection import ABSENT


class CenterHost(Host):
    """
    Args:
        config: see ``RankSegConfig``.
        spec: of the model.
    """

    def __init__(self, config: RankSegConfig, spec: CenterSpec):
        super().__init__(config, spec.num_classes)
        self.ranking.make_head(spec.feature_channels, spec.feature_stride)
        self.ranking.make_norm()
        self.needed_at_inference = self.ranking.selects

    def rewrite(self, output: CenterOutput) -> CenterOutput:
        ranking, logits = self.ranking, output.semantic_logits
        if ranking.hides_absent:
            absent = ~ranking.ground_truth(len(logits), logits.device)
            return replace(output, semantic_logits=logits.masked_fill(absent[..., None, None], ABSENT))
        if self.training or self.needed_at_inference:
            presence = ranking.presence(output.semantic_feature)
            if presence is not None:
                output = replace(output, presence_logits=presence.logits)
        if not ranking.selects:
            return output
        selected = ranking.select(presence, logits)
        if ranking.norm is None and selected.classes.shape[1] == ranking.num_classes and selected.filler is None:
            return output
        logits = torch.take_along_dim(logits, selected.classes[..., None, None], dim=1)
        filler = None if selected.filler is None else selected.filler[:, None, None]
        if ranking.norm is not None:
            logits = ranking.norm(logits.movedim(1, -1), filler).movedim(-1, 1)
        if filler is not None:
            logits = logits.masked_fill(filler.movedim(-1, 1), ABSENT)
        return replace(output, semantic_logits=logits, num_classes=ranking.num_classes, classes=selected.classes)


@create_host.register
def _(spec: CenterSpec, config: RankSegConfig, model: nn.Module) -> CenterHost:
    return CenterHost(config, spec)
