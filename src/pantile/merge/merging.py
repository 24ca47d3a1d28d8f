"""merge(): any model's output to predictions; the kind of its config decides how."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from pantile.contracts.outputs import ModelOutput
from pantile.contracts.placement import Placement
from pantile.contracts.predictions import Prediction, Task
from pantile.contracts.taxonomy import Taxonomy
from pantile.merge.registry import MERGERS, MergeConfig


@torch.no_grad()
def merge(
    output: ModelOutput,
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
        UserError: the numbers of images or of classes disagree, or the output is none that this merge is for.
    """
    merger = MERGERS.find(config.kind, "merge.kind")
    merger.check(output)
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
