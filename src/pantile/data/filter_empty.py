"""Leaving out images without things, as detectron2 does in instance segmentation (``FILTER_EMPTY_ANNOTATIONS``)."""

import warnings

import numpy as np

from pantile.contracts.errors import UserError
from pantile.data.dataset import PanopticDataset
from pantile.data.segment_index import class_presence
from pantile.data.subset import Subset


def images_with_things(dataset: PanopticDataset, workers: int = 0, tell: bool = False) -> PanopticDataset:
    """The images that show a thing; crowd is none.

    Args:
        workers: processes that read labels where no table of the data set lists the segments.
        tell: warn how many images were left out, and show a bar while labels are read.

    Raises:
        UserError: no image shows a thing.
    """
    things = list(dataset.taxonomy.thing_indices)
    kept = np.flatnonzero(class_presence(dataset, workers, progress=tell)[:, things].any(axis=1))
    if not len(kept):
        raise UserError(
            f"None of the {len(dataset)} training images shows a thing that is no crowd, and augment.filter_empty "
            "leaves out images without: label things, or set augment.filter_empty=false."
        )
    left_out = len(dataset) - len(kept)
    if not left_out:
        return dataset
    if tell:
        warnings.warn(
            f"{left_out} of {len(dataset)} training images show no thing and are left out (augment.filter_empty).",
            stacklevel=2,
        )
    return Subset(dataset, kept.tolist())
