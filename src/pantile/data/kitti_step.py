"""KITTI-STEP (Weber et al., "STEP: Segmenting and Tracking Every Pixel", 2021) in its folders.

::

    root/images/<split>/<sequence>/<frame>.png
    root/panoptic_maps/<split>/<sequence>/<frame>.png     R = class, G B = number of the instance

Classes are the train ids of Cityscapes, of which only persons and cars are things; 255 is void. The number 0 of a thing
class is a region of things that are not separated (crowd). A number is one thing in its whole sequence.
"""

from pathlib import Path

import numpy as np

from pantile.contracts.errors import UserError
from pantile.contracts.panoptic import VOID_ID, PanopticMap, Segment
from pantile.contracts.taxonomy import ClassInfo, Taxonomy
from pantile.data.classes import cityscapes
from pantile.data.image_files import read_panoptic_png
from pantile.data.layouts import existing_splits, register_layout
from pantile.data.video_photos import FrameFiles, VideoPhotos, folders_in, no_split, whole_frames

THINGS = ("person", "car")
VOID = 255
TAXONOMY = Taxonomy(
    tuple(ClassInfo(c.name, c.name in THINGS, k, c.color) for k, c in enumerate(cityscapes.TAXONOMY.classes))
)


def is_kitti_step(root: Path) -> bool:
    return (root / "panoptic_maps").is_dir() and (root / "images").is_dir()


def _splits(root: Path) -> list[str]:
    return existing_splits({split: root / "panoptic_maps" / split for split in ("train", "val")})


@register_layout("kitti-step", "KITTI-STEP", marks="images with panoptic_maps", fits=is_kitti_step, splits=_splits)
class KittiStep(VideoPhotos):
    """Frames and maps of one split: 19 classes, 2 of them things. Segment ids are 65536 (class + 1) + number.

    Raises:
        UserError: a missing split or file.
    """

    def __init__(self, root: str | Path, split: str = "train", skip_missing: bool = False) -> None:
        root = Path(root)
        labels = root / "panoptic_maps" / split
        if not labels.is_dir():
            raise no_split(root, split, _splits(root))
        frames = [
            FrameFiles(sequence.name, root / "images" / split / sequence.name / file.name, file)
            for sequence in folders_in(labels)
            for file in sorted(sequence.glob("*.png"))
        ]
        super().__init__(TAXONOMY, whole_frames(frames, f"frames of {labels}", skip_missing))

    def load_map(self, index: int) -> PanopticMap:
        """
        Raises:
            UserError: a class that there is not, or a number on stuff.
        """
        path = self.label_path(index)
        stored = read_panoptic_png(path)  # R + 256 G + 65536 B
        codes, place = np.unique(stored, return_inverse=True)
        ids, segments = np.zeros(len(codes), dtype=np.int32), []
        for k, code in enumerate(codes.tolist()):
            label, number = code & 255, (code >> 8 & 255) * 256 + (code >> 16)
            if label == VOID:
                ids[k] = VOID_ID
                continue
            if label >= len(TAXONOMY) or (number and not TAXONOMY.classes[label].is_thing):
                what = f"class {label}" if label >= len(TAXONOMY) else f"number {number} on {TAXONOMY.names[label]}"
                raise UserError(f"{path} has pixels of {what}, which KITTI-STEP does not have: paint them 255, void.")
            ids[k] = (label + 1 << 16) + number
            segments.append(Segment(int(ids[k]), label, TAXONOMY.classes[label].is_thing and number == 0))
        return PanopticMap(ids[place].reshape(stored.shape), tuple(segments))
