"""ClipSamples: augmented training clips of videos, all frames of a clip treated alike."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from torch import Tensor
from torch.utils.data import Dataset

from pantile.contracts.errors import UserError
from pantile.contracts.panoptic import PanopticMap, Segment
from pantile.contracts.targets import PanopticTargets
from pantile.data.augment import augment_alike
from pantile.data.augment_config import AugmentConfig
from pantile.data.dataset import PanopticDataset
from pantile.data.label_rows import LabelRows, label_rows
from pantile.data.sampler import Draw
from pantile.data.training_samples import DrawnSample, TrainingSample, box_of_one, collate
from pantile.data.videos import videos_of


class ClipSamples(Dataset):
    """A map-style data set whose index is a ``Draw`` of a video, as a sampler gives it.

    A sample is the frames of a clip, which share their table: row r is the same thing in all of them. Everything random
    about it derives from ``(seed, draw.number)``.

    Args:
        dataset: of videos.
        config: the recipe; its ``clip`` says which frames.
        seed: of the whole stream.

    Raises:
        UserError: the data set has no videos, or the recipe has what clips cannot have.
    """

    def __init__(self, dataset: PanopticDataset, config: AugmentConfig, seed: int = 0) -> None:
        config.check()
        self.dataset = dataset
        self.videos = videos_of(dataset)
        self.config = config
        self.seed = seed

    def __len__(self) -> int:
        return len(self.videos)

    def __getitem__(self, index: Draw | tuple[int, int]) -> list[TrainingSample]:
        """
        Raises:
            UserError: a frame cannot be read, frames of a video differ in size, or an id changes its class.
        """
        return [frame.sample() for frame in self.drawn(index)]

    def drawn(self, index: Draw | tuple[int, int]) -> list[DrawnSample]:
        """The same with the rows that are no targets; raises the same."""
        number, draw, *_ = index
        rng = np.random.default_rng([self.seed, draw])
        for _ in range(self.config.redraws):
            frames = self._draw(number, rng)
            if frames[0].enough(self.config):
                return frames
            number = int(rng.integers(len(self.videos)))
        return self._draw(number, rng)

    def _draw(self, number: int, rng: np.random.Generator) -> list[DrawnSample]:
        video, config = self.videos[number], self.config
        indices = [video.frames[k] for k in config.clip.draw(len(video), rng)]
        loaded = [self.dataset.load(index) for index in indices]
        names = [self.dataset.name_of(index) for index in indices]
        joint = joint_map([panoptic for _, panoptic in loaded], names)
        rows = label_rows(joint, self.dataset.taxonomy)
        labels = [LabelRows(ids, rows.classes, rows.crowd) for ids in rows.ids]
        box = None
        if config.crop_on_thing:
            box = box_of_one(loaded[0][1], self.dataset.taxonomy.thing_indices, rng)
        images, labels = augment_alike([image for image, _ in loaded], labels, config, rng, focus=box)
        areas = np.sum([frame.areas() for frame in labels], axis=0)
        least = max(config.min_pixels, 1)
        frames = zip(images, labels, names, strict=True)
        return [DrawnSample(image, frame, name, areas, least) for image, frame, name in frames]


def joint_map(maps: Sequence[PanopticMap], names: Sequence[str]) -> PanopticMap:
    """The maps of a clip as one of (T, H, W), whose table has every segment of any frame.

    Raises:
        UserError: maps of several sizes, or an id that changes its class or is crowd in some frames only.
    """
    table: dict[int, tuple[Segment, str]] = {}
    for panoptic, name in zip(maps, names, strict=True):
        if panoptic.size != maps[0].size:
            (h, w), (height, width) = panoptic.size, maps[0].size
            raise UserError(
                f"{name} is {w}x{h} pixels and {names[0]} of the same video {width}x{height}: give all frames of a "
                "video one size."
            )
        for segment in panoptic.segments:
            known, where = table.setdefault(segment.id, (segment, name))
            if (known.class_index, known.is_crowd) != (segment.class_index, segment.is_crowd):
                raise UserError(
                    f"Segment {segment.id} has another class in {name} than in {where}: an id is one thing in all "
                    "frames of a video, so give it another id."
                )
    segments = tuple(replace(segment, score=1.0) for segment, _ in table.values())
    return PanopticMap(np.stack([panoptic.ids for panoptic in maps]), segments)


def collate_clips(clips: Sequence[Sequence[TrainingSample]], multiple: int = 1) -> tuple[Tensor, PanopticTargets]:
    """A batch of B clips: (B T, C, H, W) uint8 frames and their targets, see ``PanopticTargets.frames``."""
    return collate([frame for clip in clips for frame in clip], multiple, len(clips[0]))
