"""YouTube-VIS 2019 and 2021 (Yang et al., ICCV 2019) and OVIS: masks of things over frames, nothing else is labelled.

::

    root/<split>.json                    or root/<split>/instances.json: videos, annotations (tracks), categories
    root/<split>/JPEGImages/<video>/<frame>.jpg

A track has a mask for each frame, ``null`` where the thing is not there: run lengths, compressed or not, or polygons.
The official ``valid`` and ``test`` hold no annotations and are no splits here.
"""

import json
from pathlib import Path, PurePosixPath
from typing import Any, NotRequired

import numpy as np
from pycocotools import mask as coco_mask
from pydantic import TypeAdapter
from typing_extensions import TypedDict

from pantile.contracts.errors import UserError
from pantile.contracts.file_names import is_inside
from pantile.contracts.json_forms import read_json_as
from pantile.contracts.panoptic import PanopticMap, Segment
from pantile.contracts.taxonomy import ClassInfo, Taxonomy, default_color
from pantile.data.layouts import register_layout
from pantile.data.video_photos import FrameFiles, VideoPhotos, no_split, whole_frames


class _Video(TypedDict):
    id: int
    width: int
    height: int
    file_names: list[str]


class _Track(TypedDict):
    id: int
    video_id: int
    category_id: int
    iscrowd: NotRequired[int]
    segmentations: list[Any]


class _Category(TypedDict):
    id: int
    name: str


class _Json(TypedDict):
    videos: list[_Video]
    annotations: NotRequired[list[_Track]]
    categories: list[_Category]


_FORM = TypeAdapter(_Json)


def is_youtube_vis(root: Path) -> bool:
    return bool(_jsons(root))


def _jsons(root: Path) -> dict[str, Path]:
    """Split to its JSON, of folders with ``JPEGImages``."""
    found = {}
    for folder in sorted(root.glob("*/JPEGImages")):
        split = folder.parent.name
        for path in (root / f"{split}.json", root / split / "instances.json"):
            if path.is_file():
                found.setdefault(split, path)
    return found


def _splits(root: Path) -> list[str]:
    """Those with annotations."""
    return [split for split, path in _jsons(root).items() if _has_tracks(path)]


def _has_tracks(path: Path) -> bool:
    try:
        return bool(json.loads(path.read_bytes()).get("annotations"))
    except (OSError, ValueError, AttributeError):
        return True  # whoever opens it tells what is wrong


@register_layout(
    "youtube-vis",
    "YouTube-VIS or OVIS",
    marks="<split>.json with <split>/JPEGImages",
    fits=is_youtube_vis,
    splits=_splits,
)
class YoutubeVis(VideoPhotos):
    """Frames and maps of one split; every class is a thing, and what no mask covers is void.

    A map has one segment a pixel: where masks overlap, the smaller one is in front. Segment ids are numbers of tracks
    within their video, from 1 in the order of the file.

    Raises:
        UserError: a missing split or file, a JSON of another form, or a track whose masks are not one for each frame.
    """

    def __init__(self, root: str | Path, split: str = "train", skip_missing: bool = False) -> None:
        root = Path(root)
        jsons = _jsons(root)
        if split not in jsons:
            raise no_split(root, split, _splits(root))
        self._json = jsons[split]
        content = read_json_as(self._json, _FORM, "a JSON of YouTube-VIS")
        tracks = content.get("annotations")
        if not tracks:
            raise no_split(root, split, _splits(root))
        videos = {video["id"]: video for video in content["videos"]}
        self._sizes: dict[str, tuple[int, int]] = {}
        self._place: dict[FrameFiles, tuple[int, int]] = {}
        for video in content["videos"]:
            for number, name in enumerate(video["file_names"]):
                if not is_inside(name):
                    raise UserError(f"{self._json} names {name!r}, which leads out of its folder: write plain names.")
                folder = PurePosixPath(name).parent.name or str(video["id"])
                files = FrameFiles(folder, root / split / "JPEGImages" / name, self._json)
                self._sizes[folder] = (video["height"], video["width"])
                self._place[files] = (video["id"], number)
        self._tracks: dict[int, list[_Track]] = {}
        for track in tracks:
            self._check(track, videos)
            self._tracks.setdefault(track["video_id"], []).append(track)
        classes = (ClassInfo(c["name"], True, c["id"], default_color(k)) for k, c in enumerate(content["categories"]))
        frames = whole_frames(list(self._place), f"frames of {self._json.name}", skip_missing)
        super().__init__(Taxonomy(tuple(classes)), frames)
        unknown = {t["category_id"] for t in tracks} - set(self.taxonomy.index_of_id)
        if unknown:
            raise UserError(
                f"{self._json} has a track of category_id {min(unknown)}, which it does not list: correct it."
            )

    def _check(self, track: _Track, videos: dict[int, _Video]) -> None:
        video = videos.get(track["video_id"])
        if video is None:
            raise UserError(f"{self._json}: track {track['id']} is of video {track['video_id']}, which is not listed.")
        count, masks = len(video["file_names"]), len(track["segmentations"])
        if count != masks:
            raise UserError(
                f"{self._json}: track {track['id']} has {masks} masks, but its video {count} frames: give one for each "
                "frame, null where the thing is not there."
            )

    def label_size(self, index: int) -> tuple[int, int]:
        return self._sizes[self.frames[index].video]

    def load_map(self, index: int) -> PanopticMap:
        """
        Raises:
            UserError: a mask that cannot be read, or of another size than its video.
        """
        video, number = self._place[self.frames[index]]
        size = self.label_size(index)
        found = []
        for position, track in enumerate(self._tracks.get(video, [])):
            mask = self._mask(track, number, size)
            if mask is not None and mask.any():
                crowd = bool(track.get("iscrowd", 0))
                segment = Segment(position + 1, self.taxonomy.index_of_id[track["category_id"]], crowd)
                found.append((int(mask.sum()), segment, mask))
        ids = np.zeros(size, dtype=np.int32)
        for _, segment, mask in sorted(found, key=lambda one: -one[0]):
            ids[mask] = segment.id
        seen = set(np.unique(ids).tolist())
        return PanopticMap(ids, tuple(segment for _, segment, _ in found if segment.id in seen))

    def _mask(self, track: _Track, number: int, size: tuple[int, int]) -> np.ndarray | None:
        """(H, W) bool of a track in a frame; None where it is not there."""
        stored = track["segmentations"][number]
        if not stored:
            return None
        where = f"{self._json}: the mask of track {track['id']} in frame {number}"
        try:
            if isinstance(stored, list):
                runs = coco_mask.merge(coco_mask.frPyObjects(stored, *size))
            elif isinstance(stored["counts"], list):
                runs = coco_mask.frPyObjects(stored, *size)
            else:
                runs = stored
            if list(runs["size"]) != list(size):
                raise UserError(f"{where} is of {runs['size']}, but its video of {list(size)}: correct it.")
            return coco_mask.decode(runs).astype(bool)
        except (KeyError, TypeError, ValueError, IndexError):
            raise UserError(f"{where} is neither run lengths nor polygons: write it anew.") from None
