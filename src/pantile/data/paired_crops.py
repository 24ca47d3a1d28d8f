"""PairedCropSampler: two samples side by side that show the same class at about the same size.

The crop sampling of Intra-Batch Supervision (de Geus and Dubbelman, "Intra-Batch Supervision for Panoptic Segmentation
on High-Resolution Images", WACV 2023, section 4.2): crops of a batch seldom show two instances that a network could
confuse, so pairs are made that do. One pair is one class, thing or stuff, out of an endless shuffled list of the
classes that occur; two images that show it, drawn independently (they may coincide); and one target size. The segment,
the scale that gives it this size and the window around it are drawn when the image is loaded (``training_samples``,
``windows``).

Samples 2i and 2i + 1 of a batch are partners.
"""

from collections.abc import Iterator, Sequence

import numpy as np
from torch.utils.data import Sampler

from pantile.data.sampler import Draw, Focus
from pantile.data.segment_index import SegmentIndex

# Third words of the random streams: numpy pads a short key with zeros, so these keep them apart from the samples' own
CLASS_ORDER, PAIR = 1, 2


class PairedCropSampler(Sampler):
    """Yields a ``Draw`` with a ``Focus`` for ever; numbers 2p and 2p + 1 are pair p.

    Pair p has the class ``p % C`` of the shuffled round ``p // C`` over the C classes, and everything else about it
    derives from ``(seed, p)``. Process r of N takes every N-th pair, so a pair stays together, and N processes with
    (even) batches of b see the same effective batches as one process with batches of N*b.

    Args:
        index: images by class.
        target_sizes: in pixels, of which one is drawn for each pair.
        seed: of the stream.
        start: draws that an earlier run has used, over all processes; even.
        rank, world_size: this process and how many there are.
    """

    def __init__(
        self,
        index: SegmentIndex,
        target_sizes: Sequence[int],
        seed: int = 0,
        start: int = 0,
        rank: int = 0,
        world_size: int = 1,
    ) -> None:
        if not 0 <= rank < world_size:
            raise ValueError(f"rank {rank} is not in 0..{world_size - 1}")
        if start % 2:
            raise ValueError(f"start {start} would begin with the second half of a pair")
        self.index = index
        self.target_sizes = tuple(target_sizes)
        self.seed = seed
        self.start = start
        self.rank = rank
        self.world_size = world_size

    def __iter__(self) -> Iterator[Draw]:
        pair = self.start // 2 + self.rank
        count = len(self.index.classes)
        current, order = -1, np.zeros(0, dtype=np.int64)
        while True:
            if pair // count != current:
                current = pair // count
                order = np.random.default_rng([self.seed, current, CLASS_ORDER]).permutation(count)
            yield from self._pair(pair, int(order[pair % count]))
            pair += self.world_size

    def _pair(self, pair: int, position: int) -> Iterator[Draw]:
        rng = np.random.default_rng([self.seed, pair, PAIR])
        focus = Focus(self.index.classes[position], self.target_sizes[rng.integers(len(self.target_sizes))])
        images = self.index.images[position]
        for member, choice in enumerate(rng.integers(len(images), size=2).tolist()):
            yield Draw(int(images[choice]), 2 * pair + member, focus)
