"""Ids and a table of segments that a graph gives itself, to a prediction."""

import numpy as np

from pantile.contracts.errors import UserError
from pantile.contracts.placement import Placement
from pantile.contracts.predictions import Prediction, Task
from pantile.inference.tiles import Tiling
from pantile.merge.nearest_pixels import to_original
from pantile.merge.segments import Canvas, PastedSegment
from pantile.runtime.kinds import Maps
from pantile.runtime.merging import KINDS

#: the outputs of such a graph
IDS, CLASSES, SCORES = "panoptic_ids", "segment_classes", "segment_scores"


def prediction_of_table(maps: Maps, kind: str, placement: Placement) -> Prediction:
    """
    Args:
        maps: ids (H, W) of the input, 0 or r + 1 for row r of a table of classes (S,), -1 for none, and scores (S,).
        kind: of the merge.
        placement: where the image lies in the input; ids are cut and taken to its size by nearest pixels.
    """
    table = zip(maps[CLASSES].tolist(), maps[SCORES].tolist(), strict=True)
    canvas = Canvas(
        to_original(maps[IDS].astype(np.int32), placement), [PastedSegment(int(k), float(score)) for k, score in table]
    )
    return Prediction(canvas.to_map(), per_class="instance" not in KINDS[kind].tasks)


def check_use(path: str, tiling: Tiling | None, tasks: frozenset[Task]) -> None:
    """What a graph that merges inside cannot do.

    Raises:
        UserError: tiles, which are stitched by the network's own tensors, or another task than the panoptic map.
    """
    if tiling is not None:
        raise UserError(f"{path} merges inside its graph, so tiles cannot be stitched: export with --merge outside.")
    if tasks != {"panoptic"}:
        raise UserError(
            f"{path} merges inside its graph and gives panoptic maps only, not {', '.join(sorted(tasks))}: export with "
            "--merge outside."
        )
