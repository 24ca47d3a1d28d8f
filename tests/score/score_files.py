"""COCO-panoptic files of a few maps, written plainly, and their score."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path

from PIL import Image

from pantile.contracts.panoptic import PanopticMap, ids_to_rgb
from pantile.contracts.taxonomy import Taxonomy
from pantile.score import CocoMaps, Job, Score, score


def write_maps(folder: Path, name: str, maps: Sequence[PanopticMap], taxonomy: Taxonomy) -> Path:
    """``folder/name.json`` and ``folder/name/*.png``; image ids count from 0."""
    (folder / name).mkdir(parents=True, exist_ok=True)
    annotations = []
    for number, panoptic in enumerate(maps):
        Image.fromarray(ids_to_rgb(panoptic.ids)).save(folder / name / f"{number:03}.png", compress_level=1)
        rows = [
            {
                "id": s.id,
                "category_id": taxonomy.classes[s.class_index].id,
                "iscrowd": int(s.is_crowd),
                "area": int((panoptic.ids == s.id).sum()),
                "bbox": [0, 0, 1, 1],
            }
            for s in panoptic.segments
        ]
        annotations.append({"image_id": number, "file_name": f"{number:03}.png", "segments_info": rows})
    path = folder / f"{name}.json"
    path.write_text(json.dumps({"categories": taxonomy.to_coco(), "annotations": annotations}))
    return path


def edit(path: Path, change: Callable[[dict], object]) -> None:
    """Rewrites a JSON after ``change`` has altered its content in place."""
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


def scored(gt: Path, pred: Path, workers: int = 1, limit: int | None = None) -> Score:
    truth = CocoMaps(gt)
    return score(Job(truth, CocoMaps(pred, taxonomy=truth.taxonomy), limit), workers)
