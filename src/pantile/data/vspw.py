"""VSPW (Miao et al., CVPR 2021), at full resolution or as VSPW_480p: 124 classes, a class per pixel.

::

    root/data/<video>/origin/<frame>.jpg
    root/data/<video>/mask/<frame>.png      0 void, class k as k + 1, 255 void
    root/{train,val,test}.txt               a video a line
    root/label_num_dic_final.json           {name of a class: its stored value}
"""

from functools import cached_property
from pathlib import Path

from pantile.contracts.panoptic import PanopticMap
from pantile.data.class_values import ClassValues
from pantile.data.classes.vspw import NAMES, VOID, read_vspw_classes
from pantile.data.label_files import INDEXED_8, read_label
from pantile.data.layouts import register_layout
from pantile.data.semantic_files import read_key_list
from pantile.data.video_photos import FrameFiles, VideoPhotos, no_split, whole_frames


def is_vspw(root: Path) -> bool:
    """Looks at one video."""
    if not (root / NAMES).is_file() or not (root / "data").is_dir():
        return False
    first = next((p for p in (root / "data").iterdir() if p.is_dir()), None)
    return first is not None and (first / "origin").is_dir()


def _splits(root: Path) -> list[str]:
    """Those whose first video has masks: the archive's test videos have none."""
    found = []
    for split in ("train", "val", "test"):
        videos = read_key_list(root / f"{split}.txt") if (root / f"{split}.txt").is_file() else []
        if videos and (root / "data" / videos[0] / "mask").is_dir():
            found.append(split)
    return found


@register_layout("vspw", "VSPW", marks=f"{NAMES} with data/<video>/origin", fits=is_vspw, splits=_splits)
class Vspw(VideoPhotos):
    """Frames and maps of one split. Every class is stuff, category ids are the stored values, segment ids the same.

    Raises:
        UserError: a missing split or file, or a list of classes that cannot be.
    """

    def __init__(self, root: str | Path, split: str = "train", skip_missing: bool = False) -> None:
        root = Path(root)
        if split not in _splits(root):
            raise no_split(root, split, _splits(root))
        frames = []
        for video in read_key_list(root / f"{split}.txt"):
            origin, mask = root / "data" / video / "origin", root / "data" / video / "mask"
            names = {p.stem for p in origin.glob("*.jpg")} | {p.stem for p in mask.glob("*.png")}
            frames += [FrameFiles(video, origin / f"{name}.jpg", mask / f"{name}.png") for name in sorted(names)]
        super().__init__(read_vspw_classes(root / NAMES), whole_frames(frames, f"frames of {split}.txt", skip_missing))

    @cached_property
    def _values(self) -> ClassValues:
        return ClassValues.of({info.id: k for k, info in enumerate(self.taxonomy.classes)}, [0, VOID])

    def unlabelled(self) -> dict[str, list[str]]:
        """None: an image without its mask is told as a missing file."""
        return {}

    def load_map(self, index: int) -> PanopticMap:
        path = self.label_path(index)
        return self._values.to_map(read_label(path, INDEXED_8), path)
