"""merge(): any model's output to predictions; the kind of its config decides how."""

from collections.abc import Sequence
from dataclasses import replace
from types import UnionType
from typing import get_args

import numpy as np
import torch
from torch import Tensor

from pantile.contracts.errors import UserError
from pantile.contracts.outputs import ModelOutput
from pantile.contracts.placement import Placement
from pantile.contracts.predictions import Prediction, Task
from pantile.contracts.taxonomy import Taxonomy
from pantile.merge.registry import MERGERS, MergeConfig
from pantile.merge.window_mosaic import WindowMosaic, as_taken


@torch.no_grad()
def merge(
    output: ModelOutput | WindowMosaic,
    taxonomy: Taxonomy,
    config: MergeConfig,
    placements: Sequence[Placement],
    tasks: frozenset[Task] = frozenset({"panoptic"}),
) -> list[Prediction]:
    """Turns the output of a model into one prediction per image, at the images' original sizes.

    Args:
        output: B images, of the kind that ``config`` is for.
        taxonomy: K classes, those the model was trained on.
        config: every threshold.
        placements: B entries, where each image lies in the network's input.
        tasks: what to fill beside the panoptic map, which always comes.

    Raises:
        UserError: the config is for another kind of output, or the numbers of images or of classes disagree.
    """
    merger = MERGERS.find(config.kind, "merge.kind")
    output = as_taken(output, merger.takes)
    if not isinstance(output, merger.takes):
        raise UserError(
            f"merge.kind={config.kind} takes a {_names(merger.takes)}, but there is a {type(output).__name__}: name "
            "the merge of this kind of output. Queries that are averaged over `windows` are classes of pixels, for "
            "merge.kind=query_votes."
        )
    predictions = merger.predict(output, taxonomy, config, placements, tasks)
    presence, selected = (getattr(output, name, None) for name in ("presence_logits", "classes"))
    if presence is None and selected is None:
        return predictions
    presence, selected = (_rows(values, len(predictions)) for values in (presence, selected))
    return [
        replace(prediction, presence_logits=own, selected_classes=classes)
        for prediction, own, classes in zip(predictions, presence, selected, strict=True)
    ]


def _rows(values: Tensor | None, count: int) -> list[np.ndarray] | list[None]:
    """One row for each image; numbers as float32."""
    if values is None:
        return [None] * count
    return list((values.float() if values.is_floating_point() else values).cpu().numpy())


def _names(kinds: type | UnionType) -> str:
    return " or a ".join(kind.__name__ for kind in get_args(kinds) or [kinds])
