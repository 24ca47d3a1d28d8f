"""VIPSeg (Miao et al., CVPR 2022) as its own preparation leaves it, VIPSeg_720P.

::

    root/images/<video>/<frame>.jpg                  or root/imgs; any other image file of that stem is read too
    root/panomasksRGB/<video>/<frame>.png            id = R + 256 G + 65536 B, one for a track in its whole video
    root/panoptic_gt_VIPSeg_<split>.json             tables of segments by video and frame, categories
"""

from collections.abc import Callable
from pathlib import Path

from pydantic import TypeAdapter
from typing_extensions import TypedDict

from pantile.contracts.errors import UserError
from pantile.contracts.file_names import is_inside
from pantile.contracts.json_forms import read_json_as
from pantile.contracts.taxonomy import Taxonomy
from pantile.data.id_frames import IdFrames, SegmentRow
from pantile.data.image_suffixes import IMAGE_SUFFIXES
from pantile.data.layouts import register_layout
from pantile.data.missing import names_in
from pantile.data.video_photos import FrameFiles, no_split, whole_frames

_PREFIX = "panoptic_gt_VIPSeg_"


class _Frame(TypedDict):
    file_name: str
    segments_info: list[SegmentRow]


class _Video(TypedDict):
    video_id: str
    annotations: list[_Frame]


class _Json(TypedDict):
    annotations: list[_Video]
    categories: list[dict]


_FORM = TypeAdapter(_Json)


def is_vipseg(root: Path) -> bool:
    return (root / "panomasksRGB").is_dir() and any(root.glob(f"{_PREFIX}*.json"))


def _splits(root: Path) -> list[str]:
    return sorted(path.stem.removeprefix(_PREFIX) for path in root.glob(f"{_PREFIX}*.json"))


@register_layout("vipseg", "VIPSeg", marks=f"panomasksRGB with {_PREFIX}<split>.json", fits=is_vipseg, splits=_splits)
def open_vipseg(root: str | Path, split: str = "train", skip_missing: bool = False) -> IdFrames:
    """
    Raises:
        UserError: a missing split or file, or a JSON of another form.
    """
    root = Path(root)
    if split not in _splits(root):
        raise no_split(root, split, _splits(root))
    path = root / f"{_PREFIX}{split}.json"
    content = read_json_as(path, _FORM, "a VIPSeg JSON")
    images = next((root / name for name in ("images", "imgs") if (root / name).is_dir()), root / "images")
    image_at = _images_below(images)
    rows = {}
    for video in sorted(content["annotations"], key=lambda video: video["video_id"]):
        for frame in sorted(video["annotations"], key=lambda frame: frame["file_name"]):
            place = f"{video['video_id']}/{Path(frame['file_name']).stem}"
            if not is_inside(place):
                raise UserError(f"{path} names {place!r}, which leads out of its folder: write plain names.")
            files = FrameFiles(video["video_id"], image_at(place), root / "panomasksRGB" / f"{place}.png")
            if files in rows:
                raise UserError(f"{path} has the frame {place} twice: keep one.")
            rows[files] = frame["segments_info"]
    frames = whole_frames(list(rows), f"frames of {path.name}", skip_missing)
    taxonomy = Taxonomy.from_coco(content["categories"], source=str(path))
    return IdFrames(taxonomy, frames, [rows[frame] for frame in frames], path)


def _images_below(root: Path) -> Callable[[str], Path]:
    """``<video>/<stem>`` to the image, whatever its ending; to a JPEG where there is none."""
    listed: dict[Path, dict[str, str]] = {}

    def image_at(place: str) -> Path:
        folder, stem = (root / place).parent, Path(place).name
        if folder not in listed:
            names = sorted(names_in(folder), reverse=True) if folder.is_dir() else []
            listed[folder] = {Path(n).stem: n for n in names if Path(n).suffix.lower() in IMAGE_SUFFIXES}
        return folder / listed[folder].get(stem, f"{stem}.jpg")

    return image_at
