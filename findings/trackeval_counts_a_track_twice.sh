#!/usr/bin/env bash
# A guess: TrackEval's TrackMAP scores YouTube-VIS results as COCO's protocol does: a true track is found once, and a
# second prediction of it is a mistake.
# What happens: it numbers predicted tracks from 0 and takes a true track for free unless the number of its match is
# above 0, so what the first track of the results file has found is found again by every copy. Recall goes above 1, and
# AP with it; the same tracks in another order get another score. A tracker whose best track is predicted twice (usual
# for queries) is told that it is perfect. A video of one frame is an image, on which pycocotools counts the copy.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check trackeval==1.3.0 pycocotools==2.0.11 numpy==2.4.6
cd "$work"
"$work/venv/bin/python" - <<'PY'
import contextlib
import io
import json
from importlib.metadata import version
from pathlib import Path

import numpy as np
import trackeval
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

SIZE = [8, 8]


def rows(first, last):
    """Some rows of the only frame, as an uncompressed run-length encoding (which runs down the columns)."""
    mask = np.zeros(SIZE, int)
    mask[first:last] = 1
    flat = mask.reshape(-1, order="F")
    counts = np.diff([0, *np.flatnonzero(np.diff(flat, prepend=0)), flat.size]).tolist()
    return {"size": SIZE, "counts": counts}


def compressed(rle):
    from pycocotools.mask import frPyObjects

    packed = frPyObjects(rle, *SIZE)
    return {"size": SIZE, "counts": packed["counts"].decode()}


upper, lower = rows(0, 4), rows(4, 8)
truths = [(1, upper), (2, lower)]
results = [(0.9, upper), (0.8, upper), (0.7, lower)]  # the upper one twice: 2 of 3 are right

video = {"id": 1, "width": 8, "height": 8, "length": 1, "file_names": ["a/00000.jpg"]}
truth = {
    "videos": [video],
    "categories": [{"id": 1, "name": "cat"}],
    "annotations": [
        {"id": n, "video_id": 1, "category_id": 1, "iscrowd": 0, "width": 8, "height": 8, "segmentations": [m], "areas": [32]}
        for n, m in truths
    ],
}
Path("gt/youtube_vis_train_sub_split").mkdir(parents=True)
Path("gt/youtube_vis_train_sub_split/train_sub_split.json").write_text(json.dumps(truth))


def by_trackeval(name, ordered):
    folder = Path("trackers/youtube_vis_train_sub_split") / name / "data"
    folder.mkdir(parents=True)
    tracks = [{"video_id": 1, "category_id": 1, "score": s, "segmentations": [compressed(m)]} for s, m in ordered]
    (folder / "results.json").write_text(json.dumps(tracks))
    with contextlib.redirect_stdout(io.StringIO()):
        data = trackeval.datasets.YouTubeVIS(
            {"GT_FOLDER": "gt/", "TRACKERS_FOLDER": "trackers/", "TRACKERS_TO_EVAL": [name], "PRINT_CONFIG": False}
        )
        quiet = dict.fromkeys(("PRINT_RESULTS", "PRINT_CONFIG", "TIME_PROGRESS", "OUTPUT_SUMMARY"), False)
        quiet |= dict.fromkeys(("OUTPUT_DETAILED", "PLOT_CURVES", "OUTPUT_EMPTY_CLASSES"), False)
        metric = trackeval.metrics.TrackMAP({"PRINT_CONFIG": False, "USE_TIME_RANGES": False})
        values, _ = trackeval.Evaluator(quiet | {"BREAK_ON_ERROR": True}).evaluate([data], [metric])
    values = values["YouTubeVIS"][name]["COMBINED_SEQ"]["cat"]["TrackMAP"]
    return float(np.mean(values["AP_all"])), float(np.mean(values["AR_all"]))


def by_pycocotools():
    shared = {"images": [{"id": 1, "height": 8, "width": 8}], "categories": truth["categories"]}
    gt = COCO()
    gt.dataset = shared | {
        "annotations": [
            {"id": n, "image_id": 1, "category_id": 1, "iscrowd": 0, "area": 32, "segmentation": m} for n, m in truths
        ]
    }
    with contextlib.redirect_stdout(io.StringIO()):
        gt.createIndex()
        found = gt.loadRes(
            [{"image_id": 1, "category_id": 1, "score": s, "segmentation": compressed(m)} for s, m in results]
        )
        evaluation = COCOeval(gt, found, "segm")
        evaluation.evaluate(), evaluation.accumulate(), evaluation.summarize()
    return float(evaluation.stats[0]), float(evaluation.stats[8])


first, last = by_trackeval("first", results), by_trackeval("last", results[::-1])
wanted = by_pycocotools()
print("trackeval", version("trackeval"), "- AP and recall of three tracks, of which two are the same:")
print("  the copied track first in the file:", [round(v, 3) for v in first])
print("  the same tracks in reverse order:  ", [round(v, 3) for v in last])
print("  pycocotools on the only frame:     ", [round(v, 3) for v in wanted])
assert first == (1.0, 1.5), first
assert np.allclose(last, wanted) and 0.8 < wanted[0] < 0.9 and wanted[1] == 1
PY
