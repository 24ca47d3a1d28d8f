"""PresenceQuality: how well a model says which classes an image shows, and what its selection of classes loses.

"mAP" of multi-label classification has several meanings, whose numbers differ; this gives three of them. RankSeg (He
et al., "RankSeg: Adaptive Pixel Classification with Image Category Ranking for Segmentation", ECCV 2022) reports
``image_ap`` under that name, by its released code: label-ranking average precision. The usual mAP of multi-label
benchmarks is ``class_ap``.
"""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np
import torch
from torchmetrics import Metric

from pantile.contracts.errors import UserError
from pantile.contracts.taxonomy import Taxonomy
from pantile.metrics.evaluated_batch import EvaluatedBatch
from pantile.metrics.printing import print_classes, print_fractions
from pantile.metrics.ranking import average_precision
from pantile.metrics.registry import register_metric
from pantile.metrics.without_nan import without_nan

CHUNK = 64  # classes whose images are sorted at once
GROUP = "presence"


@dataclass  # torchmetrics refuses frozen ones
class PresenceQualityResult:
    """Fractions of 1; NaN where there is nothing to average.

    Attributes:
        image_ap: mean over images of the average precision of their ranked classes.
        class_ap: mean over classes of the average precision of the images ranked by the class.
        pooled_ap: average precision of all pairs of an image and a class in one ranking.
        pixel_recall: mean over images of the share of labelled pixels whose class was selected.
        class_recall: mean over images of the share of their classes that was selected.
        precision: mean over images of the share of selected classes that the image shows; 0 for one that shows none.
        selected: mean number of selected classes.
        images, classes: those that count: images with scores, classes that one of them shows.
        per_class: class name -> its average precision.
        missed: class name -> in how many images with a selection it is shown, and in how many of these it was not
            selected; only of classes that were missed.
    """

    image_ap: float
    class_ap: float
    pooled_ap: float
    pixel_recall: float
    class_recall: float
    precision: float
    selected: float
    images: int
    classes: int
    per_class: dict[str, float]
    missed: dict[str, tuple[int, int]]

    def to_dict(self) -> dict:
        """``{"presence": {"image_ap", ..., "per_class"}}`` in plain containers; {} if no image had scores."""
        return {GROUP: without_nan(asdict(self))} if self.images else {}


def _show(result: PresenceQualityResult) -> None:
    if not result.images:
        return
    labels = {"image_ap": "AP of images", "class_ap": "AP of classes", "pooled_ap": "pooled AP"}
    if not math.isnan(result.selected):
        labels |= {"class_recall": "classes selected", "pixel_recall": "pixels selected", "precision": "precision"}
    print_fractions(GROUP, vars(result), labels)


def _arguments(batch: EvaluatedBatch) -> tuple:
    """Pixels are counted only where a model says anything of presence: most do not."""
    silent = all(logits is None for logits in batch.presence_logits)
    pixels = [None] * len(batch.predictions) if silent else batch.class_pixels
    return batch.presence_logits, pixels, batch.selected_classes, batch.indices


def _show_classes(result: PresenceQualityResult) -> None:
    print_classes("AP", result.per_class)


def _of_images(batch: EvaluatedBatch) -> list[float]:
    """Average precision of the ranked classes of each image."""
    return [
        math.nan if logits is None else float(average_precision(logits[None], pixels[None] > 0)[0])
        for logits, pixels in zip(batch.presence_logits, batch.class_pixels, strict=True)
    ]


@register_metric(
    "presence_quality",
    task="presence",
    arguments=_arguments,
    show=_show,
    validated={"class_ap": lambda result: result.class_ap, "image_ap": lambda result: result.image_ap},
    label="mAP",
    of_images=_of_images,
    show_classes=_show_classes,
)
class PresenceQuality(Metric):
    """Average precision of presence scores, recall and precision of the selection; adds up over batches and processes.

    >>> metric = PresenceQuality(taxonomy)
    >>> metric.update([logits], [pixels], [selected])   # one entry for each image
    >>> metric.compute().image_ap

    Until ``compute``, five bytes are held of each pair of an image and a class.

    Args:
        taxonomy: K classes.
        k: of images without a selection, the first k of their ranking are taken for it; None takes none.
    """

    full_state_update = False
    higher_is_better = True
    is_differentiable = False

    def __init__(self, taxonomy: Taxonomy, k: int | None = None, **kwargs) -> None:
        super().__init__(**kwargs)
        if k is not None and not 1 <= k <= len(taxonomy):
            raise UserError(f"k is {k}: give a number of classes from 1 to {len(taxonomy)}.")
        self.taxonomy = taxonomy
        self.k = k
        # torchmetrics replaces a list without entries by a float tensor, which cannot be gathered with the others
        self._empty = {
            "image_ids": torch.empty(0, dtype=torch.int64),
            "logits": torch.empty(0, len(taxonomy)),
            "present": torch.empty(0, len(taxonomy), dtype=torch.bool),
        }
        for name in self._empty:
            self.add_state(name, [], dist_reduce_fx="cat")
        # pixel recall, class recall, precision, number of selected classes; and of how many images
        self.add_state("sums", torch.zeros(4, dtype=torch.float64), dist_reduce_fx="sum")
        self.add_state("counts", torch.zeros(4, dtype=torch.int64), dist_reduce_fx="sum")
        # images with a selection that show a class, and those in which it was not selected
        self.add_state("missed", torch.zeros(2, len(taxonomy), dtype=torch.int64), dist_reduce_fx="sum")
        self.reset()

    def reset(self) -> None:
        super().reset()
        for name, empty in self._empty.items():
            getattr(self, name).append(empty.to(self.device))

    def update(
        self,
        logits: Sequence[np.ndarray | None],
        pixels: Sequence[np.ndarray | None],
        selected: Sequence[np.ndarray | None] | None = None,
        image_ids: Sequence[int] | None = None,
    ) -> None:
        """Adds images.

        Args:
            logits: (K,) floating for each image, the larger the surer that it shows a class; None leaves it out.
            pixels: (K,) integers for each image, labelled pixels of each class; of an image that is left out, anything.
            selected: class indices (k,) for each image, those that were let through; None for none.
            image_ids: an integer for each image, its own in the data set, by which equal scores are ranked.

        Raises:
            UserError: unequal numbers of images, another number of classes, or scores that are no numbers.
        """
        selected = [None] * len(logits) if selected is None else selected
        image_ids = range(len(logits)) if image_ids is None else image_ids
        if not len(logits) == len(pixels) == len(selected) == len(image_ids):
            raise UserError(
                f"There are presence scores of {len(logits)} images for {len(pixels)} images of ground truth: give one "
                "for each image."
            )
        for image_id, own, counts, chosen in zip(image_ids, logits, pixels, selected, strict=True):
            if own is not None:
                self._add(image_id, np.asarray(own), np.asarray(counts), chosen)

    def _add(self, image_id: int, logits: np.ndarray, pixels: np.ndarray, chosen: np.ndarray | None) -> None:
        if logits.shape != pixels.shape or len(logits) != len(self.taxonomy):
            raise UserError(
                f"There are presence scores of {len(logits)} classes and pixels of {len(pixels)}, but the data has "
                f"{len(self.taxonomy)} classes: the model was trained on others."
            )
        if np.isnan(logits).any():
            raise UserError("Presence scores are NaN: the weights of the model are damaged.")
        present = pixels > 0
        for name, value in (("image_ids", [image_id]), ("logits", logits[None]), ("present", present[None])):
            getattr(self, name).append(torch.as_tensor(value).to(self.device))
        if chosen is None and self.k is not None:
            chosen = np.argsort(-logits, kind="stable")[: self.k]
        if chosen is None:
            return
        taken = np.zeros(len(logits), bool)
        taken[np.asarray(chosen)] = True
        hits, shown = int((taken & present).sum()), int(present.sum())
        values = [pixels[taken].sum() / pixels.sum() if shown else 0.0, hits / shown if shown else 0.0]
        values += [hits / max(int(taken.sum()), 1), float(taken.sum())]
        self.sums = self.sums + torch.tensor(values, dtype=torch.float64, device=self.device)
        self.missed = self.missed + torch.from_numpy(np.stack([present, present & ~taken])).to(self.device)
        self.counts = self.counts + torch.tensor([shown > 0, shown > 0, True, True], device=self.device).long()

    def compute(self) -> PresenceQualityResult:
        """The result so far."""
        image_ids, logits, present = (_joined(getattr(self, name)) for name in self._empty)
        order = np.argsort(image_ids, kind="stable")
        logits, present = logits[order], present[order]
        per_class = np.concatenate(
            [
                average_precision(logits[:, first : first + CHUNK].T, present[:, first : first + CHUNK].T)
                for first in range(0, len(self.taxonomy), CHUNK)
            ]
        )
        sums, counts = self.sums.cpu().numpy(), self.counts.cpu().numpy()
        means = np.divide(sums, counts, out=np.full(4, math.nan), where=counts > 0).tolist()
        return PresenceQualityResult(
            image_ap=_mean(average_precision(logits, present)),
            class_ap=_mean(per_class),
            pooled_ap=_mean(average_precision(logits.reshape(1, -1), present.reshape(1, -1))),
            pixel_recall=means[0],
            class_recall=means[1],
            precision=means[2],
            selected=means[3],
            images=len(logits),
            classes=int(present.any(axis=0).sum()),
            per_class=dict(zip(self.taxonomy.names, per_class.tolist(), strict=True)),
            missed={
                name: (shown, missed)
                for name, shown, missed in zip(self.taxonomy.names, *self.missed.tolist(), strict=True)
                if missed
            },
        )


def _joined(state: list[torch.Tensor] | torch.Tensor) -> np.ndarray:
    """A list before, and a tensor after gathering from processes."""
    return (torch.cat(state) if isinstance(state, list) else state).cpu().numpy()


def _mean(values: np.ndarray) -> float:
    known = values[~np.isnan(values)]
    return float(known.mean()) if known.size else math.nan
