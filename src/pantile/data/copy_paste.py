"""Panoptic copy-paste (kMaX-DeepLab): segments of a second image are laid over the first, pixels and labels."""

import numpy as np
import torch
from torch import Tensor

from pantile.contracts.taxonomy import Taxonomy
from pantile.data.label_rows import LabelRows


def choose_rows(labels: LabelRows, taxonomy: Taxonomy, rng: np.random.Generator) -> np.ndarray:
    """All things, plus a uniformly random number (0..all) of the rows, shuffled; never crowd, only rows with pixels.

    Returns:
        (R,) bool.
    """
    candidates = np.flatnonzero((labels.areas() > 0) & ~labels.crowd)
    chosen = np.zeros(len(labels.classes), dtype=bool)
    chosen[rng.permutation(candidates)[: rng.integers(len(candidates) + 1)]] = True
    chosen[candidates[_is_thing(labels.classes[candidates], taxonomy)]] = True
    return chosen


def paste(
    image: Tensor, labels: LabelRows, source_image: Tensor, source: LabelRows, chosen: np.ndarray, taxonomy: Taxonomy
) -> tuple[Tensor, LabelRows]:
    """Lays the chosen rows of ``source`` over ``labels``. Void and padding of the source are never pasted.

    A pasted thing becomes a new row; pasted stuff joins the row of its class where there is one.

    Args:
        image, source_image: (C, H, W) uint8.
        labels, source: (H, W) rows.
        chosen: (R_source,) bool.

    Returns:
        The new image and rows; rows that are now covered are still in the table.
    """
    if not chosen.any():
        return image, labels
    new_id = np.zeros(len(source.classes) + 1, dtype=np.int16)  # of each id of the source; 0 is not pasted
    classes, crowd = labels.classes.tolist(), labels.crowd.tolist()
    row_of_stuff = {
        class_index: row
        for row, class_index in enumerate(classes)
        if not crowd[row] and not taxonomy.classes[class_index].is_thing
    }
    for row in np.flatnonzero(chosen).tolist():
        class_index = int(source.classes[row])
        if class_index not in row_of_stuff:
            if not taxonomy.classes[class_index].is_thing:
                row_of_stuff[class_index] = len(classes)
            new_id[row + 1] = len(classes) + 1
            classes.append(class_index)
            crowd.append(False)
        else:
            new_id[row + 1] = row_of_stuff[class_index] + 1
    pasted = new_id.take(source.ids)
    covered = pasted > 0
    ids = pasted + labels.ids * ~covered
    padding = None if labels.padding is None else labels.padding & ~covered
    rows = LabelRows(ids, np.array(classes, dtype=np.int64), np.array(crowd, dtype=bool), padding)
    return _select(covered, source_image, image), rows


def _select(mask: np.ndarray, yes: Tensor, no: Tensor) -> Tensor:
    """``torch.where`` for bytes, by bit operations: ten times as fast on a CPU.

    Args:
        mask: (H, W) bool.
        yes, no: (C, H, W) uint8.
    """
    all_bits = torch.from_numpy(mask).to(torch.uint8).neg()  # 0 or 255
    return no ^ ((no ^ yes) & all_bits)


def _is_thing(classes: np.ndarray, taxonomy: Taxonomy) -> np.ndarray:
    return np.isin(classes, taxonomy.thing_indices)
