"""KITTI-STEP and MOTChallenge-STEP: a PNG for each frame, red the class, green and blue the instance.

Weber et al., "STEP: Segmenting and Tracking Every Pixel" (NeurIPS Datasets and Benchmarks 2021): instance =
256 * green + blue, the same through a sequence; 0 on a thing is crowd in the ground truth; class 255 is void.
"""

from pathlib import Path

from pantile.contracts.errors import UserError
from pantile.contracts.panoptic import VOID_ID, PanopticMap, Segment
from pantile.contracts.taxonomy import Taxonomy
from pantile.score.json_file import read_categories
from pantile.score.png_file import read_id_png
from pantile.score.video.frame_folders import channels_of, folders_of, frame_files, frames_in
from pantile.score.video.layouts import VideoOptions, register_video_layout
from pantile.score.video.map_job import MapJob, VideoMaps, map_job
from pantile.score.video.value_runs import relabelled

_VOID = 255
_WINDOWS = (1, 2, 3, 4)


def _sequences(root: Path, split: str | None) -> Path:
    """The folder of the sequences, given that or the root of the data set."""
    inside = root / "panoptic_maps"
    return inside / (split or "val") if inside.is_dir() else root


def is_step(path: Path) -> bool:
    """Sequences are folders named by a number, with colour PNGs."""
    if (path / "panoptic_maps").is_dir():
        return True
    folders = folders_of(path)
    if not folders or not all(folder.name.isdecimal() for folder in folders):
        return False
    first = next((file for folder in folders for file in frames_in(folder).values()), None)
    return first is not None and channels_of(first) in (3, 4)


class StepMaps(VideoMaps):
    """
    Args:
        folder: of the sequences.
        taxonomy: the classes; their ids are the values of the red channel.
        is_truth: whether things with instance 0 are crowd.

    Raises:
        UserError: no sequence.
    """

    def __init__(self, folder: Path, taxonomy: Taxonomy, is_truth: bool) -> None:
        self.taxonomy = taxonomy
        self.files = frame_files(folder)
        self._is_truth = is_truth

    def load(self, video: str, frame: str) -> PanopticMap:
        path = self.files[video][frame]
        colours = read_id_png(path)  # red + 256 green + 65536 blue
        segments: dict[int, Segment] = {}

        def id_of(colour: int) -> int:
            label, instance = colour & 255, (colour >> 8 & 255) << 8 | colour >> 16
            if label == _VOID:
                return VOID_ID
            if label not in self.taxonomy.index_of_id:
                raise UserError(
                    f"{path} has pixels of class {label} (red), which is none of the {len(self.taxonomy)} classes: "
                    "paint them 255 (void), or name the classes with --categories."
                )
            index = self.taxonomy.index_of_id[label]
            thing = self.taxonomy.classes[index].is_thing
            instance = instance if thing else 0
            segment = Segment((index + 1) << 16 | instance, index, self._is_truth and thing and instance == 0)
            segments[segment.id] = segment
            return segment.id

        return PanopticMap(relabelled(colours, id_of), tuple(segments.values()))


@register_video_layout("kitti-step", "KITTI-STEP", fits=is_step)
def open_kitti_step(options: VideoOptions) -> MapJob:
    from pantile.data.kitti_step import TAXONOMY

    options.refuse("KITTI-STEP", gt_dir="--gt-dir", pred_dir="--pred-dir", first_label="--first-label")
    taxonomy = read_categories(options.categories) if options.categories else TAXONOMY
    truth = StepMaps(_sequences(options.gt, options.split), taxonomy, is_truth=True)
    prediction = StepMaps(_sequences(options.pred, options.split), taxonomy, is_truth=False)
    return map_job("panoptic", truth, prediction, options, _WINDOWS)
