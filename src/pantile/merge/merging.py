"""merge(): any model's output to predictions; the kind of its config decides how."""

from collections.abc import Sequence

import torch

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
        UserError: the numbers of images or of classes disagree.
    """
    return MERGERS.find(config.kind, "merge.kind").predict(output, taxonomy, config, placements, tasks)
