"""Counting one pair of panoptic maps in memory, against np.unique alone and torchmetrics' PanopticQuality.

Claims, for 480 x 640 pixels with a dozen segments: at most 0.6 of the time of one ``np.unique(gt * 2**24 + pred)``
with counts (the heart of the reference evaluation, without its decoding and its second unique; without counts NumPy
takes another, here slower, path), and under 1/200 of torchmetrics.

    python benchmarks/pq_counting.py

Medians of alternating runs in one process with two threads.
"""

import argparse

import numpy as np
import torch
from torchmetrics.detection import PanopticQuality as TorchmetricsPanopticQuality

from claims import Claims
from pantile.contracts.panoptic import PanopticMap, Segment
from pantile.contracts.taxonomy import plain_taxonomy
from pantile.metrics import PanopticQuality, count_pair
from turns import alternating_medians

TAXONOMY = plain_taxonomy([f"class {k}" for k in range(8)], things=[f"class {k}" for k in range(5)])


def tiled_map(seed: int, segments: int, size: tuple[int, int], shift: int = 0) -> PanopticMap:
    """Regions around random centres, with ids up to 2**24 as files have them; a strip of void."""
    random = np.random.default_rng(seed)
    height, width = size
    centres = random.random((segments, 2)) * (height, width) + shift
    rows, columns = np.mgrid[:height, :width]
    distance = [(rows - y) ** 2 + (columns - x) ** 2 for y, x in centres]
    ids = random.choice(np.arange(1, 2**24), segments, replace=False).astype(np.int32)
    label = ids[np.argmin(distance, axis=0)]
    label[: height // 20] = 0
    present = set(np.unique(label).tolist())
    rows = tuple(Segment(int(i), k % len(TAXONOMY)) for k, i in enumerate(ids) if int(i) in present)
    return PanopticMap(label, rows)


def noise_map(seed: int, size: tuple[int, int]) -> PanopticMap:
    """Every pixel its own run."""
    ids = np.random.default_rng(seed).integers(1, 500, size, dtype=np.int32)
    return PanopticMap(ids, tuple(Segment(int(i), int(i) % len(TAXONOMY)) for i in np.unique(ids)))


def torchmetrics_input(panoptic: PanopticMap) -> torch.Tensor:
    """(1, H, W, 2): category and instance of each pixel, stuff without instance; void is category 8."""
    out = torch.full((1, *panoptic.size, 2), len(TAXONOMY), dtype=torch.int64)
    out[..., 1] = 0
    for segment in panoptic.segments:
        mask = torch.from_numpy(panoptic.ids == segment.id)
        out[0, mask, 0] = segment.class_index
        out[0, mask, 1] = segment.id if TAXONOMY.classes[segment.class_index].is_thing else 0
    return out


def report(title: str, calls: dict, repeats: int, baseline: str) -> dict[str, float]:
    """Times as shares of the baseline's."""
    print(title)
    seconds = alternating_medians(calls, repeats)
    for name, value in seconds.items():
        print(f"  {name:24s} {1000 * value:10.3f} ms   {value / seconds[baseline]:9.4f} of {baseline}")
    return {name: value / seconds[baseline] for name, value in seconds.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=101)
    repeats = parser.parse_args().repeats
    torch.set_num_threads(2)

    gt = tiled_map(0, segments=12, size=(480, 640))
    pred = tiled_map(0, segments=12, size=(480, 640), shift=9)
    metric = PanopticQuality(TAXONOMY)
    counting = {
        "count_pair": lambda: count_pair(pred, gt),
        "PanopticQuality.update": lambda: metric.update(pred, gt),
        "np.unique": lambda: np.unique(gt.ids.astype(np.int64) * 2**24 + pred.ids, return_counts=True),
        "np.unique, no counts": lambda: np.unique(gt.ids.astype(np.int64) * 2**24 + pred.ids),
    }
    claims = Claims()
    shares = report("480x640, a dozen segments", counting, repeats, "np.unique")
    claims.at_most("count_pair / np.unique with counts", shares["count_pair"], 0.6)

    noisy_gt, noisy_pred = noise_map(1, (480, 640)), noise_map(2, (480, 640))
    noise = {
        "count_pair": lambda: count_pair(noisy_pred, noisy_gt),
        "np.unique": lambda: np.unique(noisy_gt.ids.astype(np.int64) * 2**24 + noisy_pred.ids, return_counts=True),
    }
    report("480x640, noise: every pixel its own run", noise, max(3, repeats // 10), "np.unique")

    theirs = TorchmetricsPanopticQuality(
        things=set(TAXONOMY.thing_indices), stuffs=set(TAXONOMY.stuff_indices), allow_unknown_preds_category=True
    )
    pred_tensor, gt_tensor = torchmetrics_input(pred), torchmetrics_input(gt)
    against = {
        "count_pair": lambda: count_pair(pred, gt),
        "torchmetrics update": lambda: theirs.update(pred_tensor, gt_tensor),
    }
    shares = report("480x640, a dozen segments", against, max(3, repeats // 20), "torchmetrics update")
    claims.at_most("count_pair / torchmetrics", shares["count_pair"], 1 / 200)
    claims.finish()


if __name__ == "__main__":
    main()
