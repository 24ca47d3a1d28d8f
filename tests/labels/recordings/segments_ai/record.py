"""Records a release of Segments.ai with segments-ai 1.33.0: ``python record.py OUT``.

The release file is in the form that its server gives and the package's ``SegmentsDataset`` takes. Bitmaps are made by
``bitmap2file``, as for an upload, and come to disk through the package's own download, from a server on this machine.
The package's COCO-panoptic export is the expected map.
"""

import functools
import http.server
import json
import shutil
import sys
import tempfile
import threading
from pathlib import Path

import numpy as np
from PIL import Image
from segments import SegmentsDataset
from segments.utils import bitmap2file, export_dataset

OUT = Path(sys.argv[1])
HEIGHT, WIDTH = 30, 48
first = np.zeros((HEIGHT, WIDTH), dtype=np.uint32)
first[20:] = 1
first[3:12, 4:14] = first[5:8, 20:25] = 2
first[5:8, 7:10] = 0
first[8:24, 28:40] = 300
first[25:28, 2:9] = 3
second = np.zeros((HEIGHT, WIDTH), dtype=np.uint32)
second[:10] = 4
categories = [
    {"id": 0, "name": "road", "color": [90, 90, 90], "has_instances": False},
    {"id": 1, "name": "cat", "color": [200, 0, 0], "has_instances": True},
    {"id": 7, "name": "tree", "color": [0, 160, 0], "has_instances": True},
]
rows = {
    "a.png": (first, [(1, 0), (2, 1), (300, 7), (3, 1)]),
    "b.png": (second, [(4, 7)]),
}

with tempfile.TemporaryDirectory() as served:
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=served)
    handler.log_message = lambda *_: None
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    address = f"http://127.0.0.1:{server.server_port}"
    samples = []
    for name, (bitmap, annotations) in rows.items():
        stem = Path(name).stem
        Image.new("RGB", (WIDTH, HEIGHT), (60, 120, 180)).save(Path(served, name))
        Path(served, f"{stem}_bitmap.png").write_bytes(bitmap2file(bitmap).read())
        label = {
            "label_status": "LABELED",
            "attributes": {
                "annotations": [{"id": i, "category_id": c} for i, c in annotations],
                "segmentation_bitmap": {"url": f"{address}/{stem}_bitmap.png"},
                "format_version": "0.1",
            },
        }
        image = {"image": {"url": f"{address}/{name}"}}
        samples.append(
            {"uuid": stem, "name": name, "attributes": image, "metadata": {}, "labels": {"ground-truth": label}}
        )
    samples.append(samples[0] | {"uuid": "c", "name": "c.png", "labels": {"ground-truth": None}})
    dataset = {
        "name": "yard",
        "owner": "owner",
        "task_type": "segmentation-bitmap",
        "task_attributes": {"format_version": "0.1", "categories": categories},
        "labelsets": [{"name": "ground-truth", "description": ""}],
        "samples": samples,
    }
    release = {"name": "v1", "description": "", "created_at": "2026-11-30T00:00:00Z", "dataset": dataset}
    Path(served, "release.json").write_text(json.dumps(release))
    work = Path(served, "segments")
    opened = SegmentsDataset(str(Path(served, "release.json")), segments_dir=str(work))
    export_dataset(opened, export_folder=str(Path(served, "export")), export_format="coco-panoptic")
    server.shutdown()
    shutil.rmtree(OUT / "segments", ignore_errors=True)
    shutil.copytree(work, OUT / "segments")
    text = Path(served, "release.json").read_text().replace(address, "https://storage.example")
    (OUT / "yard-v1.json").write_text(text)
    for name in ("a", "b"):
        Path(OUT / f"{name}_bitmap.png").write_bytes(Path(served, f"{name}_bitmap.png").read_bytes())
    shutil.rmtree(OUT / "coco_panoptic", ignore_errors=True)
    shutil.copytree(Path(served, "export"), OUT / "coco_panoptic")
