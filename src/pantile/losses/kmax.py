"""The kMaX-DeepLab criterion (Yu et al. 2022), with the terms of MaX-DeepLab and CMT-DeepLab that it took over.

    loss = sum over outputs [ 3.0 class + 3.0 mask + 0.3 mask_id + 1.0 instance ] + 1.0 semantic

Every output is supervised alike: the final one and each decoder layer's, resized to the final resolution. The final
output alone is matched with the ground truth; its pairing and the weights that come with it serve all outputs. Each
term is a mean per image, then over the batch.

Deviations from the original: void pixels are left out of instance discrimination also where fewer labelled
pixels than samples exist, and crowd is void throughout.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor

from pantile.contracts.assignment import Assignment, one_to_one
from pantile.contracts.outputs import MaskOutput
from pantile.contracts.targets import MaskTargets, PanopticTargets
from pantile.contracts.taxonomy import Taxonomy
from pantile.losses.criterion import CRITERIA, Criterion
from pantile.losses.instance_discrimination import pixel_contrastive_loss
from pantile.losses.mask_id import false_positive_negative, mask_losses
from pantile.losses.mask_mean import mask_mean_loss
from pantile.losses.matching import drop_unmatched, hungarian
from pantile.losses.pixel_draw import draw_pixels
from pantile.losses.pq_style import PQWeights, class_loss, pq_similarity, pq_weights
from pantile.losses.reference import reference_loss
from pantile.losses.resampling import resize_bilinear, sample_pixels
from pantile.losses.result import CriterionResult
from pantile.losses.semantic import hardest_semantic_loss, sampled_semantic_loss, semantic_loss


@dataclass
class KMaXCriterionConfig:
    """Defaults are those of kMaX-DeepLab on COCO. A weight of 0 leaves its term out.

    Attributes:
        kind: names this criterion among those of other families.
        class_weight: of the class term.
        mask_weight: of the dice term.
        mask_id_weight: of the mask-ID cross-entropy.
        instance_weight: of instance discrimination.
        semantic_weight: of the auxiliary semantic term, which exists where the output has semantic logits.
        reference_weight: of the dice loss between reference masks and the segments of their queries, where an output
        has
            reference masks (CMT-DeepLab).
        mask_activation: of the mask-ID term; "sigmoid" is ReMaX's choice. All else keeps softmax over queries.
        share_final_matching: False matches every output on its own.
        instance_loss: "pixel_contrastive" compares drawn pixels (CMT-DeepLab, kMaX-DeepLab); "mask_mean" compares the
            pixels of things with the means of masks (MaX-DeepLab) and draws none.
        instance_samples: pixels per image and output; 1024 for ADE20K at 641 pixels.
        instance_sampling_temperature: 0 draws uniformly over pixels, 1 over segments; 0.6 for Cityscapes.
        similarity_temperature: divides the products of pixel embeddings.
        similarity_in_bfloat16: multiplies the embeddings in bfloat16 under bfloat16 autocast.
        semantic_pixels: "sampled", or "plain" for all of them (Cityscapes).
        semantic_hardest: of plain semantic pixels, the share with the greatest losses that counts, 0..1 (deeplab2 on
            Cityscapes: 0.2).
        small_thing_weight: multiplies the semantic loss at the plain pixels of things below ``small_thing_area`` pixels
            of the input (deeplab2 on Cityscapes and for MaX-DeepLab-L: 3).
        small_thing_area: see ``small_thing_weight``.
        semantic_samples: pixels per image.
        semantic_sampling_temperature: as for instances.
        false_positive_stride: pixels, between those at which the false positive split is logged; 0 turns it off.
    """

    kind: Literal["kmax"] = "kmax"
    class_weight: float = 3.0
    mask_weight: float = 3.0
    mask_id_weight: float = 0.3
    instance_weight: float = 1.0
    semantic_weight: float = 1.0
    reference_weight: float = 1.0
    mask_activation: Literal["softmax", "sigmoid"] = "softmax"
    share_final_matching: bool = True
    instance_loss: Literal["pixel_contrastive", "mask_mean"] = "pixel_contrastive"
    instance_samples: int = 4096
    instance_sampling_temperature: float = 1.5
    similarity_temperature: float = 0.3
    similarity_in_bfloat16: bool = False
    semantic_pixels: Literal["sampled", "plain"] = "sampled"
    semantic_hardest: float = 1.0
    small_thing_weight: float = 1.0
    small_thing_area: int = 4096
    semantic_samples: int = 4096
    semantic_sampling_temperature: float = 2.0
    false_positive_stride: int = 4


@CRITERIA.register("kmax")
class KMaXCriterion(Criterion):
    """See the module's docstring and ``KMaXCriterionConfig``."""

    config_class = KMaXCriterionConfig

    def __init__(self, config: KMaXCriterionConfig | None = None, is_thing: Sequence[bool] = ()) -> None:
        """``is_thing``: per class, for the terms that know things from stuff."""
        super().__init__()
        self.config = config or KMaXCriterionConfig()
        self.register_buffer("is_thing", torch.tensor(is_thing, dtype=torch.bool), persistent=False)

    @classmethod
    def create(cls, config: KMaXCriterionConfig, taxonomy: Taxonomy) -> "KMaXCriterion":
        return cls(config, [c.is_thing for c in taxonomy.classes])

    def forward(
        self, output: MaskOutput, targets: PanopticTargets, generator: torch.Generator | None = None
    ) -> CriterionResult:
        """Computes all terms.

        Args:
            output: the final output, with its decoder layers in ``layers``. Any of them may carry ``label_mix``.
            targets: of the same B images, at the input's resolution or any other.
            generator: draws the sampled pixels, on the device of the outputs.

        Returns:
            ``losses``: "class", "mask", "mask_id", "instance", "semantic", "reference", each weighted and summed over
            outputs. ``assignment``: of all outputs.
            ``counts``: "segments" and "dropped_segments" (those beyond the number of queries) of the batch.
            ``fp_fn``: "false_positive_layer0", "false_negative_layer0", ..., "..._final".

        Raises:
            FloatingPointError: an output that is matched is not finite.
        """
        config = self.config
        outputs = (*output.layers, output)
        masks = targets.masks_at(tuple(output.mask_logits.shape[-2:]))
        matchings, weights = self._match(outputs, masks, targets.names)

        losses: dict[str, Tensor] = {}
        if config.class_weight:
            terms = [
                class_loss(o.class_logits, masks.labels, m, w.of_class, o.label_mix)
                for o, m, w in zip(outputs, matchings, weights, strict=True)
            ]
            losses["class"] = config.class_weight * torch.stack(terms).sum()
        if config.mask_weight or config.mask_id_weight:
            terms = [
                torch.stack(mask_losses(o.mask_logits, masks.index, m, w.of_mask, config.mask_activation))
                for o, m, w in zip(outputs, matchings, weights, strict=True)
            ]
            dice, mask_id = torch.stack(terms).sum(dim=0)
            losses |= {"mask": config.mask_weight * dice} if config.mask_weight else {}
            losses |= {"mask_id": config.mask_id_weight * mask_id} if config.mask_id_weight else {}
        if config.instance_weight:
            losses["instance"] = config.instance_weight * self._instance(outputs, masks, matchings, generator)
        referring = [(o, m) for o, m in zip(outputs, matchings, strict=True) if o.reference_masks is not None]
        if config.reference_weight and referring:
            terms = [reference_loss(o.reference_masks, targets, m) for o, m in referring]
            losses["reference"] = config.reference_weight * torch.stack(terms).sum()
        if config.semantic_weight and output.semantic_logits is not None:
            losses["semantic"] = config.semantic_weight * self._semantic(output.semantic_logits, targets, generator)

        dropped = masks.present & (matchings[-1] < 0)
        return CriterionResult(
            losses=losses,
            assignment=_assignment(outputs, matchings),
            counts={"segments": masks.present.sum(), "dropped_segments": dropped.sum()},
            fp_fn=self._false_positives(outputs, targets, masks, matchings),
        )

    def _match(
        self, outputs: Sequence[MaskOutput], masks: MaskTargets, names: Sequence[str]
    ) -> tuple[list[Tensor], list[PQWeights]]:
        """A matching (B, G) and its weights for each output; one transfer to the host."""
        matched = outputs[-1:] if self.config.share_final_matching else outputs
        similarities = [pq_similarity(o.mask_logits, o.class_logits, masks) for o in matched]
        cost = torch.cat([s.cost for s in similarities])
        try:
            matching = hungarian(cost, masks.present.repeat(len(matched), 1), list(names) * len(matched))
        except FloatingPointError as error:
            raise FloatingPointError(f"{error} {_not_finite(matched)}") from error
        matchings = list(matching.chunk(len(matched)))
        weights = [pq_weights(s, m) for s, m in zip(similarities, matchings, strict=True)]
        if self.config.share_final_matching:
            return matchings * len(outputs), weights * len(outputs)
        return matchings, weights

    def _instance(
        self,
        outputs: Sequence[MaskOutput],
        masks: MaskTargets,
        matchings: Sequence[Tensor],
        generator: torch.Generator | None,
    ) -> Tensor:
        """Sum over outputs; each draws pixels of its own."""
        config, size = self.config, tuple(masks.index.shape[-2:])
        if config.instance_loss == "mask_mean":
            return self._mask_means(outputs, masks)
        pixels = draw_pixels(
            masks.index,
            masks.areas(),
            config.instance_samples,
            config.instance_sampling_temperature,
            draws=len(outputs),
            generator=generator,
        )
        in_bfloat16 = config.similarity_in_bfloat16 and _autocast_is_bfloat16(masks.index.device.type)
        total = []
        for output, drawn, matching in zip(outputs, pixels, matchings, strict=True):
            features = sample_pixels(output.pixel_embed, size, drawn)
            segments = drop_unmatched(masks.index, matching).flatten(1).gather(1, drawn)
            loss = pixel_contrastive_loss(
                features,
                segments,
                masks.labels.shape[1],
                config.similarity_temperature,
                torch.bfloat16 if in_bfloat16 else None,
            )
            total.append(loss.mean())
        return torch.stack(total).sum()

    def _mask_means(self, outputs: Sequence[MaskOutput], masks: MaskTargets) -> Tensor:
        size = tuple(masks.index.shape[-2:])
        things = self._row_is_thing(masks)
        terms = (
            mask_mean_loss(
                resize_bilinear(o.pixel_embed, size), masks.index, things, self.config.similarity_temperature
            )
            for o in outputs
        )
        return torch.stack([term.mean() for term in terms]).sum()

    def _row_is_thing(self, masks: MaskTargets) -> Tensor:
        """(B, G)"""
        return masks.present & self.is_thing[masks.labels.clamp(min=0)]

    def _semantic(self, logits: Tensor, targets: PanopticTargets, generator: torch.Generator | None) -> Tensor:
        """At the logits' own resolution."""
        config = self.config
        masks = targets.masks_at(tuple(logits.shape[-2:]))
        if config.semantic_pixels == "plain":
            if config.semantic_hardest == config.small_thing_weight == 1.0:
                return semantic_loss(logits, masks.semantic())
            return hardest_semantic_loss(
                logits, masks.semantic(), config.semantic_hardest, self._pixel_weight(masks, targets)
            )
        return sampled_semantic_loss(
            logits, masks, config.semantic_samples, config.semantic_sampling_temperature, generator
        )

    def _pixel_weight(self, masks: MaskTargets, targets: PanopticTargets) -> Tensor:
        """(B, h, w), of the semantic term."""
        pixels = targets.ids.shape[1] * targets.ids.shape[2] / (masks.index.shape[1] * masks.index.shape[2])
        small = self._row_is_thing(masks) & (masks.areas() * pixels < self.config.small_thing_area)
        of_row = torch.where(small, self.config.small_thing_weight, 1.0)
        flat = masks.index.flatten(1)
        weight = torch.where(flat >= 0, of_row.gather(1, flat.clamp(min=0)), 1.0)
        return weight.view(masks.index.shape)

    def _false_positives(
        self,
        outputs: Sequence[MaskOutput],
        targets: PanopticTargets,
        masks: MaskTargets,
        matchings: Sequence[Tensor],
    ) -> dict[str, Tensor]:
        stride = self.config.false_positive_stride
        if not stride:
            return {}
        size = tuple((n - 1) // stride + 1 for n in masks.index.shape[-2:])
        index = targets.masks_at(size).index
        names = [f"layer{i}" for i in range(len(outputs) - 1)] + ["final"]
        split: dict[str, Tensor] = {}
        for name, output, matching in zip(names, outputs, matchings, strict=True):
            false_positive, false_negative = false_positive_negative(
                output.mask_logits, index, matching, self.config.mask_activation
            )
            split |= {f"false_positive_{name}": false_positive, f"false_negative_{name}": false_negative}
        return split


def _assignment(outputs: Sequence[MaskOutput], matchings: Sequence[Tensor]) -> Assignment:
    *layers, final = (one_to_one(m, o.num_queries) for o, m in zip(outputs, matchings, strict=True))
    return replace(final, layers=tuple(layers))


def _autocast_is_bfloat16(device_type: str) -> bool:
    return torch.is_autocast_enabled(device_type) and torch.get_autocast_dtype(device_type) == torch.bfloat16


def _not_finite(outputs: Sequence[MaskOutput]) -> str:
    """Which of the two factors of the cost is at fault."""
    broken = [
        what
        for what, tensors in (
            ("class logits", [o.class_logits for o in outputs]),
            ("mask logits", [o.mask_logits for o in outputs]),
        )
        if not all(bool(t.isfinite().all()) for t in tensors)
    ]
    return f"Not finite: {' and '.join(broken) or 'their product'}."
