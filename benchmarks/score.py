"""Scoring files: speed against the reference evaluation's loop, and memory over as many pairs as COCO's val split has.

Claims, on two cores: from PNG, with every number that ``pantile score`` prints, 480 x 640 pairs at least 1.35 times as
fast as the reference's loop (PQ alone) on one core and 2.6 times on two; 1024 x 2048 pairs at least 1.4 times on one
core; counting one 480 x 640 pair in memory at most 0.6 ms; 5,000 pairs in less than 200 MB.

    python benchmarks/score.py

Medians of alternating runs in one process. The memory is that of a ``pantile score`` with two workers: the greatest sum
over its processes of their proportional share (PSS), polled.
"""

import argparse
import json
import math
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

from claims import Claims
from pantile.contracts.panoptic import PanopticMap, ids_to_rgb
from pantile.metrics.pair_counts import count_pair
from pantile.score import CocoMaps, Job, score
from pq_counting import TAXONOMY, tiled_map
from turns import alternating_medians


def write_pairs(folder: Path, size: tuple[int, int], segments: int, files: int, pairs: int) -> tuple[Path, Path]:
    """Two JSON files of ``pairs`` annotations, whose PNGs are links to ``files`` of them. Returns ground truth and
    predictions."""
    paths = []
    for name, shift in (("gt", 0), ("pred", 9)):
        (folder / name).mkdir(parents=True)
        rows = []
        for seed in range(files):
            panoptic = tiled_map(seed, segments, size, shift)
            Image.fromarray(ids_to_rgb(panoptic.ids)).save(folder / name / f"{seed}.png")
            rows.append(segments_info(panoptic))
        for n in range(files, pairs):
            os.link(folder / name / f"{n % files}.png", folder / name / f"{n}.png")
        annotations = [{"image_id": n, "file_name": f"{n}.png", "segments_info": rows[n % files]} for n in range(pairs)]
        paths.append(folder / f"{name}.json")
        paths[-1].write_text(json.dumps({"categories": TAXONOMY.to_coco(), "annotations": annotations}))
    return paths[0], paths[1]


def segments_info(panoptic: PanopticMap) -> list[dict]:
    return [
        {
            "id": s.id,
            "category_id": TAXONOMY.classes[s.class_index].id,
            "iscrowd": 0,
            "area": int((panoptic.ids == s.id).sum()),
            "bbox": [0, 0, 1, 1],
        }
        for s in panoptic.segments
    ]


def reference_loop(gt_json: Path, pred_json: Path) -> dict[int, list[float]]:
    """What the reference evaluation does with each pair, restated: the same arrays, passes and numpy scalars as keys.

    Returns:
        Category -> summed IoU, TP, FP, FN.
    """
    truths = json.loads(gt_json.read_text())["annotations"]
    predictions = {a["image_id"]: a for a in json.loads(pred_json.read_text())["annotations"]}
    sums: dict[int, list[float]] = {c.id: [0.0, 0, 0, 0] for c in TAXONOMY.classes}
    for truth in truths:
        prediction = predictions[truth["image_id"]]
        gt_map, pred_map = (
            _ids(path.with_suffix("") / annotation["file_name"])
            for path, annotation in ((gt_json, truth), (pred_json, prediction))
        )
        gt_rows = {row["id"]: row for row in truth["segments_info"]}
        pred_rows = {row["id"]: row for row in prediction["segments_info"]}
        listed = set(pred_rows)
        for value, area in zip(*np.unique(pred_map, return_counts=True), strict=True):
            if value == 0 and value not in pred_rows:
                continue
            pred_rows[value]["area"] = area
            listed.remove(value)
        assert not listed
        joined, areas = np.unique(gt_map.astype(np.uint64) * 2**24 + pred_map.astype(np.uint64), return_counts=True)
        shared = {}
        for value, area in zip(joined, areas, strict=True):
            shared[value // 2**24, value % 2**24] = area
        gt_found, pred_found = set(), set()
        for (gt_id, pred_id), area in shared.items():
            if gt_id not in gt_rows or pred_id not in pred_rows or gt_rows[gt_id]["iscrowd"] == 1:
                continue
            category = gt_rows[gt_id]["category_id"]
            if category != pred_rows[pred_id]["category_id"]:
                continue
            union = pred_rows[pred_id]["area"] + gt_rows[gt_id]["area"] - area - shared.get((0, pred_id), 0)
            if area / union > 0.5:
                sums[category][0] += area / union
                sums[category][1] += 1
                gt_found.add(gt_id)
                pred_found.add(pred_id)
        crowds = {}
        for gt_id, row in gt_rows.items():
            if gt_id in gt_found:
                continue
            if row["iscrowd"] == 1:
                crowds[row["category_id"]] = gt_id
            else:
                sums[row["category_id"]][3] += 1
        for pred_id, row in pred_rows.items():
            if pred_id in pred_found:
                continue
            excused = shared.get((0, pred_id), 0) + shared.get((crowds.get(row["category_id"], -1), pred_id), 0)
            if excused / row["area"] <= 0.5:
                sums[row["category_id"]][2] += 1
    return sums


def _ids(path: Path) -> np.ndarray:
    rgb = np.array(Image.open(path), dtype=np.uint32)
    return rgb[:, :, 0] + 256 * rgb[:, :, 1] + 256 * 256 * rgb[:, :, 2]


def ours(gt_json: Path, pred_json: Path, workers: int):
    truth = CocoMaps(gt_json)
    return score(Job(truth, CocoMaps(pred_json, taxonomy=truth.taxonomy)), workers)


def check_equal(gt_json: Path, pred_json: Path) -> None:
    """A comparison of speeds means nothing unless both count the same."""
    wanted, found = reference_loop(gt_json, pred_json), ours(gt_json, pred_json, workers=1).quality.per_class
    for info in TAXONOMY.classes:
        iou, tp, fp, fn = wanted[info.id]
        row = found[info.name]
        assert [tp, fp, fn] == [row.tp, row.fp, row.fn], info.name
        assert not tp or math.isclose(row.sq, iou / tp, rel_tol=1e-12), info.name  # its sum is rounded at every step


def compare_speed(
    title: str, size: tuple[int, int], segments: int, pairs: int, rounds: int, folder: Path
) -> dict[str, float]:
    """How many times as fast as the reference's loop each way is."""
    paths = write_pairs(folder, size, segments, files=min(pairs, 24), pairs=pairs)
    check_equal(*paths)
    calls = {
        "reference loop, PQ alone": lambda: reference_loop(*paths),
        "pantile score, one process": lambda: ours(*paths, workers=1),
        "pantile score, two workers": lambda: ours(*paths, workers=2),
    }
    seconds = alternating_medians(calls, rounds)
    print(f"{title}, {pairs} pairs from PNG")
    times = {name: seconds[next(iter(calls))] / value for name, value in seconds.items()}
    for name, value in seconds.items():
        print(f"  {name:28s} {1000 * value / pairs:8.2f} ms a pair   {times[name]:5.2f} times")
    return times


def peak_memory(folder: Path, pairs: int) -> tuple[float, float]:
    """Peak of the summed PSS of all processes in MB, and seconds."""
    gt_json, pred_json = write_pairs(folder, (480, 640), 12, files=24, pairs=pairs)
    code = "import sys; from pantile.cli.main import main; sys.exit(main(sys.argv[1:]))"
    command = [sys.executable, "-c", code, "score", "--gt", gt_json, "--pred", pred_json, "--workers", "2"]
    start, peak = time.perf_counter(), 0
    with subprocess.Popen([str(c) for c in command], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        while process.poll() is None:
            peak = max(peak, sum(map(_pss_kb, [process.pid, *_children(process.pid)])))
            time.sleep(0.2)
    assert process.returncode == 0
    return peak / 1024, time.perf_counter() - start


def _children(pid: int) -> list[int]:
    try:
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:  # it ended between two looks
        return []


def _pss_kb(pid: int) -> int:
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith("Pss:")), 0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=5000, help="of the memory measurement (default: 5000)")
    parser.add_argument("--small", type=int, default=192, help="480x640 pairs (default: 192)")
    parser.add_argument("--large", type=int, default=32, help="1024x2048 pairs (default: 32)")
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    os.environ.setdefault("OMP_NUM_THREADS", "1")

    gt, pred = tiled_map(0, 12, (480, 640)), tiled_map(0, 12, (480, 640), shift=9)
    counting = alternating_medians({"count_pair": lambda: count_pair(pred, gt)}, 20 * args.rounds + 1)
    claims = Claims()
    claims.at_most("ms to count one 480x640 pair in memory", 1000 * counting["count_pair"], 0.6)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        small = compare_speed("480x640", (480, 640), 12, args.small, args.rounds, folder / "small")
        large = compare_speed("1024x2048", (1024, 2048), 50, args.large, args.rounds, folder / "large")
        claims.at_least("480x640, one process: times", small["pantile score, one process"], 1.35)
        claims.at_least("480x640, two workers: times", small["pantile score, two workers"], 2.6)
        claims.at_least("1024x2048, one process: times", large["pantile score, one process"], 1.4)
        peak, seconds = peak_memory(folder / "many", args.pairs)
        claims.at_most(f"MB in all processes, {args.pairs} pairs in {seconds:.0f} s,", peak, 200)
    claims.finish()


if __name__ == "__main__":
    main()
