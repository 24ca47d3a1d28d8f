"""Average precision of thing masks by the protocol of COCO.

Lin et al., "Microsoft COCO: Common Objects in Context" (ECCV 2014), and the evaluation code published with it: ten IoU
thresholds 0.5..0.95, precision at 101 recalls, the 100 most confident detections of each class and image, crowd regions
that absorb detections. The matching is faster-coco-eval's, whose numbers are pycocotools' in less time.
"""

import logging
import math
from collections import Counter
from collections.abc import Iterable, Sequence

import numpy as np
import torch
from faster_coco_eval import COCO, COCOeval_faster
from pycocotools.mask import area
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.utilities import dim_zero_cat

from pantile.contracts.errors import UserError
from pantile.contracts.panoptic import PanopticMap
from pantile.contracts.predictions import Instance
from pantile.contracts.run_lengths import encode_segments
from pantile.contracts.taxonomy import Taxonomy
from pantile.metrics.average_precision_result import AveragePrecisionResult
from pantile.metrics.map_pair import as_array, id_map
from pantile.metrics.printing import print_fractions
from pantile.metrics.registry import register_metric

_LOG = logging.getLogger(__name__)
_MAX_DETECTIONS = 100
_MASKS_AT_ONCE = 200
_DETECTION, _TRUTH, _CROWD = range(3)


def _show(result: AveragePrecisionResult) -> None:
    labels = {"ap": "AP", "ap50": "AP50", "ap75": "AP75", "ap_small": "AP S", "ap_medium": "M", "ap_large": "L"}
    print_fractions("instance", vars(result), labels)


@register_metric(
    "average_precision",
    task="instance",
    arguments=lambda batch: (batch.instances, batch.truths),
    show=_show,
    validated={
        "ap": lambda result: result.ap,
        "ap50": lambda result: result.ap50,
        "ap75": lambda result: result.ap75,
    },
    label="AP",
)
class MaskAveragePrecision(Metric):
    """Mask AP and AR over a dataset; adds up over batches and processes.

    >>> metric = MaskAveragePrecision(taxonomy)
    >>> metric.update([instances], [ground_truth])   # one entry for each image
    >>> metric.compute().ap

    Until ``compute``, masks are held as compressed run lengths, a few hundred bytes each.

    Args:
        taxonomy: the classes; without things every number is NaN.
    """

    full_state_update = False
    higher_is_better = True
    is_differentiable = False

    # torchmetrics replaces a list without entries by a float tensor, which cannot be gathered with the integers of the
    # other processes; so every list starts with an empty tensor of the right type.
    _EMPTY = {
        "images": torch.empty(0, 4, dtype=torch.int64),  # id or -1, height, width, number of masks
        "masks": torch.empty(0, 4, dtype=torch.int64),  # class index, kind, pixels, bytes of run lengths
        "scores": torch.empty(0, dtype=torch.float64),  # of each mask, 1 for ground truth
        "run_lengths": torch.empty(0, dtype=torch.uint8),  # of all masks, one after the other
    }

    def __init__(self, taxonomy: Taxonomy, **kwargs) -> None:
        super().__init__(**kwargs)
        self.taxonomy = taxonomy
        for name in self._EMPTY:
            self.add_state(name, [], dist_reduce_fx="cat")
        self.reset()

    def reset(self) -> None:
        super().reset()
        for name, empty in self._EMPTY.items():
            getattr(self, name).append(empty.to(self.device))

    def update(
        self,
        predictions: Sequence[Sequence[Instance]],
        targets: Sequence[PanopticMap],
        image_ids: Sequence[int] | None = None,
    ) -> None:
        """Adds images.

        Args:
            predictions: the instances of each image; they may overlap, and an image may have none.
            targets: the ground truth of the same images; its thing segments count, crowd regions as COCO's ``iscrowd``.
            image_ids: an integer >= 0 for each image, its own in the whole dataset. Detections of equal score are
                ranked in the order of these ids (without them: of the updates, one process after the other), so that
                the number of processes does not matter.

        Raises:
            UserError: unequal numbers of images, a mask of another size than its image, a class that is not a thing
                class of the taxonomy, a score that is not finite, or a segment without pixels.
        """
        predictions, targets = list(predictions), list(targets)
        if len(predictions) != len(targets):
            raise UserError(
                f"There are instances of {len(predictions)} images for {len(targets)} images of ground truth: "
                "give one list of instances for each image."
            )
        if image_ids is not None and (len(image_ids) != len(targets) or min(image_ids, default=0) < 0):
            raise UserError(
                f"image_ids is {list(image_ids)}: give one id of 0 or more for each of {len(targets)} images."
            )
        images, masks, scores, run_lengths = [], [], [], []
        for position, (instances, target) in enumerate(zip(predictions, targets, strict=True)):
            self._check(instances, target)
            rows = [*self._truths(target), *_most_confident(instances)]
            image_id = -1 if image_ids is None else int(image_ids[position])
            images.append((image_id, *target.size, len(rows)))
            areas = _areas([mask for *_, mask in rows])
            for (class_index, kind, score, mask), pixels in zip(rows, areas, strict=True):
                masks.append((class_index, kind, pixels, len(mask["counts"])))
                scores.append(score)
                run_lengths.append(mask["counts"])
        if not images:
            return
        self._append("images", torch.tensor(images))
        if masks:
            self._append("masks", torch.tensor(masks))
            self._append("scores", torch.tensor(scores, dtype=torch.float64))
            self._append("run_lengths", torch.frombuffer(bytearray(b"".join(run_lengths)), dtype=torch.uint8))

    def compute(self) -> AveragePrecisionResult:
        """The result so far.

        Raises:
            UserError: two images have the same id.
        """
        images, masks, scores, run_lengths = (dim_zero_cat(getattr(self, name)).cpu().numpy() for name in self._EMPTY)
        things = self.taxonomy.thing_indices
        if not things or not (masks[:, 1] == _TRUTH).any():
            precision = np.full((10, 101, len(things), 4, 3), -1.0)
            recall = np.full((10, len(things), 4, 3), -1.0)
        else:
            truths, detections = _as_coco(images, masks, scores, run_lengths.tobytes(), things)
            evaluator = COCOeval_faster(truths, detections, iouType="segm", print_function=_LOG.debug)
            evaluator.evaluate()
            evaluator.accumulate()
            precision, recall = evaluator.eval["precision"], evaluator.eval["recall"]
        return AveragePrecisionResult.of(precision, recall, [self.taxonomy.names[k] for k in things])

    def _append(self, state: str, rows: Tensor) -> None:
        getattr(self, state).append(rows.to(self.device))

    def _truths(self, target: PanopticMap) -> Iterable[tuple[int, int, float, dict]]:
        things = [s for s in target.segments if self.taxonomy.classes[s.class_index].is_thing]
        for segment, mask in zip(things, encode_segments(as_array(target.ids), [s.id for s in things]), strict=True):
            yield segment.class_index, _CROWD if segment.is_crowd else _TRUTH, 1.0, mask

    def _check(self, instances: Sequence[Instance], target: PanopticMap) -> None:
        id_map(target, "ground truth")
        for segment in target.segments:
            if not 0 <= segment.class_index < len(self.taxonomy):
                raise UserError(
                    f"Segment {segment.id} of the ground truth has class index {segment.class_index}, but the taxonomy "
                    f"has {len(self.taxonomy)} classes: use an index from 0 to {len(self.taxonomy) - 1}."
                )
        for instance in instances:
            if instance.class_index not in self.taxonomy.thing_indices:
                raise UserError(
                    f"An instance has class index {instance.class_index}, which is no thing class of the taxonomy: "
                    f"use one of {list(self.taxonomy.thing_indices)}."
                )
            if not math.isfinite(instance.score):
                raise UserError(f"An instance has the score {instance.score}: give a finite number.")
            if not isinstance(instance.mask["counts"], bytes):
                raise UserError(
                    "The mask of an instance is not in compressed run lengths: encode it as COCO does, in bytes."
                )
            if tuple(instance.mask["size"]) != target.size:
                (height, width), (own_height, own_width) = target.size, instance.mask["size"]
                raise UserError(
                    f"The ground truth is {height} x {width} pixels but the mask of an instance is {own_height} x "
                    f"{own_width}: resize the instances to the size of the ground truth."
                )


def _areas(masks: Sequence[dict]) -> list[int]:
    """Pixels of each mask, a few at a time: pycocotools fails on lists beyond 255."""
    groups = (masks[first : first + _MASKS_AT_ONCE] for first in range(0, len(masks), _MASKS_AT_ONCE))
    return [pixels for group in groups for pixels in area(group).tolist()]


def _most_confident(instances: Sequence[Instance]) -> Iterable[tuple[int, int, float, dict]]:
    """The detections that the protocol looks at; equal scores keep their order."""
    seen: Counter[int] = Counter()
    for instance in sorted(instances, key=lambda i: -i.score):
        seen[instance.class_index] += 1
        if seen[instance.class_index] <= _MAX_DETECTIONS:
            yield instance.class_index, _DETECTION, float(instance.score), instance.mask


def _as_coco(
    images: np.ndarray, masks: np.ndarray, scores: np.ndarray, run_lengths: bytes, things: Sequence[int]
) -> tuple[COCO, COCO]:
    """Ground truth and detections as faster-coco-eval wants them, images numbered in the order of their ids."""
    known, times = np.unique(images[images[:, 0] >= 0, 0], return_counts=True)
    if (times > 1).any():
        raise UserError(f"The image with id {known[times > 1][0]} was given more than once: give each image one id.")
    number = np.empty(len(images), np.int64)
    number[np.argsort(images[:, 0], kind="stable")] = np.arange(len(images))

    image_of_mask = np.repeat(np.arange(len(images)), images[:, 3])
    ends = np.cumsum(masks[:, 3])
    segmentations = [
        {"size": size, "counts": run_lengths[start:end]}
        for size, start, end in zip(
            images[image_of_mask, 1:3].tolist(), (ends - masks[:, 3]).tolist(), ends.tolist(), strict=True
        )
    ]
    truths: list[dict] = []
    detections: list[dict] = []
    columns = (number[image_of_mask], *masks.T[:3], scores)
    for image, class_index, kind, pixels, score, segmentation in zip(
        *(column.tolist() for column in columns), segmentations, strict=True
    ):
        rows = detections if kind == _DETECTION else truths
        annotation = {"image_id": image, "category_id": class_index, "segmentation": segmentation, "area": pixels}
        extra = {"score": score} if kind == _DETECTION else {"iscrowd": int(kind == _CROWD)}
        rows.append(annotation | extra | {"id": len(rows) + 1})
    shared = {
        "images": [
            {"id": n, "height": h, "width": w}
            for n, (h, w) in zip(number.tolist(), images[:, 1:3].tolist(), strict=True)
        ],
        "categories": [{"id": k} for k in things],
    }
    return tuple(COCO(shared | {"annotations": rows}) for rows in (truths, detections))
