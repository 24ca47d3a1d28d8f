"""The criterion of Panoptic-DeepLab (arXiv 1911.10194, equation 1; weights as there and in SWideRNet's paper).

    loss = 1 semantic (hard pixels, small instances weigh 3) + 200 centre (squared error) + 0.01 offset (L1)

The prediction is resized to the targets' resolution, corners aligned; offsets grow with it. The public
implementations agree on the terms and differ in their divisors; the fields of the config say who does what:
[D] deeplab2, [T] detectron2's project, [B] bowenc0221/panoptic-deeplab.
"""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from pantile.contracts.class_channels import channels_of
from pantile.contracts.errors import UserError
from pantile.contracts.outputs import CenterOutput
from pantile.contracts.precision import in_float32
from pantile.contracts.targets import PanopticTargets
from pantile.contracts.taxonomy import Taxonomy
from pantile.losses.center_targets import center_targets
from pantile.losses.criterion import CRITERIA, Criterion
from pantile.losses.pq_style import mean_of_nonzero
from pantile.losses.result import CriterionResult


@dataclass
class CenterCriterionConfig:
    """Defaults are deeplab2's.

    Attributes:
        kind: names this criterion among those of other families.
        semantic_weight: of the semantic term.
        center_weight: of the centre term.
        offset_weight: of the offset term, a mean over dy and dx [D, B]; [T] adds the two, which is 0.02 here.
        top_k: share of the pixels, void ones included, that the semantic term keeps: those of largest loss. 0.2 [D,
            B, T on Cityscapes], 1.0 [T on COCO].
        top_k_over: keeps that share of each image [D] or of the whole batch [T, B].
        divide_by: "nonzero" [D]: each term of an image is divided by the number of its pixels whose loss is not zero;
            then the mean over images. "pixels" [T, B]: over the whole batch, the number of kept pixels (semantic) or
            of pixels with a weight (centre, offset). Per process either way.
        sigma: of the Gaussians, in pixels of the crop: 8 [D, B, T on COCO], 10 [T elsewhere].
        small_area: instances of fewer pixels than this weigh ``small_weight`` in the semantic term.
        small_weight: see above.
        crowd_in_semantic: crowd keeps its class in the semantic term [D, B, T by default]; False makes it void
            there, too.
        offset_to: offsets lead to the "rounded" centre [D] or to the "mean" position of the mask [T, B].
    """

    kind: Literal["centers"] = "centers"
    semantic_weight: float = 1.0
    center_weight: float = 200.0
    offset_weight: float = 0.01
    top_k: float = 0.2
    top_k_over: Literal["image", "batch"] = "image"
    divide_by: Literal["nonzero", "pixels"] = "nonzero"
    sigma: float = 8.0
    small_area: int = 4096
    small_weight: float = 3.0
    crowd_in_semantic: bool = True
    offset_to: Literal["rounded", "mean"] = "rounded"


@CRITERIA.register("centers")
class CenterCriterion(Criterion):
    """See the module's docstring and ``CenterCriterionConfig``.

    Args:
        config: see there.
        is_thing: (K,) bool per class.

    Raises:
        UserError: ``top_k`` or ``sigma`` is out of range.
    """

    config_class = CenterCriterionConfig

    def __init__(self, config: CenterCriterionConfig, is_thing: Tensor) -> None:
        super().__init__()
        if not 0 < config.top_k <= 1:
            raise UserError(f"criterion.top_k is {config.top_k:g}; give the share of pixels to keep, above 0, up to 1.")
        if config.sigma <= 0:
            raise UserError(f"criterion.sigma is {config.sigma:g}; give a standard deviation above 0, in pixels.")
        self.config = config
        self.register_buffer("is_thing", is_thing, persistent=False)

    @classmethod
    def create(cls, config: CenterCriterionConfig, taxonomy: Taxonomy) -> "CenterCriterion":
        return cls(config, taxonomy.is_thing())

    def forward(
        self, output: CenterOutput, targets: PanopticTargets, generator: torch.Generator | None = None
    ) -> CriterionResult:
        """Computes all terms. Each stays connected to its output, whatever the targets and the weights.

        Args:
            output: of B images. Where classes are selected, a pixel of another class has nothing to learn from in the
                semantic term; it counts as void does.
            targets: of the same images; their resolution is the one at which the losses are taken.
            generator: not used, nothing is drawn.

        Returns:
            ``losses``: "semantic", "center", "offset", each weighted; 0 without a pixel to learn from.
            ``assignment``: None.
            ``counts``: "segments" (visible, without crowd) and "centers" (those that are things) of the batch.
        """
        config = self.config
        truth = center_targets(
            targets,
            self.is_thing,
            config.sigma,
            config.small_area,
            config.small_weight,
            config.crowd_in_semantic,
            config.offset_to,
        )
        channels = channels_of(truth.semantic, output.classes, len(self.is_thing))
        semantic = _hard_pixels(
            _cross_entropy(output.semantic_logits, channels) * truth.semantic_weight,
            config.top_k,
            config.top_k_over,
        )
        center = _squared_error(output.center_heatmap, truth.heatmap) * truth.heatmap_weight[:, 0]
        offset = _offset_error(output.center_offset, truth.offset) * truth.offset_weight[:, 0]
        if config.divide_by == "nonzero":
            semantic, center, offset = (mean_of_nonzero(t.flatten(1)).mean() for t in (semantic, center, offset))
        else:
            semantic = semantic.mean()
            center = center.sum() / truth.heatmap_weight.sum().clamp(min=1)
            offset = offset.sum() / truth.offset_weight.sum().clamp(min=1)
        return CriterionResult(
            losses={
                "semantic": config.semantic_weight * semantic,
                "center": config.center_weight * center,
                "offset": config.offset_weight * offset,
            },
            assignment=None,
            counts={"segments": truth.present.sum(), "centers": truth.instances.sum()},
        )


@in_float32
def _cross_entropy(logits: Tensor, semantic: Tensor) -> Tensor:
    """(B, H, W), 0 where ``semantic`` is -1."""
    return F.cross_entropy(_resize(logits, semantic.shape[-2:]), semantic, ignore_index=-1, reduction="none")


@in_float32
def _squared_error(heatmap: Tensor, truth: Tensor) -> Tensor:
    """(B, H, W)"""
    return (_resize(heatmap, truth.shape[-2:]) - truth).square()[:, 0]


@in_float32
def _offset_error(offset: Tensor, truth: Tensor) -> Tensor:
    """(B, H, W) mean over dy and dx of absolute errors, in pixels of the targets."""
    return (_resize_offsets(offset, truth.shape[-2:]) - truth).abs().mean(dim=1)


def _resize_offsets(offset: Tensor, size: tuple[int, int]) -> Tensor:
    """(B, 2, h, w) offsets in pixels of their own map to (B, 2, H, W) in pixels of that one."""
    growth = [(new - 1) / max(old - 1, 1) for new, old in zip(size, offset.shape[-2:], strict=True)]
    return _resize(torch.stack([offset[:, axis] * growth[axis] for axis in (0, 1)], dim=1), size)


def _resize(maps: Tensor, size: tuple[int, int]) -> Tensor:
    """Corners aligned for even sizes, too, as ``CenterOutput`` says and unlike query masks."""
    return maps if maps.shape[-2:] == size else F.interpolate(maps, size, mode="bilinear", align_corners=True)


def _hard_pixels(loss: Tensor, share: float, over: Literal["image", "batch"]) -> Tensor:
    """The largest ``share`` of (B, H, W) losses, (B, k) of each image or (1, k) of the batch, in no order."""
    loss = loss.flatten(1) if over == "image" else loss.flatten()[None]
    if share == 1:
        return loss
    # Unsorted topk only selects: 15 to 20 ms for 2 x 641 x 641 losses on one CPU thread. The sorted one takes twice as
    # long, a sort four to ten times. kthvalue takes as long as topk but gives a threshold, and losses that tie with it
    # would make the number of kept pixels depend on the data. On a GPU, too, an unsorted topk is a selection.
    return loss.topk(max(1, round(share * loss.shape[1])), dim=1, sorted=False).values
