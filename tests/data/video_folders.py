"""Writes videos in the official layouts of data sets, by their descriptions."""

import json
from pathlib import Path

import numpy as np
from pycocotools import mask as coco_mask

from data.official_folders import photo, save
from pantile.contracts.panoptic import PanopticMap, ids_to_rgb
from pantile.contracts.taxonomy import Taxonomy

Videos = dict[str, list[PanopticMap]]


def _rows(panoptic: PanopticMap, taxonomy: Taxonomy) -> list[dict]:
    return [
        {"id": s.id, "category_id": taxonomy.classes[s.class_index].id, "iscrowd": int(s.is_crowd), "area": 1}
        for s in panoptic.segments
    ]


def write_kitti_step(root: Path, split: str, videos: Videos) -> None:
    """Of maps with ids 65536 (class + 1) + number."""
    for name, frames in videos.items():
        for number, panoptic in enumerate(frames):
            file = f"{split}/{name}/{number:06}.png"
            stored = np.zeros((*panoptic.size, 3), dtype=np.uint8)
            stored[..., 0] = np.where(panoptic.ids == 0, 255, (panoptic.ids >> 16) - 1)
            stored[..., 1], stored[..., 2] = (panoptic.ids >> 8) & 255, panoptic.ids & 255
            save(stored, root / "panoptic_maps" / file)
            save(photo(panoptic.size, number), root / "images" / file)


def write_vipseg(root: Path, split: str, videos: Videos, taxonomy: Taxonomy) -> None:
    content: dict = {"videos": [], "annotations": [], "categories": taxonomy.to_coco()}
    for name, frames in videos.items():
        rows = []
        for number, panoptic in enumerate(frames):
            stem = f"{number:08}"
            save(ids_to_rgb(panoptic.ids), root / "panomasksRGB" / name / f"{stem}.png")
            save(photo(panoptic.size, number), root / "images" / name / f"{stem}.jpg")
            rows.append({"image_id": stem, "file_name": f"{stem}.png", "segments_info": _rows(panoptic, taxonomy)})
        content["videos"].append({"video_id": name, "images": []})
        content["annotations"].append({"video_id": name, "annotations": rows})
    (root / f"panoptic_gt_VIPSeg_{split}.json").write_text(json.dumps(content))


def write_cityscapes_vps(root: Path, split: str, videos: Videos, taxonomy: Taxonomy) -> None:
    content: dict = {"images": [], "annotations": [], "categories": taxonomy.to_coco()}
    for name, frames in videos.items():
        for number, panoptic in enumerate(frames):
            image_id = f"{name}_{5 * number:04}_frankfurt_000000_{number:06}"
            tail = "leftImg8bit" if number == 3 else "newImg8bit"
            save(photo(panoptic.size, number), root / split / "img" / f"{image_id}_{tail}.png")
            file = f"{image_id}_final_mask.png"
            save(ids_to_rgb(panoptic.ids), root / split / "panoptic_video" / file)
            row = {"image_id": image_id, "file_name": file, "segments_info": _rows(panoptic, taxonomy)}
            content["annotations"].append(row)
            content["images"].append({"id": image_id, "file_name": f"{image_id}_{tail}.png"})
    (root / f"panoptic_gt_{split}_city_vps.json").write_text(json.dumps(content))


def write_vspw(
    root: Path, split: str, videos: dict[str, list[np.ndarray]], names: list[str], masks: bool = True
) -> None:
    """Of maps of stored values."""
    for name, frames in videos.items():
        for number, values in enumerate(frames):
            save(photo(values.shape, number), root / "data" / name / "origin" / f"{number:08}.jpg")
            if masks:
                save(values.astype(np.uint8), root / "data" / name / "mask" / f"{number:08}.png")
    (root / f"{split}.txt").write_text("\n".join(videos) + "\n")
    codes = {"others": 0} | {name: k + 1 for k, name in enumerate(names)}
    (root / "label_num_dic_final.json").write_text(json.dumps(codes))


def write_youtube_vis(root: Path, split: str, videos: Videos, taxonomy: Taxonomy, beside: bool = True) -> None:
    """Tracks in the order of their ids; every third mask is compressed, every third a list, the rest polygons' turn."""
    content: dict = {"videos": [], "annotations": [], "categories": taxonomy.to_coco()}
    for number, (name, frames) in enumerate(videos.items(), start=1):
        height, width = frames[0].size
        files = [f"{name}/{5 * k:05}.jpg" for k in range(len(frames))]
        content["videos"].append(
            {"id": number, "width": width, "height": height, "length": len(frames), "file_names": files}
        )
        for k, file in enumerate(files):
            save(photo((height, width), k), root / split / "JPEGImages" / file)
        for segment in sorted({(s.id, s.class_index, s.is_crowd) for f in frames for s in f.segments}):
            masks = [
                run_lengths(f.ids == segment[0], k) if (f.ids == segment[0]).any() else None
                for k, f in enumerate(frames)
            ]
            content["annotations"].append(
                {
                    "id": len(content["annotations"]) + 1,
                    "video_id": number,
                    "category_id": taxonomy.classes[segment[1]].id,
                    "iscrowd": int(segment[2]),
                    "segmentations": masks,
                }
            )
    path = root / f"{split}.json" if beside else root / split / "instances.json"
    path.write_text(json.dumps(content))


def run_lengths(mask: np.ndarray, kind: int) -> dict:
    """Compressed for even kinds, else the list of runs down the columns, zeros first."""
    if kind % 2 == 0:
        runs = coco_mask.encode(np.asfortranarray(mask.astype(np.uint8)))
        return {"size": list(runs["size"]), "counts": runs["counts"].decode()}
    flat = mask.T.reshape(-1).astype(int)
    borders = np.flatnonzero(np.diff(flat, prepend=0, append=1 - flat[-1]))
    counts = np.diff(borders, prepend=0).tolist()
    return {"size": list(mask.shape), "counts": counts}
