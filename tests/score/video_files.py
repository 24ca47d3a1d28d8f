"""Videos in the layouts of data sets, as those describe them."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from pantile.contracts.panoptic import PanopticMap, ids_to_rgb
from pantile.contracts.taxonomy import Taxonomy

Videos = dict[str, Sequence[PanopticMap]]


def _png(values: np.ndarray, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(values).save(path, compress_level=1)


def _rows(panoptic: PanopticMap, taxonomy: Taxonomy) -> list[dict]:
    return [
        {
            "id": s.id,
            "category_id": taxonomy.classes[s.class_index].id,
            "iscrowd": int(s.is_crowd),
            "area": int((panoptic.ids == s.id).sum()),
        }
        for s in panoptic.segments
    ]


def write_vipseg(folder: Path, videos: Videos, taxonomy: Taxonomy, truth: bool) -> Path:
    """``panoptic_gt_VIPSeg_val.json`` and ``panomasksRGB``, or ``pred.json`` and ``pan_pred``."""
    pngs = folder / ("panomasksRGB" if truth else "pan_pred")
    content: dict = {"videos": [], "annotations": []}
    for name, frames in videos.items():
        annotations = []
        for number, panoptic in enumerate(frames):
            file_name = f"{number:08}.png"
            _png(ids_to_rgb(panoptic.ids), pngs / name / file_name)
            rows = _rows(panoptic, taxonomy)
            annotations.append({"image_id": str(number), "file_name": file_name, "segments_info": rows})
        content["videos"].append({"video_id": name, "images": [{"id": a["image_id"]} for a in annotations]})
        content["annotations"].append({"video_id": name, "annotations": annotations})
    if truth:
        content["categories"] = taxonomy.to_coco()
    else:
        del content["videos"]
    path = folder / ("panoptic_gt_VIPSeg_val.json" if truth else "pred.json")
    path.write_text(json.dumps(content))
    return path


def write_cityscapes_vps(folder: Path, videos: Videos, taxonomy: Taxonomy, truth: bool) -> Path:
    """``panoptic_gt_val_city_vps.json`` and ``val/panoptic_video``, or ``pred.json`` and ``pan_pred``."""
    pngs = folder / ("val/panoptic_video" if truth else "pan_pred")
    annotations, images = [], []
    for name, frames in videos.items():
        for number, panoptic in enumerate(frames):
            image_id = f"{name}_{5 * number:04}_frankfurt_000000_{number:06}"
            _png(ids_to_rgb(panoptic.ids), pngs / f"{image_id}{'_final_mask' if truth else ''}.png")
            annotations.append({"image_id": image_id, "segments_info": _rows(panoptic, taxonomy)})
            images.append({"id": image_id, "file_name": f"{image_id}_newImg8bit.png"})
    content = {"images": images, "annotations": annotations, "categories": taxonomy.to_coco()}
    path = folder / ("panoptic_gt_val_city_vps.json" if truth else "pred.json")
    path.write_text(json.dumps(content if truth else {"annotations": annotations}))
    return path


def write_step(folder: Path, videos: Videos, taxonomy: Taxonomy) -> Path:
    """``<sequence>/<frame>.png``: red the class, green and blue the instance, which is the lower half of an id."""
    for name, frames in videos.items():
        for number, panoptic in enumerate(frames):
            colours = np.full((*panoptic.size, 3), (255, 0, 0), np.uint8)
            for segment in panoptic.segments:
                label, instance = taxonomy.classes[segment.class_index].id, segment.id & 0xFFFF
                colours[panoptic.ids == segment.id] = (label, instance // 256, instance % 256)
            _png(colours, folder / name / f"{number:06}.png")
    return folder


def write_class_pngs(folder: Path, videos: dict[str, np.ndarray], inner: str = "", first: int = 0) -> Path:
    """``<video>/[mask/]<frame>.png`` of (T, H, W) class indices, -1 for void."""
    for name, frames in videos.items():
        for number, classes in enumerate(frames):
            values = np.where(classes < 0, 255 if first == 0 else 0, classes + first).astype(np.uint8)
            _png(values, folder / name / inner / f"{number:08}.png")
    return folder


def edit(path: Path, change) -> None:
    """Rewrites a JSON after ``change`` has altered its content in place."""
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))
