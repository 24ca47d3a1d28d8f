"""InfiniteSampler: an endless, shuffled, restartable stream of draws, shared out over processes."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from torch.utils.data import Sampler

from pantile.contracts.errors import UserError


class Focus(NamedTuple):
    """What a crop is made around: a segment of this class, drawn when the image is loaded.

    Attributes:
        class_index: of a class that the image shows.
        target_size: side in pixels that the box of a thing gets after resizing (the root of its area); stuff is
            resized as the recipe says.
    """

    class_index: int
    target_size: int


class Draw(NamedTuple):
    """What a sampler gives ``TrainingSamples``: one sample of a batch.

    Attributes:
        dataset_index: the image.
        number: counts samples over all processes; everything random about the sample derives from (seed, number).
        focus: what the crop has to contain; None crops anywhere.
    """

    dataset_index: int
    number: int
    focus: Focus | None = None


class InfiniteSampler(Sampler):
    """Yields a ``Draw`` for ever; its number counts samples over all processes.

    Draw g is item ``g % length`` of the shuffled epoch ``g // length``, so the stream is a function of
    ``(seed, length)`` alone. Process r of N takes every N-th draw, so N processes with batches of b see the same
    effective batches as one process with batches of N*b.

    Args:
        length: images in the data set.
        seed: of the shuffling.
        start: draws that an earlier run has used, over all processes.
        rank, world_size: this process and how many there are.

    Raises:
        UserError: the data set is empty.
    """

    def __init__(self, length: int, seed: int = 0, start: int = 0, rank: int = 0, world_size: int = 1) -> None:
        if length < 1:
            raise UserError("The training data set has no images: check the folder and the split.")
        if not 0 <= rank < world_size:
            raise ValueError(f"rank {rank} is not in 0..{world_size - 1}")
        self.length = length
        self.seed = seed
        self.start = start
        self.rank = rank
        self.world_size = world_size

    def __iter__(self) -> Iterator[Draw]:
        draw = self.start + self.rank
        epoch, order = -1, np.zeros(0, dtype=np.int64)
        while True:
            if draw // self.length != epoch:
                epoch = draw // self.length
                order = np.random.default_rng([self.seed, epoch]).permutation(self.length)
            yield Draw(int(order[draw % self.length]), draw)
            draw += self.world_size
