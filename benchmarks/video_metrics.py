"""Video metrics: STQ of 8 frames of 1024 x 2048 against a plain statement of its definition.

Claims, on one core: the same numbers in at most 0.1 of the time; a film of 200 frames is counted in memory that does
not grow with its length.

    python benchmarks/video_metrics.py

Medians of alternating runs in one process. The plain statement (``plain_stq.py``) is what the tests hold STQ against.
"""

import argparse
import os
import tracemalloc

import numpy as np

from claims import Claims
from pantile.contracts.panoptic import PanopticMap, Segment
from pantile.contracts.taxonomy import plain_taxonomy
from pantile.metrics import SegmentationTrackingQuality, VideoConsistency, VideoPanopticQuality, semantic_of
from plain_stq import plain_stq
from turns import alternating_medians

NAMES = [f"c{k}" for k in range(19)]
THINGS = tuple(range(11, 19))  # as in Cityscapes
TAXONOMY = plain_taxonomy(NAMES, things=[NAMES[k] for k in THINGS])


def drawn_frame(frame: int, shift: int, size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Class and instance: bands of stuff and ellipses of things that move by some pixels a frame."""
    height, width = size
    y, x = np.ogrid[:height, :width]
    classes = np.broadcast_to(((y + shift) * 11 // (height + shift)).clip(0, 10), size).astype(np.int32).copy()
    instances = np.zeros(size, np.int32)
    random = np.random.default_rng(0)
    for number in range(1, 41):
        top, left = random.integers(0, height), random.integers(0, width)
        tall, wide = random.integers(height // 60, height // 8), random.integers(width // 60, width // 8)
        inside = ((y - top - shift) / tall) ** 2 + ((x - (left + 6 * frame + shift) % width) / wide) ** 2 < 1
        classes[inside], instances[inside] = THINGS[number % len(THINGS)], number
    return classes, instances


def panoptic(classes: np.ndarray, instances: np.ndarray) -> PanopticMap:
    ids = ((classes + 1) << 16) + instances
    rows = (Segment(int(i), (int(i) >> 16) - 1) for i in np.unique(ids))
    return PanopticMap(ids, tuple(rows))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--frames", type=int, default=8)
    parser.add_argument("--size", type=int, nargs=2, default=(1024, 2048), metavar=("H", "W"))
    args = parser.parse_args()
    os.environ.setdefault("OMP_NUM_THREADS", "1")

    size = tuple(args.size)
    arrays = [(*drawn_frame(t, 0, size), *drawn_frame(t, 3, size)) for t in range(args.frames)]
    truths = [panoptic(gt_class, gt_instance) for gt_class, gt_instance, _, _ in arrays]
    predictions = [panoptic(pred_class, pred_instance) for _, _, pred_class, pred_instance in arrays]

    def ours() -> dict[str, float]:
        metric = SegmentationTrackingQuality(TAXONOMY)
        metric.update(predictions, truths, 0)
        result = metric.compute().all
        return {"STQ": result.stq, "AQ": result.aq, "SQ": result.sq}

    def plain() -> dict[str, float]:
        return plain_stq([arrays], len(TAXONOMY), THINGS)

    def tubes() -> None:
        metric = VideoPanopticQuality(TAXONOMY)
        metric.update(predictions, truths, 0)
        metric.compute()

    def consistency() -> None:
        metric = VideoConsistency(TAXONOMY, (2, 4))
        metric.update([semantic_of(p, TAXONOMY) for p in predictions], truths, 0)
        metric.compute()

    found, wanted = ours(), plain()
    assert all(abs(found[key] - wanted[key]) < 1e-12 for key in wanted), (found, wanted)
    calls = {"plain statement of STQ": plain, "STQ": ours, "VPQ, four windows": tubes, "VC2 and VC4": consistency}
    seconds = alternating_medians(calls, args.rounds)
    print(f"{args.frames} frames of {size[0]} x {size[1]}, STQ {found['STQ']:.4f}")
    for name, value in seconds.items():
        print(f"  {name:24s} {1000 * value:9.1f} ms")
    claims = Claims()
    share = seconds["STQ"] / seconds["plain statement of STQ"]
    claims.at_most("STQ, share of the time of the plain statement", share, 0.1)
    claims.at_most("rise of memory from frame 100 to 200 of a film, bytes", rise_of_memory(), 20_000)
    claims.finish()


def rise_of_memory() -> int:
    """Of all three metrics of maps, over 100 more frames of a film."""
    size = (64, 128)
    stq, vpq = SegmentationTrackingQuality(TAXONOMY), VideoPanopticQuality(TAXONOMY)
    vc = VideoConsistency(TAXONOMY)
    held = {}
    tracemalloc.start()
    for frame in range(201):
        truth, prediction = (panoptic(*drawn_frame(frame % 25, shift, size)) for shift in (0, 3))
        stq.update(prediction, truth, 0)
        vpq.update(prediction, truth, 0)
        vc.update([semantic_of(prediction, TAXONOMY)], truth, 0)
        held[frame] = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    return held[200] - held[100]


if __name__ == "__main__":
    main()
