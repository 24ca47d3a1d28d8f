"""Ground truth that experiments with an oracle see before the model runs; nothing is done for other techniques."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager

from pantile.contracts.panoptic import PanopticMap
from pantile.contracts.targets import PanopticTargets
from pantile.techniques.base import Technique


@contextmanager
def ground_truth_shown(
    techniques: Iterable[Technique], ground_truth: PanopticTargets | Sequence[PanopticMap]
) -> Iterator[None]:
    """While the model runs on the images of ``ground_truth``.

    Args:
        techniques: of the run.
        ground_truth: of the batch, as training or as evaluation has it.
    """
    readers = [technique for technique in techniques if technique.reads_ground_truth]
    for technique in readers:
        technique.show_ground_truth(ground_truth)
    try:
        yield
    finally:
        for technique in readers:
            technique.show_ground_truth(None)
