"""PanopticTargets: a batch of ground truth as id maps plus tables; dense masks are made late, on the device."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from pantile.contracts.errors import UserError
from pantile.contracts.panoptic import PanopticMap
from pantile.contracts.taxonomy import Taxonomy


@dataclass(frozen=True)
class MaskTargets:
    """Ground-truth masks of a batch at the resolution a criterion wants.

    Masks do not overlap, so a map of row numbers says everything; ``one_hot`` makes dense masks where a matrix
    product needs them.

    Attributes:
        index: (B, h, w) int64, the row of the mask that covers the pixel, or -1 on void.
        labels: (B, G) int64 class index of each row, or -1 for a row without a mask (padding of the table,
            crowd, or a mask that vanished at this resolution).
    """

    index: Tensor
    labels: Tensor

    @property
    def present(self) -> Tensor:
        """(B, G) bool: the rows that hold a mask."""
        return self.labels >= 0

    @property
    def void(self) -> Tensor:
        """(B, h, w) bool."""
        return self.index < 0

    def one_hot(self, dtype: torch.dtype = torch.float32) -> Tensor:
        """(B, G, h*w) of 0 and 1."""
        flat = self.index.flatten(1)
        rows = torch.arange(self.labels.shape[1], device=flat.device)
        return (flat[:, None, :] == rows[None, :, None]).to(dtype)

    def areas(self) -> Tensor:
        """(B, G) float32: pixels of each mask."""
        flat = self.index.flatten(1)
        counts = torch.zeros(self.labels.shape[0], self.labels.shape[1] + 1, device=flat.device)
        counts.scatter_add_(1, flat + 1, torch.ones_like(flat, dtype=counts.dtype))
        return counts[:, 1:]

    def semantic(self) -> Tensor:
        """(B, h, w) int64 class index per pixel, -1 on void."""
        with_void = torch.cat([self.labels.new_full((self.labels.shape[0], 1), -1), self.labels], dim=1)
        return with_void.gather(1, self.index.flatten(1) + 1).view_as(self.index)


@dataclass(frozen=True)
class PanopticTargets:
    """A batch of panoptic ground truth, after augmentation.

    One row of the table per non-crowd thing segment, per stuff class and per crowd region. Zero rows is a normal
    case.

    A clip of T frames is T neighbours of the batch: with ``frames`` T, entries c T .. c T + T - 1 are the frames of
    clip c in their order. They share their table: row r is the same thing in all of them, whether or not a frame shows
    it.

    Attributes:
        ids: (B, H, W) integer; 0 is void (unlabelled or padding), r + 1 is row r of that image's table.
        classes: (B, R) int64 class index of each row, -1 where the table is padded; R >= 0 is the batch's longest.
        crowd: (B, R) bool.
        names: the images' names, for messages.
        padding: (B, H, W) bool, true where the network's input shows no image; None where that is nowhere.
        frames: T >= 1, of which B is a multiple; 1 is a batch of images.
    """

    ids: Tensor
    classes: Tensor
    crowd: Tensor
    names: tuple[str, ...]
    padding: Tensor | None = None
    frames: int = 1

    @classmethod
    def from_maps(
        cls, maps: Sequence[PanopticMap], taxonomy: Taxonomy, names: Sequence[str] | None = None, frames: int = 1
    ) -> "PanopticTargets":
        """Of maps whose ids are any numbers, as ``open_dataset(...)`` and ``PanopticMap`` have them.

        Args:
            maps: of one size. Pixels of an id without a row of the table are void.
            taxonomy: K classes; decides which class indices there are.
            names: for messages; default is the position in the batch.
            frames: T, see the class: each T maps are a clip, in which an id is the same thing in every frame.

        Raises:
            UserError: no maps, other sizes, a row that names a class which is not there, or an id that changes its
                class within a clip.
        """
        names = [f"map {i}" for i in range(len(maps))] if names is None else names
        tables = [table for start in range(0, len(maps), frames) for table in _tables(maps[start : start + frames])]
        ids = [torch.from_numpy(_rows_of_ids(m.ids, table[:, 0])) for m, table in zip(maps, tables, strict=True)]
        return collate_targets(
            ids,
            [torch.from_numpy(table[:, 1].astype(np.int64)) for table in tables],
            [torch.from_numpy(table[:, 2].astype(bool)) for table in tables],
            names,
            taxonomy.num_classes,
            frames=frames,
        )

    def __len__(self) -> int:
        return self.ids.shape[0]

    def as_images(self) -> "PanopticTargets":
        """The same frames as images of their own, for a model or criterion that knows no clips."""
        return self if self.frames == 1 else replace(self, frames=1)

    def to(self, device: torch.device | str, non_blocking: bool = False) -> "PanopticTargets":
        return replace(
            self,
            ids=self.ids.to(device, non_blocking=non_blocking),
            classes=self.classes.to(device, non_blocking=non_blocking),
            crowd=self.crowd.to(device, non_blocking=non_blocking),
            padding=None if self.padding is None else self.padding.to(device, non_blocking=non_blocking),
        )

    def pin_memory(self) -> "PanopticTargets":
        return replace(
            self,
            ids=self.ids.pin_memory(),
            classes=self.classes.pin_memory(),
            crowd=self.crowd.pin_memory(),
            padding=None if self.padding is None else self.padding.pin_memory(),
        )

    def semantic(self, crowd: bool = True) -> Tensor:
        """(B, H, W) int64 class index per pixel, -1 on void and, without ``crowd``, on crowd."""
        learnt = self.classes >= 0 if crowd else (self.classes >= 0) & ~self.crowd
        table = torch.where(learnt, self.classes, -1)
        with_void = torch.cat([table.new_full((len(table), 1), -1), table], dim=1)
        return with_void.gather(1, self.ids.flatten(1).long()).view(self.ids.shape)

    def masks_at(self, size: tuple[int, int]) -> MaskTargets:
        """Ground-truth masks at (h, w), taken from every (H-1)/(h-1)-th pixel; crowd becomes void.

        Sizes of the form 32k+1 keep corners aligned at every stride, so there the step is a whole number and this
        is ``ids[::s, ::s]``; otherwise it is the nearest pixel. Rows whose mask vanishes get label -1; of a clip, those
        that no frame of it shows, so that the frames keep the same labels.
        """
        sampled = _sample_aligned(self.ids, size).long()
        usable = (self.classes >= 0) & ~self.crowd
        rows = torch.arange(1, self.classes.shape[1] + 1, device=sampled.device)
        row_of_id = torch.where(usable, rows, 0)
        row_of_id = torch.cat([row_of_id.new_zeros(row_of_id.shape[0], 1), row_of_id], dim=1)
        index = row_of_id.gather(1, sampled.flatten(1)).view_as(sampled) - 1
        targets = MaskTargets(index, torch.where(usable, self.classes, -1))
        seen = targets.areas() > 0
        if self.frames > 1:
            seen = seen.unflatten(0, (-1, self.frames)).any(dim=1).repeat_interleave(self.frames, dim=0)
        return replace(targets, labels=torch.where(seen, targets.labels, -1))

    def classes_present(self, num_classes: int) -> Tensor:
        """(B, K) bool: the classes that have pixels in each image, of a clip in any frame; those of crowds too.

        Args:
            num_classes: K.
        """
        seen = torch.zeros(len(self), self.classes.shape[1] + 1, dtype=torch.bool, device=self.ids.device)
        seen.scatter_(1, self.ids.flatten(1).long(), True)
        labels = torch.where(seen[:, 1:] & (self.classes >= 0), self.classes, num_classes)
        present = seen.new_zeros(len(self), num_classes + 1).scatter_(1, labels, True)[:, :num_classes]
        if self.frames > 1:
            present = present.unflatten(0, (-1, self.frames)).any(dim=1).repeat_interleave(self.frames, dim=0)
        return present


def _sample_aligned(ids: Tensor, size: tuple[int, int]) -> Tensor:
    """Nearest sampling with aligned corners: output pixel i reads round(i * (H-1) / (h-1))."""
    (full_h, full_w), (h, w) = ids.shape[-2:], size
    if (full_h, full_w) == (h, w):
        return ids
    rows = torch.linspace(0, full_h - 1, h, dtype=torch.float64).round().long().to(ids.device)
    columns = torch.linspace(0, full_w - 1, w, dtype=torch.float64).round().long().to(ids.device)
    return ids[:, rows][:, :, columns]


def collate_targets(
    maps: Sequence[Tensor],
    classes: Sequence[Tensor],
    crowd: Sequence[Tensor],
    names: Sequence[str],
    num_classes: int | None = None,
    padding: Tensor | None = None,
    frames: int = 1,
) -> PanopticTargets:
    """Stacks images of one size and pads their tables.

    Args:
        maps: (H, W) integer each, 0 void, r + 1 for row r.
        classes: (R_i,) int64 each, 0..K-1.
        crowd: (R_i,) bool each.
        names: of the images, for messages.
        num_classes: K; None where the caller answers for it.
        padding: (B, H, W) bool, see ``PanopticTargets``.
        frames: T, see ``PanopticTargets``; then each T maps have the same table.

    Raises:
        UserError: names the image whose map or table cannot be, or the clip whose frames have several tables.
    """
    if not len(maps):
        raise UserError("A batch of targets needs at least one map.")
    _check_clips(classes, crowd, names, frames)
    for image_map, image_classes, name in zip(maps, classes, names, strict=True):
        _check_image(image_map, maps[0].shape, image_classes, name, num_classes)
    rows = max(len(c) for c in classes)
    padded_classes = torch.full((len(maps), rows), -1, dtype=torch.int64)
    padded_crowd = torch.zeros((len(maps), rows), dtype=torch.bool)
    for image, (image_classes, image_crowd) in enumerate(zip(classes, crowd, strict=True)):
        padded_classes[image, : len(image_classes)] = image_classes
        padded_crowd[image, : len(image_crowd)] = image_crowd
    return PanopticTargets(torch.stack(list(maps)), padded_classes, padded_crowd, tuple(names), padding, frames)


def _check_clips(classes: Sequence[Tensor], crowd: Sequence[Tensor], names: Sequence[str], frames: int) -> None:
    if frames < 1 or len(classes) % frames:
        raise UserError(f"{len(classes)} maps are no clips of {frames} frames each: give as many frames to each clip.")
    for number in range(len(classes)):
        first = number - number % frames
        if not (torch.equal(classes[number], classes[first]) and torch.equal(crowd[number], crowd[first])):
            raise UserError(
                f"{names[number]}: the frame has another table than {names[first]}, with which it makes a clip: a row "
                "is the same thing, of the same class, in all frames."
            )


def _check_image(ids: Tensor, size: torch.Size, classes: Tensor, name: str, num_classes: int | None) -> None:
    """One pass over the map and its few rows: what is wrong here would be trained as something else, or end deep
    inside a kernel."""
    if ids.ndim != 2 or ids.is_floating_point() or ids.shape != size:
        raise UserError(
            f"{name}: the map is {ids.dtype} {tuple(ids.shape)}: give whole numbers of (H, W), of one size in a batch "
            f"(the first is {tuple(size)})."
        )
    least, most = (int(v) for v in classes.aminmax()) if len(classes) else (0, 0)
    if least < 0 or (num_classes is not None and most >= num_classes):
        wrong = least if least < 0 else most
        limit = "" if num_classes is None else f" to {num_classes - 1}"
        raise UserError(
            f"{name}: a segment has class index {wrong}, but indices go from 0{limit}; pixels without a class have "
            "id 0, and numbers that start at 1 are one too large."
        )
    low, high = (int(v) for v in ids.aminmax()) if ids.numel() else (0, 0)
    if low < 0 or high > len(classes):
        raise UserError(
            f"{name}: the map holds {low if low < 0 else high}, but its table has {len(classes)} rows: 0 is void, "
            "r + 1 is row r (PanopticTargets.from_maps takes any ids)."
        )


def _tables(maps: Sequence[PanopticMap]) -> list[np.ndarray]:
    """(R, 3) of id, class and crowd for each frame of a clip, the same in all."""
    rows = list(dict.fromkeys((s.id, s.class_index, s.is_crowd) for m in maps for s in m.segments))
    twice = [row[0] for row in rows if sum(other[0] == row[0] for other in rows) > 1] if len(maps) > 1 else []
    if twice:
        raise UserError(f"Segment {twice[0]} changes its class within a clip: an id is one thing in all frames.")
    return [np.array(rows).reshape(-1, 3)] * len(maps)


def _rows_of_ids(ids: np.ndarray, known: np.ndarray) -> np.ndarray:
    """(H, W) of any ids to int32 row numbers from 1; 0 where the id is not known."""
    order = np.argsort(known)
    place = np.searchsorted(known, ids, sorter=order)
    rows = np.append(order, -1)[place]  # behind the last is no row
    return np.where(np.append(known, -1)[rows] == ids, rows + 1, 0).astype(np.int32) * (ids != 0)
