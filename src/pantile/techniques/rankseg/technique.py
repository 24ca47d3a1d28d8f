"""RankSeg (He et al., ECCV 2022): find out which classes an image shows, then classify pixels among those alone.

    y = sigmoid(head(features)),   w_1 .. w_k = the class vectors of the k largest y, largest first      (eq. 1, 2)
    z_l = exp(f . w_l / tau_l) / sum over k,   one temperature for each rank                             (eq. 3)
    L = L_segmentation + weight L_asymmetric(y, classes in the crop)

The selection is hard: no gradient passes through the ranking, and nobody forces ground truth into it. Pixels of other
classes are ignored, segments of other classes removed; so a bad ranking makes the segmentation loss small, not large.

Where paper and code differ, the paper is the default, but for the temperatures, of which the paper's formula alone
trains nothing that was published: they are those of the code (``rank_norm``).
"""

from collections.abc import Callable, Sequence
from typing import ClassVar

import torch
from torch import Tensor, nn

from pantile.contracts.assignment import Assignment
from pantile.contracts.errors import UserError
from pantile.contracts.outputs import ModelOutput
from pantile.contracts.panoptic import PanopticMap
from pantile.contracts.targets import PanopticTargets
from pantile.contracts.taxonomy import Taxonomy
from pantile.losses.asymmetric import asymmetric_loss, presence_cross_entropy
from pantile.techniques.base import ParameterScale, Technique, Trained
from pantile.techniques.rankseg.config import RankSegConfig
from pantile.techniques.rankseg.hosts import create_host
from pantile.techniques.rankseg.network_head import NetworkHead


class RankSeg(Technique):
    """
    Args:
        config: see ``RankSegConfig``.
    """

    needs: ClassVar[tuple[str, ...]] = ("semantic_spec", "mask_spec", "center_spec")
    works_on: ClassVar[str] = "class logits"

    def __init__(self, config: RankSegConfig) -> None:
        super().__init__()
        self.config = config

    def build(self, model: nn.Module, taxonomy: Taxonomy) -> None:
        spec = next(getattr(model, name) for name in self.needs if hasattr(model, name))
        self.host = create_host(spec, self.config, model)
        if self.config.ranking_from is not None:
            self._mean, self._std = model.config.image_mean, model.config.image_std
            self.host.ranking.rank_by(self._other_network(taxonomy.num_classes))
        self.needed_at_inference = self.host.needed_at_inference
        self.reads_ground_truth = not self.config.has_head
        self._classes = taxonomy.names

    def attach(self, model: nn.Module) -> None:
        self.host.attach(model)

    def _other_network(self, num_classes: int) -> nn.Module:
        if self.config.ranker is None or self.networks is None:
            raise UserError(
                "techniques.rankseg.ranker is not known: it is read from techniques.rankseg.ranking_from where a "
                "training starts."
            )
        return self.networks(self.config.ranker, num_classes)

    @property
    def network(self) -> NetworkHead | None:
        """The network that ranks, in the independent scheme."""
        head = self.host.ranking.head
        return head if isinstance(head, NetworkHead) else None

    def start(self, read: Callable[[str], Trained]) -> None:
        if self.network is not None:
            self.network.load(read(self.config.ranking_from), self._classes)

    def show_images(self, images: Tensor | None) -> None:
        if self.network is None:
            return
        if images is not None:
            mean, std = (images.new_tensor(values)[:, None, None] for values in (self._mean, self._std))
            images = images * std + mean
        self.network.images = images

    def show_ground_truth(self, ground_truth: PanopticTargets | Sequence[PanopticMap] | None) -> None:
        ranking = self.host.ranking
        if ground_truth is None or isinstance(ground_truth, PanopticTargets):
            ranking.present = None if ground_truth is None else ground_truth.classes_present(ranking.num_classes)
            return
        ranking.present = torch.zeros(len(ground_truth), ranking.num_classes, dtype=torch.bool)
        for row, panoptic in zip(ranking.present, ground_truth, strict=True):
            row[[segment.class_index for segment in panoptic.segments]] = True

    def rewrite(self, output: ModelOutput) -> ModelOutput:
        return self.host.rewrite(output)

    def change_targets(self, output: ModelOutput, targets: PanopticTargets) -> PanopticTargets:
        return self.host.change_targets(output, targets)

    def extra_losses(self, output: ModelOutput, targets: PanopticTargets, assignment: Assignment) -> dict[str, Tensor]:
        """The multi-label loss, weight applied."""
        if output.presence_logits is None or self.network is not None:
            return {}
        config, logits = self.config, output.presence_logits
        present = targets.classes_present(logits.shape[1])
        if config.loss == "cross_entropy":
            return {"presence": config.weight * presence_cross_entropy(logits, present)}
        loss = asymmetric_loss(logits, present, config.gamma_positive, config.gamma_negative, config.margin)
        return {"presence": config.weight * loss}

    def parameter_scales(self) -> dict[str, ParameterScale]:
        scale = ParameterScale(self.config.learning_rate_factor, self.config.decay_factor)
        if scale == ParameterScale():
            return {}
        scaled = {id(parameter) for part in self.host.ranking.trained_parts() for parameter in part.parameters()}
        return {name: scale for name, parameter in self.named_parameters() if id(parameter) in scaled}

    def class_heads(self) -> set[str]:
        """The rows of the head that are classes; pooling's hidden layer, and a network that ranks, have none."""
        names = ("class_embed", "classifier.weight", "classifier.bias")
        return {f"host.ranking.head.{name}" for name in names} & self.state_dict().keys()

    def learned(self) -> dict[str, Tensor]:
        """ "inverse_temperature": (k,), 1/tau by rank (Figure 7), without that of no-object; absent where ranks share
        one."""
        gain = getattr(self.host.ranking.norm, "gain", None)
        if gain is None or len(gain) == 1:
            return {}
        return {"inverse_temperature": gain[: len(gain) - self.host.ranking.norm.extra].detach().float().cpu()}
