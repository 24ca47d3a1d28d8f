"""Average precision of thing masks, against pycocotools on the same masks.

Claim: the twelve numbers are pycocotools' to 1e-6. Timed is ``MaskAveragePrecision`` from ``update`` to ``compute``
against pycocotools from its list of detections to its summary. The ground truth of pycocotools is encoded and indexed
outside of the clock; ours is encoded from panoptic maps within it. The masks are smooth, some 300 bytes each; ragged
ones of 2 kB were slower than pycocotools once.

    python benchmarks/average_precision.py

With hotcoco installed, the seconds of its evaluation of the same list stand beside them (1.3.0: the same numbers, but
it hangs in a process that was forked after its first evaluation, as workers are, so nothing here is built on it).

200 images of 480 x 640 pixels with 8 things of 20 classes and 100 detections each. Medians of alternating runs in one
process with one thread of torch; faster-coco-eval computes IoUs with up to eight.
"""

import argparse
import contextlib
import io

import numpy as np
import torch

try:
    import hotcoco
except ImportError:
    hotcoco = None
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from claims import Claims
from pantile.contracts.panoptic import PanopticMap, Segment
from pantile.contracts.predictions import Instance
from pantile.contracts.run_lengths import encode_segments
from pantile.contracts.taxonomy import plain_taxonomy
from pantile.metrics import AveragePrecisionResult, MaskAveragePrecision
from turns import alternating_medians

NAMES = [f"class {k}" for k in range(20)]
TAXONOMY = plain_taxonomy(NAMES, things=NAMES)
SIZE, THINGS, DETECTIONS = (480, 640), 8, 100


def scene(random: np.random.Generator) -> tuple[list[Instance], PanopticMap]:
    """Ellipses of a few hundred bytes of run lengths; detections are copies moved by a few pixels, half misnamed."""
    y, x = np.mgrid[: SIZE[0], : SIZE[1]].astype(np.float32)
    ids = np.zeros(SIZE, np.int32)
    for segment_id in range(1, THINGS + 1):
        center, radius = random.uniform(0, SIZE), random.uniform(10, 150, 2)
        ids[((y - center[0]) / radius[0]) ** 2 + ((x - center[1]) / radius[1]) ** 2 < 1] = segment_id
    present = [int(i) for i in np.unique(ids) if i]
    table = tuple(Segment(i, int(random.integers(len(TAXONOMY)))) for i in present)

    instances: list[Instance] = []
    while len(instances) < DETECTIONS:
        moved = np.roll(ids, random.integers(-15, 16, 2), axis=(0, 1))
        for segment, mask in zip(table, encode_segments(moved, present), strict=True):
            right = random.random() < 0.5
            class_index = segment.class_index if right else int(random.integers(len(TAXONOMY)))
            instances.append(Instance(class_index, float(random.random()), mask))
    return instances[:DETECTIONS], PanopticMap(ids, table)


def ours(predictions: list, targets: list) -> AveragePrecisionResult:
    return filled(predictions, targets).compute()


def filled(predictions: list, targets: list) -> MaskAveragePrecision:
    metric = MaskAveragePrecision(TAXONOMY)
    metric.update(predictions, targets)
    return metric


def reference_truth(targets: list[PanopticMap]) -> COCO:
    annotations = []
    for image_id, target in enumerate(targets, start=1):
        masks = encode_segments(target.ids, [s.id for s in target.segments])
        for segment, mask in zip(target.segments, masks, strict=True):
            row = {"image_id": image_id, "category_id": segment.class_index + 1, "segmentation": mask, "iscrowd": 0}
            annotations.append(row | {"id": len(annotations) + 1, "area": int((target.ids == segment.id).sum())})
    coco = COCO()
    coco.dataset = {
        "info": {},
        "images": [{"id": n + 1, "height": SIZE[0], "width": SIZE[1]} for n in range(len(targets))],
        "categories": [{"id": k + 1, "name": name} for k, name in enumerate(NAMES)],
        "annotations": annotations,
    }
    coco.createIndex()
    return coco


def detections(predictions: list[list[Instance]]) -> list[dict]:
    return [
        {"image_id": image_id, "category_id": i.class_index + 1, "score": i.score, "segmentation": i.mask}
        for image_id, instances in enumerate(predictions, start=1)
        for i in instances
    ]


def by_hotcoco(predictions: list[list[Instance]], truth: COCO) -> list[float]:
    known = hotcoco.COCO(truth.dataset)
    evaluator = hotcoco.COCOeval(known, known.load_res(detections(predictions)), "segm")
    evaluator.evaluate()
    evaluator.accumulate()
    evaluator.summarize()
    return list(evaluator.stats)


def reference(predictions: list[list[Instance]], truth: COCO) -> list[float]:
    evaluator = COCOeval(truth, truth.loadRes(detections(predictions)), "segm")
    evaluator.evaluate()
    evaluator.accumulate()
    evaluator.summarize()
    return evaluator.stats.tolist()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=200)
    parser.add_argument("--repeats", type=int, default=3)
    arguments = parser.parse_args()
    torch.set_num_threads(1)

    random = np.random.default_rng(0)
    predictions, targets = map(list, zip(*(scene(random) for _ in range(arguments.images)), strict=True))
    with contextlib.redirect_stdout(io.StringIO()):  # pycocotools prints its progress and its table
        truth = reference_truth(targets)
        wanted = reference(predictions, truth)
        calls = {
            "pantile": lambda: ours(predictions, targets),
            "pantile, update only": lambda: filled(predictions, targets),
            "pycocotools": lambda: reference(predictions, truth),
        }
        if hotcoco is not None:
            calls["hotcoco"] = lambda: by_hotcoco(predictions, truth)
        seconds = alternating_medians(calls, arguments.repeats)
    got = list(ours(predictions, targets).to_dict()["instance"].values())[:12]
    claims = Claims()
    difference = max(abs(a - b) for a, b in zip(got, wanted, strict=True))
    claims.at_most("largest difference of the twelve numbers", difference, 1e-6)
    held = sum(
        t.nbytes
        for name in ("images", "masks", "scores", "run_lengths")
        for t in getattr(filled(predictions, targets), name)
    )
    print(f"held for {arguments.images} images: {held / 2**20:.1f} MiB")
    for name, value in seconds.items():
        print(f"{name:22s} {value:7.2f} s   {value / seconds['pycocotools']:.3f} of pycocotools")
    claims.finish()


if __name__ == "__main__":
    main()
