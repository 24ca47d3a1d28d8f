"""RepeatFactorSampler: images that show rare classes are drawn more often.

Repeat factor sampling of LVIS (Gupta, Dollar and Girshick, "LVIS: A Dataset for Large Vocabulary Instance
Segmentation", CVPR 2019, appendix B.2): with f(c) the share of the images that show class c, a class has the factor
``r(c) = max(1, sqrt(t / f(c)))`` for a threshold t, and an image the largest of its classes.
"""

from collections.abc import Iterator

import numpy as np
from torch.utils.data import Sampler

from pantile.contracts.errors import UserError
from pantile.data.sampler import Draw

# Third words of the random streams, as in ``paired_crops``
ROUNDING, ORDER = 3, 4


def repeat_factors(presence: np.ndarray, threshold: float) -> np.ndarray:
    """How often an epoch shows each image.

    Args:
        presence: (images, classes) bool, which classes an image shows.
        threshold: share of the images, above 0 and up to 1, below which a class is rare.

    Returns:
        (images,) float64, at least 1; 1 of an image without segments.
    """
    share = presence.mean(axis=0)
    of_class = np.sqrt(np.maximum(1.0, threshold / np.where(share > 0, share, 1.0)))
    return np.where(presence, of_class, 1.0).max(axis=1, initial=1.0)


class RepeatFactorSampler(Sampler):
    """Yields a ``Draw`` for ever; its number counts samples over all processes.

    An epoch has each image as often as its factor says; what is left of a whole number is drawn anew in each epoch, so
    that means are exact. Then it is shuffled. The stream is a function of ``(seed, factors)`` alone, and process r of N
    takes every N-th draw, as in ``InfiniteSampler``.

    Args:
        factors: (images,) how often an epoch shows each, at least 1.
        seed: of the stream.
        start: draws that an earlier run has used, over all processes.
        rank, world_size: this process and how many there are.

    Raises:
        UserError: there are no images.
    """

    def __init__(self, factors: np.ndarray, seed: int = 0, start: int = 0, rank: int = 0, world_size: int = 1) -> None:
        if not len(factors):
            raise UserError("The training data set has no images: check the folder and the split.")
        if not 0 <= rank < world_size:
            raise ValueError(f"rank {rank} is not in 0..{world_size - 1}")
        self.factors = factors
        self.seed = seed
        self.start = start
        self.rank = rank
        self.world_size = world_size

    def __iter__(self) -> Iterator[Draw]:
        draw = self.start + self.rank
        epoch, begin = 0, 0
        counts = self._counts(epoch)
        order: np.ndarray | None = None
        while True:
            while draw >= begin + counts.sum():  # epochs differ in length, so earlier ones are counted
                begin += int(counts.sum())
                epoch += 1
                counts, order = self._counts(epoch), None
            if order is None:
                images = np.repeat(np.arange(len(counts)), counts)
                order = np.random.default_rng([self.seed, epoch, ORDER]).permutation(images)
            yield Draw(int(order[draw - begin]), draw)
            draw += self.world_size

    def _counts(self, epoch: int) -> np.ndarray:
        """(images,) how often this epoch shows each."""
        whole = np.floor(self.factors)
        chance = np.random.default_rng([self.seed, epoch, ROUNDING]).random(len(whole))
        return (whole + (chance < self.factors - whole)).astype(np.int64)
