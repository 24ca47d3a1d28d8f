"""TrainingSamples: augmented images and targets, reproducible whatever the number of workers or restarts."""

import warnings
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset, get_worker_info

from pantile.contracts.errors import UserError
from pantile.contracts.panoptic import PanopticMap
from pantile.contracts.targets import PanopticTargets, collate_targets
from pantile.data.augment import AugmentConfig, augment
from pantile.data.copy_paste import choose_rows, paste
from pantile.data.dataset import PanopticDataset
from pantile.data.fit import half_up
from pantile.data.label_rows import LabelRows, label_rows
from pantile.data.resize import PAD_VALUE
from pantile.data.sampler import Draw, Focus
from pantile.data.windows import FocusBox


class TrainingSample(NamedTuple):
    """One augmented image.

    Attributes:
        image: (3, H, W) uint8.
        ids: (H, W) int16; 0 void (unlabelled or padding), r + 1 for row r.
        classes: (R,) int64 class index of each row.
        crowd: (R,) bool.
        name: the image's name.
        padding: (H, W) bool, true where there is no image; None where that is nowhere.
    """

    image: Tensor
    ids: Tensor
    classes: Tensor
    crowd: Tensor
    name: str
    padding: Tensor | None = None


class DrawnSample(NamedTuple):
    """One augmented image with all its rows, before those that are too small become void.

    Attributes:
        image: (C, H, W) uint8.
        labels: every row of the image and of what was pasted into it, also those that have no pixel any more.
        name: the image's name.
        areas: (R,) pixels of each row; of a clip, in all its frames.
        least: pixels that a target has to have.
    """

    image: Tensor
    labels: LabelRows
    name: str
    areas: np.ndarray
    least: int

    @property
    def kept(self) -> np.ndarray:
        """(R,) bool: which rows are targets."""
        return self.areas >= self.least

    @property
    def labelled(self) -> int:
        """Pixels that are neither void nor crowd."""
        return int(self.areas[~self.labels.crowd].sum())

    def enough(self, config: AugmentConfig) -> bool:
        """Whether it need not be drawn anew."""
        return not self.labels.crowd[self.kept].all() and self.labelled >= config.min_labelled_pixels

    def sample(self) -> TrainingSample:
        """With the rows that are targets."""
        labels = self.labels.keep(self.kept)
        return TrainingSample(
            image=self.image,
            ids=torch.from_numpy(labels.ids),
            classes=torch.from_numpy(labels.classes),
            crowd=torch.from_numpy(labels.crowd),
            name=self.name,
            padding=None if labels.padding is None else torch.from_numpy(labels.padding),
        )


class TrainingSamples(Dataset):
    """A map-style data set whose index is a ``Draw`` (or its first fields), as a sampler gives it.

    Everything random about a sample derives from ``(seed, draw.number)``: results depend neither on the number of
    workers nor on where a run was interrupted.

    Args:
        dataset: where images come from.
        config: the recipe.
        seed: of the whole stream.
    """

    def __init__(self, dataset: PanopticDataset, config: AugmentConfig, seed: int = 0) -> None:
        config.check()
        self.dataset = dataset
        self.config = config
        self.seed = seed
        self._told_small = False

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, index: Draw | tuple[int, int]) -> TrainingSample:
        """
        Raises:
            UserError: the image cannot be read, or shows nothing that the draw's focus asks for.
        """
        return self.drawn(index).sample()

    def drawn(self, index: Draw | tuple[int, int]) -> DrawnSample:
        """The same with the rows that are no targets; raises the same."""
        dataset_index, number, focus = Draw(*index)
        rng = np.random.default_rng([self.seed, number])
        for _ in range(self.config.redraws):
            drawn = self._draw(dataset_index, rng, focus)
            if drawn.enough(self.config):
                return drawn
            if focus is None:  # else the partner would lose its class: another segment of the same image is drawn
                dataset_index = int(rng.integers(len(self.dataset)))
        return self._draw(dataset_index, rng, focus)

    def _draw(self, dataset_index: int, rng: np.random.Generator, focus: Focus | None) -> DrawnSample:
        image, labels = self._augmented(dataset_index, rng, focus=focus)
        if self.config.copy_paste > 0 and rng.random() < self.config.copy_paste:
            other = int(rng.integers(len(self.dataset)))
            canvas = (image.shape[-2], image.shape[-1])
            source_image, source = self._augmented(other, rng, self.config.copy_paste_scale, canvas=canvas)
            chosen = choose_rows(source, self.dataset.taxonomy, rng)
            image, labels = paste(image, labels, source_image, source, chosen, self.dataset.taxonomy)
        name = self.dataset.name_of(dataset_index)
        return DrawnSample(image, labels, name, labels.areas(), max(self.config.min_pixels, 1))

    def _augmented(
        self,
        dataset_index: int,
        rng: np.random.Generator,
        scale_factor: float = 1.0,
        focus: Focus | None = None,
        canvas: tuple[int, int] | None = None,
    ) -> tuple[Tensor, LabelRows]:
        image, panoptic = self.dataset.load(dataset_index)
        rows = label_rows(panoptic, self.dataset.taxonomy)
        box = None
        if focus is not None:
            box = self._focus_box(panoptic, focus, rng, self.dataset.name_of(dataset_index))
        elif self.config.pairs is None and not self._told_small:
            self._tell_small(panoptic.size, self.dataset.name_of(dataset_index))
        if self.config.crop_on_thing and self.config.pairs is None:
            box = box_of_one(panoptic, self.dataset.taxonomy.thing_indices, rng)
        return augment(image, rows, self.config, rng, scale_factor, box, canvas)

    def _focus_box(self, panoptic: PanopticMap, focus: Focus, rng: np.random.Generator, name: str) -> FocusBox:
        """A random segment of the class, never crowd."""
        info = self.dataset.taxonomy.classes[focus.class_index]
        box = box_of_one(panoptic, [focus.class_index], rng, focus.target_size if info.is_thing else None)
        if box is None:
            raise UserError(
                f"{name} shows no {info.name!r}, though it did when the labels were indexed: leave the labels alone "
                "while a run uses them, and start it anew."
            )
        return box

    def _tell_small(self, size: tuple[int, int], name: str) -> None:
        """One warning about the first image that is smaller than the crop, however large a scale is drawn.

        Scales relative to the crop or to a length mean their padding. Of several workers the first one speaks.
        """
        config, worker = self.config, get_worker_info()
        largest = config.scale_range[1]
        relative = config.scale_relative_to != "native" or config.short_side or config.pad == "batch"
        fills = any(half_up(full * largest) >= limit for full, limit in zip(size, config.crop, strict=True))
        if relative or fills or (worker is not None and worker.id > 0):
            return
        self._told_small = True
        warnings.warn(
            f"{name} is {size[1]}x{size[0]} pixels, so even at the largest scale ({largest:g}) it is smaller than the "
            f"crop ({config.crop[1]}x{config.crop[0]}) and is padded; this is not said of further images.",
            stacklevel=2,
        )


def box_of_one(
    panoptic: PanopticMap, classes: Sequence[int], rng: np.random.Generator, target_size: int | None = None
) -> FocusBox | None:
    """The box of a random segment of these classes, never crowd; None where there is none."""
    ids = [s.id for s in panoptic.segments if s.class_index in classes and not s.is_crowd]
    if not ids:
        return None
    mask = panoptic.ids == ids[rng.integers(len(ids))]
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not len(rows):
        return None
    return FocusBox(int(rows[0]), int(columns[0]), int(rows[-1]) + 1, int(columns[-1]) + 1, target_size)


def collate(samples: Sequence[TrainingSample], multiple: int = 1, frames: int = 1) -> tuple[Tensor, PanopticTargets]:
    """A batch: (B, C, H, W) uint8 images and their targets; of clips where ``frames`` is above 1.

    Images lie at the top left. H and W are those of the largest, rounded up to multiples of ``multiple``; what is left
    is padding and void.
    """
    images, ids, classes, crowd, names, paddings = zip(*samples, strict=True)
    heights, widths = zip(*(image.shape[-2:] for image in images), strict=True)
    height, width = (-(-max(sides) // multiple) * multiple for sides in (heights, widths))
    if min(heights) == height and min(widths) == width and all(padding is None for padding in paddings):
        return torch.stack(images), collate_targets(ids, classes, crowd, names, frames=frames)
    canvas = images[0].new_full((len(images), images[0].shape[0], height, width), PAD_VALUE)
    maps = ids[0].new_zeros(len(images), height, width)
    padding = torch.ones(len(images), height, width, dtype=torch.bool)
    for number, (h, w) in enumerate(zip(heights, widths, strict=True)):
        canvas[number, :, :h, :w] = images[number]
        maps[number, :h, :w] = ids[number]
        padding[number, :h, :w] = False if paddings[number] is None else paddings[number]
    return canvas, collate_targets(tuple(maps), classes, crowd, names, padding=padding, frames=frames)
