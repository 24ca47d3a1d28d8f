"""Random ground truth with instances near it, and COCO's twelve numbers of them from pycocotools."""

import contextlib
import io
import math
from collections.abc import Sequence

import numpy as np
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from pantile.contracts.panoptic import PanopticMap, Segment
from pantile.contracts.predictions import Instance
from pantile.contracts.taxonomy import Taxonomy, plain_taxonomy

TAXONOMY = plain_taxonomy(["sky", "cat", "road", "dog", "unicorn"], things=["cat", "dog", "unicorn"])
THINGS = (1, 3, 4)
NAMES = (  # in pycocotools' order
    *("ap", "ap50", "ap75", "ap_small", "ap_medium", "ap_large"),
    *("ar1", "ar10", "ar100", "ar_small", "ar_medium", "ar_large"),
)

Image = tuple[list[Instance], PanopticMap]


def random_image(random: np.random.Generator, detections: int = 30) -> Image:
    """Rectangles of sizes on and around COCO's borders; near-copies and noise as detections, with many equal scores.

    The last thing class never occurs in the ground truth.
    """
    height, width = (int(n) for n in random.integers(98, 180, 2))
    ids = np.zeros((height, width), np.int32)
    for segment_id in range(1, int(random.integers(1, 8))):
        ids[_rectangle(random, ids.shape)] = segment_id * 257
    rows = []
    for segment_id in random.permutation(np.unique(ids[ids > 0])).tolist():
        class_index = int(random.integers(0, 4))
        crowd = TAXONOMY.classes[class_index].is_thing and random.random() < 0.2
        rows.append(Segment(segment_id, class_index, is_crowd=crowd))

    instances = []
    for _ in range(int(random.integers(0, detections + 1))):
        mask, class_index, score = np.zeros(ids.shape, bool), int(random.choice(THINGS)), random.integers(0, 6) / 5
        if rows and random.random() < 0.8:
            row = rows[int(random.integers(len(rows)))]
            mask = np.roll(ids == row.id, random.integers(-3, 4, 2), axis=(0, 1))
            class_index, score = row.class_index if row.class_index in THINGS else class_index, min(score + 0.4, 1)
        elif random.random() < 0.9:  # else an empty mask
            mask[_rectangle(random, ids.shape)] = True
        instances.append(Instance(class_index, float(score), encoded(mask)))
    return instances, PanopticMap(ids, tuple(rows))


def encoded(mask: np.ndarray) -> dict:
    return coco_mask.encode(np.asfortranarray(mask, np.uint8))


def oracle(images: Sequence[Image], taxonomy: Taxonomy = TAXONOMY) -> dict[str, float]:
    """The twelve numbers, and ``"class/<name>"``: AP of each thing class; NaN for pycocotools' -1."""
    truths, detections = [], []
    for number, (instances, target) in enumerate(images):
        for segment in target.segments:
            if taxonomy.classes[segment.class_index].is_thing:
                mask = target.ids == segment.id
                truths.append(
                    {
                        "id": len(truths) + 1,
                        "image_id": number + 1,
                        "category_id": segment.class_index + 1,
                        "iscrowd": int(segment.is_crowd),
                        "area": int(mask.sum()),
                        "segmentation": encoded(mask),
                    }
                )
        detections += [
            {"image_id": number + 1, "category_id": i.class_index + 1, "score": i.score, "segmentation": i.mask}
            for i in instances
        ]
    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO()
        coco.dataset = {
            "info": {},
            "images": [{"id": n + 1, "height": t.size[0], "width": t.size[1]} for n, (_, t) in enumerate(images)],
            "annotations": truths,
            "categories": [{"id": k + 1, "name": taxonomy.names[k]} for k in taxonomy.thing_indices],
        }
        coco.createIndex()
        evaluator = COCOeval(coco, coco.loadRes(detections) if detections else _nothing(coco), "segm")
        evaluator.evaluate()
        evaluator.accumulate()
        evaluator.summarize()
    numbers = dict(zip(NAMES, evaluator.stats.tolist(), strict=True))
    for position, k in enumerate(taxonomy.thing_indices):
        precision = evaluator.eval["precision"][:, :, position, 0, 2]
        numbers[f"class/{taxonomy.names[k]}"] = (
            float(precision[precision > -1].mean()) if (precision > -1).any() else -1
        )
    return {name: math.nan if value == -1 else value for name, value in numbers.items()}


def _nothing(truths: COCO) -> COCO:
    empty = COCO()
    empty.dataset = truths.dataset | {"annotations": []}
    empty.createIndex()
    return empty


def _rectangle(random: np.random.Generator, size: tuple[int, int]) -> tuple[slice, slice]:
    height, width = (
        min(extent, int(random.choice([random.integers(2, 30), 32, 33, random.integers(34, 96), 97, 160])))
        for extent in size
    )
    top, left = (int(random.integers(0, extent - own + 1)) for extent, own in zip(size, (height, width), strict=True))
    return slice(top, top + height), slice(left, left + width)
