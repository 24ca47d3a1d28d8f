"""VSPW: a class PNG for each frame, ``data/<video>/mask/<frame>.png``.

Miao et al., "VSPW: A Large-scale Dataset for Video Scene Parsing in the Wild" (CVPR 2021). Ground truth has 0 and 255
for void and c + 1 for class c; predictions, in a folder for each video, have c, as the published evaluation reads them.
"""

import warnings
from pathlib import Path

import numpy as np

from pantile.contracts.errors import UserError
from pantile.contracts.panoptic import VOID_ID, PanopticMap, Segment
from pantile.contracts.taxonomy import Taxonomy
from pantile.data.classes.plain import semantic_taxonomy
from pantile.data.classes.vspw import NAMES, VOID, read_vspw_classes
from pantile.score.json_file import read_categories
from pantile.score.png_file import read_grey_png
from pantile.score.video.frame_folders import channels_of, folders_of, frame_files, frames_in
from pantile.score.video.layouts import VideoOptions, register_video_layout
from pantile.score.video.map_job import MapJob, VideoMaps, map_job
from pantile.score.video.value_runs import relabelled

_CLASSES = 124
_WINDOWS = (8, 16)


def is_vspw(path: Path) -> bool:
    """Videos with a folder ``mask``."""
    first = next((video for video in folders_of(_videos(path)) if (video / "mask").is_dir()), None)
    file = next(iter(frames_in(first / "mask").values()), None) if first else None
    return file is not None and channels_of(file) == 1


def _videos(root: Path) -> Path:
    return root / "data" if (root / "data").is_dir() else root


class ClassPngs(VideoMaps):
    """
    Args:
        files: video -> frame -> PNG.
        taxonomy: the classes.
        first: the value of the first class; values below it are void, as is 255.
        remedy: what to do about a value that is no class.
    """

    def __init__(self, files: dict[str, dict[str, Path]], taxonomy: Taxonomy, first: int, remedy: str) -> None:
        self.files, self.taxonomy = files, taxonomy
        self._first, self._remedy = first, remedy

    def load(self, video: str, frame: str) -> PanopticMap:
        path = self.files[video][frame]

        def id_of(value: int) -> int:
            index = value - self._first
            if value == VOID or index < 0:
                return VOID_ID
            if index >= len(self.taxonomy):
                raise UserError(
                    f"{path} has the value {value}, where classes are {self._first} to "
                    f"{len(self.taxonomy) + self._first - 1} and 255 is void: {self._remedy}."
                )
            return index + 1

        ids = relabelled(read_grey_png(path), id_of)
        present = np.flatnonzero(np.bincount(ids.reshape(-1)))
        return PanopticMap(ids, tuple(Segment(i, i - 1) for i in present.tolist() if i != VOID_ID))


@register_video_layout("vspw", "VSPW", fits=is_vspw)
def open_vspw(options: VideoOptions) -> MapJob:
    options.refuse("VSPW", gt_dir="--gt-dir", pred_dir="--pred-dir", crowd="--crowd")
    taxonomy = read_categories(options.categories) if options.categories else _taxonomy(options.gt)
    first = options.first_label or 0
    truth = ClassPngs(_of_split(options), taxonomy, 1, "name its classes with --categories")
    files = frame_files(_videos(options.pred), "mask")
    hint = "say --first-label 1 where predictions count from 1" if first == 0 else "paint void 0 or 255"
    prediction = ClassPngs(files, taxonomy, first, hint)
    if first == 0:
        _warn_of_shifted(prediction, taxonomy)
    return map_job("semantic", truth, prediction, options, _WINDOWS)


def _of_split(options: VideoOptions) -> dict[str, dict[str, Path]]:
    """The videos of a split, by ``val.txt`` and the like; all that have masks where there is no list."""
    files = {video: frames for video, frames in frame_files(_videos(options.gt), "mask").items() if frames}
    path = options.gt / f"{options.split or 'val'}.txt"
    if not path.is_file():
        if options.split:
            raise UserError(f"{path} is missing, which lists the videos of the split: leave --split out to score all.")
        return files
    names = path.read_text(encoding="utf-8").split()
    lacking = [name for name in names if name not in files]
    if lacking:
        raise UserError(
            f"{path} lists {len(lacking)} videos without masks (the first is {lacking[0]}): restore them, or shorten "
            "the list."
        )
    return {name: files[name] for name in names}


def _taxonomy(root: Path) -> Taxonomy:
    """By the data set's own list; by number where it is not there."""
    path = root / NAMES
    if path.is_file():
        return read_vspw_classes(path)
    return semantic_taxonomy([f"class {k + 1}" for k in range(_CLASSES)], range(1, _CLASSES + 1))


def _warn_of_shifted(prediction: ClassPngs, taxonomy: Taxonomy) -> None:
    """Predictions that count from 1 like the ground truth give numbers near 0 and no error."""
    firsts = [next(iter(frames.values())) for frames in prediction.files.values() if frames]
    if firsts and not any((read_grey_png(path) == 0).any() for path in firsts):
        warnings.warn(
            f"No first frame of a predicted video has the value 0, which is {taxonomy.names[0]}: if the predictions "
            "count their classes from 1, as the ground truth does, say --first-label 1.",
            stacklevel=2,
        )
