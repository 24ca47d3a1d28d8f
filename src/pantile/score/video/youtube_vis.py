"""YouTube-VIS 2019, 2021 and OVIS: tracks as run lengths in a JSON, results as a list of tracks with scores.

Yang et al., "Video Instance Segmentation" (ICCV 2019). A track has a mask for each frame of its video, or null where it
is not seen. ``areas``, ``bboxes``, ``width`` and ``height`` of annotations are not looked at.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, NotRequired

import numpy as np
from pycocotools.mask import frPyObjects, merge
from pydantic import Field, Strict, TypeAdapter
from typing_extensions import TypedDict

from pantile.contracts.errors import UserError
from pantile.contracts.json_forms import Flag, Text, Whole, read_json_as
from pantile.contracts.json_marks import json_matches
from pantile.contracts.run_lengths import decompressed
from pantile.contracts.taxonomy import ClassInfo, Taxonomy, default_color
from pantile.metrics.mask_tracks import MaskTrack
from pantile.score.video.json_content import json_in
from pantile.score.video.layouts import Coverage, VideoOptions, register_video_layout
from pantile.score.video.measures import check_only

_FORM = "a YouTube-VIS JSON"


class _RunLengths(TypedDict):
    size: list[Whole]
    counts: Text | list[Whole]


_Mask = _RunLengths | list[list[float]] | None
_Masks = list[_Mask]


class _Video(TypedDict):
    id: Whole
    width: Whole
    height: Whole
    length: NotRequired[Whole]
    file_names: NotRequired[list[Text]]


class _Category(TypedDict):
    id: Whole
    name: Text


class _Track(TypedDict):
    video_id: Whole
    category_id: Whole
    segmentations: _Masks


class _TrueTrack(_Track):
    iscrowd: NotRequired[Flag]


class _Result(_Track):
    score: Annotated[float, Strict(), Field(allow_inf_nan=False)]


class _Truth(TypedDict):
    videos: list[_Video]
    categories: list[_Category]
    annotations: NotRequired[list[_TrueTrack] | None]


_TRUTH, _RESULTS = TypeAdapter(_Truth), TypeAdapter(list[_Result])


def is_youtube_vis(path: Path) -> bool:
    by_video, of_segments = json_matches(path, b'"videos"', b'"segments_info"')
    return by_video and not of_segments


class TrackJob:
    """
    Args:
        gt: the JSON of the ground truth.
        pred: the JSON of the results.
        limit: only the first videos of the ground truth.

    Raises:
        UserError: a file is not of the format; tracks of unknown videos or classes in the ground truth, of unknown
            classes in results; masks that do not fit their video.
    """

    without = "all their tracks count as missed"

    def __init__(self, gt: Path, pred: Path, limit: int | None = None) -> None:
        content = read_json_as(gt, _TRUTH, _FORM)
        if not content.get("annotations"):
            raise UserError(f"{gt} has no annotations, as the files of validation and test: score a file that has.")
        results = read_json_as(pred, _RESULTS, f"{_FORM} of results, a list of tracks")
        self._gt, self._pred = gt, pred
        self.taxonomy = _taxonomy(gt, content["categories"])
        self._videos = {video["id"]: video for video in content["videos"]}
        if len(self._videos) < len(content["videos"]):
            raise UserError(f"{gt} has two videos of one id: give each its own.")
        self._truths = _by_video(gt, "annotations", content["annotations"], self.taxonomy)
        self._results = _by_video(pred, "", results, self.taxonomy)
        strange = next((video for video in self._truths if video not in self._videos), None)
        if strange is not None:
            raise UserError(f"{gt} has a track of video {strange}, which its videos do not list: add the video.")
        self._ids = sorted(self._videos)[:limit]
        names = {video: self._name(video) for video in self._ids}
        self.coverage = Coverage(
            list(names.values()),
            sum(_frames(self._videos[video]) for video in self._ids),
            missing_videos=[name for video, name in names.items() if video not in self._results],
            unknown_videos=[f"video {video}" for video in self._results if video not in self._videos],
        )
        if self._ids and len(self.coverage.missing_videos) == len(self._ids) and self._results:
            raise UserError(
                f"No video of {gt} has a result in {pred}, whose first track is of video {next(iter(self._results))}: "
                "use the video ids of the ground truth."
            )

    def compare(self, index: int) -> Any:
        from pantile.metrics.track_rows import rows_of_video

        video = self._ids[index]
        truths = [self._track(self._gt, *item) for item in self._truths.get(video, ())]
        predictions = [self._track(self._pred, *item) for item in self._results.get(video, ())]
        return rows_of_video(predictions, truths, video, self.taxonomy)

    def add_up(self, evidence: Sequence[Any]) -> dict[str, Any]:
        from pantile.metrics.track_rows import average_precision_of, joined

        return {"ap": average_precision_of(joined(evidence), self.taxonomy)}

    def _name(self, video: int) -> str:
        files = self._videos[video].get("file_names")
        return files[0].rpartition("/")[0] or f"video {video}" if files else f"video {video}"

    def _track(self, path: Path, where: str, row: dict) -> MaskTrack:
        video = self._videos[row["video_id"]]
        frames, size = _frames(video), (video["height"], video["width"])
        if len(row["segmentations"]) != frames:
            raise UserError(
                f"{path}: {where} has {len(row['segmentations'])} masks, but video {video['id']} has {frames} frames: "
                "give one for each frame, null where the track is not seen."
            )
        masks = [_run_lengths(f"{path}: {where}", mask, size) for mask in row["segmentations"]]
        class_index = self.taxonomy.index_of_id[row["category_id"]]
        return MaskTrack(class_index, row.get("score", 1.0), tuple(masks), row.get("iscrowd", False))


@register_video_layout("youtube-vis", "YouTube-VIS", fits=is_youtube_vis)
def open_youtube_vis(options: VideoOptions) -> TrackJob:
    options.refuse(
        "YouTube-VIS",
        gt_dir="--gt-dir",
        pred_dir="--pred-dir",
        categories="--categories",
        split="--split",
        windows="--windows",
        crowd="--crowd",
        corrections="--correct",
        first_label="--first-label",
    )
    check_only(options.only, ("ap",))
    return TrackJob(options.gt, json_in(options.pred, "results.json"), options.limit)


def _frames(video: dict) -> int:
    return len(video["file_names"]) if video.get("file_names") else video.get("length", 0)


def _taxonomy(path: Path, categories: list[dict]) -> Taxonomy:
    try:
        return Taxonomy(tuple(ClassInfo(c["name"], True, c["id"], default_color(k)) for k, c in enumerate(categories)))
    except UserError as error:
        raise UserError(f"{path}: {error}") from None


def _by_video(path: Path, field: str, rows: list[dict], taxonomy: Taxonomy) -> dict[int, list[tuple[str, dict]]]:
    """Video id -> its tracks, each with where it stands in the file."""
    tracks: dict[int, list[tuple[str, dict]]] = {}
    for position, row in enumerate(rows):
        where = f"{field}[{position}]" if field else f"track {position}"
        if row["category_id"] not in taxonomy.index_of_id:
            raise UserError(
                f"{path}: {where} has the category_id {row['category_id']}, which the ground truth's categories do not "
                "list: use the ids of the ground truth (YouTube-VIS 2019 and 2021 number them differently)."
            )
        tracks.setdefault(row["video_id"], []).append((where, row))
    return tracks


def _run_lengths(where: str, mask: dict | list | None, size: tuple[int, int]) -> dict | None:
    """Compressed, from any of the forms of COCO."""
    if mask is None:
        return None
    if isinstance(mask, list):
        return merge(frPyObjects(mask, *size)) if mask else None
    if tuple(mask["size"]) != size:
        raise UserError(
            f"{where} has a mask of {' x '.join(map(str, mask['size']))} pixels, but its video is {size[0]} x "
            f"{size[1]}: resize the masks to the size of the video."
        )
    counts = mask["counts"]
    runs = decompressed(counts.encode()) if isinstance(counts, str) else np.array(counts, np.int64)
    if runs is None or (runs < 0).any() or runs.sum() != size[0] * size[1]:
        raise UserError(
            f"{where} has run lengths that do not fill the {size[0] * size[1]} pixels of a frame: write the mask anew."
        )
    if isinstance(counts, str):
        return {"size": list(size), "counts": counts.encode()}
    return frPyObjects({"size": list(size), "counts": counts}, *size)
