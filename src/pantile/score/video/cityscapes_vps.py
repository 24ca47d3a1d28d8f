"""Cityscapes-VPS: a COCO-panoptic JSON whose image ids begin with the number of the video and of the frame.

Kim et al., "Video Panoptic Segmentation" (CVPR 2020), and its repository (VPSNet): ids such as
``0005_0025_frankfurt_000000_001736``, an id of a segment is a track. Predictions are a folder of ``pred.json`` and
``pan_pred/<image id>.png``.
"""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NotRequired

from pydantic import TypeAdapter
from typing_extensions import TypedDict

from pantile.contracts.errors import UserError
from pantile.contracts.json_forms import FileName, Text, read_json_as
from pantile.contracts.json_marks import json_matches
from pantile.contracts.taxonomy import Taxonomy
from pantile.score.json_file import check_names, taxonomy_of
from pantile.score.video.json_content import JsonMaps, first_folder, json_in, json_of_split
from pantile.score.video.layouts import VideoOptions, register_video_layout
from pantile.score.video.map_job import MapJob, map_job

_WINDOWS = (1, 2, 3, 4)
_FORM = "a Cityscapes-VPS JSON"
_JSON = "panoptic_gt_*_city_vps.json"
_ID = re.compile(r"(\d{4})_(\d{4})_")
_MARK = rb'"image_id"\s*:\s*"\d{4}_\d{4}_'
_TAILS = ("_final_mask", "_gtFine_color", "_newImg8bit", "_leftImg8bit", "")  # of its files, after the image id


class _Frame(TypedDict):
    image_id: Text
    file_name: NotRequired[FileName]
    segments_info: list


class _Predictions(TypedDict):
    annotations: list[_Frame]
    categories: NotRequired[Any]


class _Truth(TypedDict):
    annotations: list[_Frame]
    categories: list


_PREDICTIONS, _TRUTH = TypeAdapter(_Predictions), TypeAdapter(_Truth)


def is_cityscapes_vps(path: Path) -> bool:
    if path.is_dir():
        return any(path.glob(_JSON))
    marked, by_video = json_matches(path, _MARK, b'"videos"')
    return marked and not by_video


@register_video_layout("cityscapes-vps", "Cityscapes-VPS", fits=is_cityscapes_vps)
def open_cityscapes_vps(options: VideoOptions) -> MapJob:
    options.refuse("Cityscapes-VPS", categories="--categories", first_label="--first-label")
    gt_json = json_of_split(options.gt, _JSON, options.split)
    content = read_json_as(gt_json, _TRUTH, _FORM)
    taxonomy = taxonomy_of(gt_json, content["categories"])
    beside = gt_json.parent
    folder = options.gt_dir or first_folder(
        beside / (options.split or "val") / "panoptic_video", beside / "panoptic_video", gt_json.with_suffix("")
    )
    truth = _maps(gt_json, content["annotations"], folder, taxonomy, is_truth=True)

    pred_json = json_in(options.pred)
    content = read_json_as(pred_json, _PREDICTIONS, _FORM)
    check_names(pred_json, content.get("categories"), taxonomy)
    folder = options.pred_dir or first_folder(pred_json.parent / "pan_pred", pred_json.with_suffix(""))
    prediction = _maps(pred_json, content["annotations"], folder, taxonomy, is_truth=False)
    return map_job("panoptic", truth, prediction, options, _WINDOWS)


def _maps(path: Path, annotations: Sequence[Mapping], folder: Path, taxonomy: Taxonomy, is_truth: bool) -> JsonMaps:
    """Videos by the number that image ids begin with, frames in the order of the next."""
    if not folder.is_dir():
        raise UserError(f"{folder} is not a folder: name the folder of the PNGs of {path} with --gt-dir or --pred-dir.")
    frames: dict[str, dict[str, tuple[Path, dict]]] = {}
    for annotation in sorted(annotations, key=lambda row: row["image_id"]):
        image_id = annotation["image_id"]
        match = _ID.match(image_id)
        if match is None:
            raise UserError(
                f"{path} has the image_id {image_id}, which does not begin with the numbers of its video and frame "
                "(0005_0025_...): use the ids of the ground truth."
            )
        of_video = frames.setdefault(match[1], {})
        if image_id in of_video:
            raise UserError(f"{path} has two annotations for image_id {image_id}: keep one per image.")
        names = [annotation["file_name"]] if "file_name" in annotation else []
        of_video[image_id] = (
            _file(folder, image_id, names),
            annotation | {"file_name": image_id},
        )
    return JsonMaps(path, taxonomy, frames, is_truth)


def _file(folder: Path, image_id: str, names: Sequence[str]) -> Path:
    """Where the PNG is; the likeliest name where there is none, for the message."""
    candidates = [folder / name for name in [*names, *(f"{image_id}{tail}.png" for tail in _TAILS)]]
    return next((path for path in candidates if path.suffix == ".png" and path.is_file()), candidates[-1])
