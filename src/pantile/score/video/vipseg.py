"""VIPSeg: a JSON with annotations by video, and a colour PNG of ids for each frame.

Miao et al., "Large-scale Video Panoptic Segmentation in the Wild: A Benchmark" (CVPR 2022). An id is a track, the same
through its video. Predictions are a folder of ``pred.json`` and ``pan_pred``, as the evaluation of VIPSeg reads it.
"""

from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any, NotRequired

from pydantic import TypeAdapter
from typing_extensions import TypedDict

from pantile.contracts.errors import UserError
from pantile.contracts.json_forms import FileName, Text, read_json_as
from pantile.contracts.json_marks import json_matches
from pantile.contracts.shortening import short
from pantile.contracts.taxonomy import Taxonomy
from pantile.score.json_file import check_names, taxonomy_of
from pantile.score.video.json_content import JsonMaps, first_folder, json_in, json_of_split
from pantile.score.video.layouts import VideoOptions, register_video_layout
from pantile.score.video.map_job import MapJob, map_job

_WINDOWS = (1, 2, 4, 6, 8)
_FORM = "a VIPSeg JSON"
_JSON = "panoptic_gt_VIPSeg_*.json"


class _Frame(TypedDict):
    file_name: FileName
    segments_info: list


class _Video(TypedDict):
    video_id: Text
    annotations: list[_Frame]


class _Predictions(TypedDict):
    annotations: list[_Video]
    categories: NotRequired[Any]


class _Truth(TypedDict):
    annotations: list[_Video]
    categories: list


_PREDICTIONS, _TRUTH = TypeAdapter(_Predictions), TypeAdapter(_Truth)


def is_vipseg(path: Path) -> bool:
    if path.is_dir():
        return any(path.glob(_JSON))
    return all(json_matches(path, b'"videos"', b'"segments_info"'))


@register_video_layout("vipseg", "VIPSeg", fits=is_vipseg)
def open_vipseg(options: VideoOptions) -> MapJob:
    options.refuse("VIPSeg", categories="--categories", first_label="--first-label")
    gt_json = json_of_split(options.gt, _JSON, options.split)
    content = read_json_as(gt_json, _TRUTH, _FORM)
    taxonomy = taxonomy_of(gt_json, content["categories"])
    folder = options.gt_dir or first_folder(gt_json.parent / "panomasksRGB", gt_json.with_suffix(""))
    truth = _maps(gt_json, content, folder, taxonomy, is_truth=True)

    pred_json = json_in(options.pred)
    content = read_json_as(pred_json, _PREDICTIONS, _FORM)
    check_names(pred_json, content.get("categories"), taxonomy)
    folder = options.pred_dir or first_folder(
        pred_json.parent / "pan_pred", pred_json.parent / "panomasksRGB", pred_json.with_suffix("")
    )
    prediction = _maps(pred_json, content, folder, taxonomy, is_truth=False)
    return map_job("panoptic", truth, prediction, options, _WINDOWS)


def _maps(path: Path, content: Mapping, folder: Path, taxonomy: Taxonomy, is_truth: bool) -> JsonMaps:
    """The frames of a video in the order of their names, whatever that of the file."""
    if not folder.is_dir():
        raise UserError(f"{folder} is not a folder: name the folder of the PNGs of {path} with --gt-dir or --pred-dir.")
    frames: dict[str, dict[str, tuple[Path, dict]]] = {}
    for video in content["annotations"]:
        name = video["video_id"]
        if name in frames:
            raise UserError(f"{path} has the video {short(name)} twice: keep one.")
        of_video: dict[str, tuple[Path, dict]] = {}
        for annotation in sorted(video["annotations"], key=lambda row: row["file_name"]):
            key = PurePosixPath(annotation["file_name"]).stem
            if key in of_video:
                raise UserError(f"{path} has the frame {short(key)} of video {short(name)} twice: keep one.")
            file = folder / name / annotation["file_name"]
            of_video[key] = (file.with_suffix(".png"), annotation | {"file_name": f"{name}/{key}"})
        frames[name] = of_video
    return JsonMaps(path, taxonomy, frames, is_truth)
