"""A checkpoint of a few convolutions that exports in seconds, with weights that are not trivial."""

from pathlib import Path

import torch

from model_check.tiny_model import NAME, Tiny, TinyConfig
from pantile.contracts.taxonomy import plain_taxonomy
from pantile.data import Scenes
from pantile.engine.checkpoint import Checkpoint
from pantile.engine.task import PanopticTask
from pantile.merge import QueryMergeConfig
from pantile.models.base import ARCHITECTURES
from pantile.recipes import make_recipe

TAXONOMY = plain_taxonomy(["cat", "dog", "sky"], things=["cat", "dog"])
SIZE = (64, 96)


class registered:
    """The tiny architecture is registered while the block runs."""

    def __enter__(self) -> None:
        ARCHITECTURES.register(NAME)(Tiny)

    def __exit__(self, *_: object) -> None:
        ARCHITECTURES.remove(NAME)


def tiny_checkpoint() -> Checkpoint:
    """Of a network whose random masks make several segments."""
    config = make_recipe("maskformer_nano")
    config.model, config.evaluation_size = TinyConfig(), SIZE
    config.merge = QueryMergeConfig(object_threshold=0.3, overlap_threshold=0.2)
    torch.manual_seed(0)
    task = PanopticTask(config, TAXONOMY)
    images = torch.stack([torch.from_numpy(Scenes(2, size=SIZE).load(index)[0]) for index in range(2)])
    model = task.model
    with torch.no_grad():
        model.backbone[1].momentum = None  # statistics of the images, so that features differ from pixel to pixel
        model.embed.weight.normal_()
        features = model.backbone(model.normalised(images.permute(0, 3, 1, 2)))
        model.embed.bias.copy_(model.embed.bias - model.embed(features).mean(dim=(0, 2, 3)))
        model.queries.normal_(std=4)
        model.classify.weight.normal_()
    state = {k: v for k, v in task.state_dict().items() if k.startswith("model.")}
    return Checkpoint(Path("runs/tiny/weights.safetensors"), config, TAXONOMY, state)
