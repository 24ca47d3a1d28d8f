"""Cityscapes-VPS (Kim et al., "Video Panoptic Segmentation", CVPR 2020) as VPSNet's preparation leaves it.

::

    root/<split>/img/<image id>_{newImg8bit,leftImg8bit}.png
    root/<split>/panoptic_video/<image id>_*.png             id = R + 256 G + 65536 B, one for a track
    root/panoptic_gt_<split>_city_vps.json                   tables of segments by image, categories

An image id such as ``0005_0025_frankfurt_000000_001736`` begins with the number of its video and that of its frame. Of
thirty frames each fifth has labels; only these are samples.
"""

from pathlib import Path

from pydantic import TypeAdapter
from typing_extensions import TypedDict

from pantile.contracts.errors import UserError
from pantile.contracts.file_names import is_inside
from pantile.contracts.json_forms import read_json_as
from pantile.contracts.taxonomy import Taxonomy
from pantile.data.id_frames import IdFrames, SegmentRow
from pantile.data.layouts import register_layout
from pantile.data.missing import names_in
from pantile.data.video_photos import FrameFiles, no_split, whole_frames

_BEFORE, _BEHIND = "panoptic_gt_", "_city_vps.json"
_IMAGES = ("_newImg8bit.png", "_leftImg8bit.png")


class _Frame(TypedDict):
    image_id: str
    file_name: str
    segments_info: list[SegmentRow]


class _Json(TypedDict):
    annotations: list[_Frame]
    categories: list[dict]


_FORM = TypeAdapter(_Json)


def is_cityscapes_vps(root: Path) -> bool:
    return any(root.glob(f"{_BEFORE}*{_BEHIND}"))


def _splits(root: Path) -> list[str]:
    found = (path.name.removeprefix(_BEFORE).removesuffix(_BEHIND) for path in root.glob(f"{_BEFORE}*{_BEHIND}"))
    return sorted(split for split in found if (root / split / "panoptic_video").is_dir())


@register_layout(
    "cityscapes-vps",
    "Cityscapes-VPS",
    marks=f"{_BEFORE}<split>{_BEHIND}",
    fits=is_cityscapes_vps,
    splits=_splits,
)
def open_cityscapes_vps(root: str | Path, split: str = "train", skip_missing: bool = False) -> IdFrames:
    """
    Raises:
        UserError: a missing split or file, or a JSON of another form.
    """
    root = Path(root)
    if split not in _splits(root):
        raise no_split(root, split, _splits(root))
    path, images = root / f"{_BEFORE}{split}{_BEHIND}", root / split / "img"
    content = read_json_as(path, _FORM, "a JSON of Cityscapes-VPS")
    there = names_in(images) if images.is_dir() else set()
    rows = {}
    for frame in sorted(content["annotations"], key=lambda frame: frame["image_id"]):
        image_id = frame["image_id"]
        if not (image_id[:4].isdecimal() and image_id[4:5] == "_") or not is_inside(frame["file_name"]):
            raise UserError(f"{path}: image_id {image_id!r} does not begin with the number of its video: restore it.")
        name = next(
            (f"{image_id}{tail}" for tail in _IMAGES if f"{image_id}{tail}" in there), f"{image_id}{_IMAGES[0]}"
        )
        files = FrameFiles(image_id[:4], images / name, root / split / "panoptic_video" / frame["file_name"])
        rows[files] = frame["segments_info"]
    frames = whole_frames(list(rows), f"frames of {path.name}", skip_missing)
    taxonomy = Taxonomy.from_coco(content["categories"], source=str(path))
    return IdFrames(taxonomy, frames, [rows[frame] for frame in frames], path)
