"""A checkpoint of a few convolutions that exports in seconds, with weights that are not trivial."""

from pathlib import Path

import numpy as np
import torch

from model_check.tiny_model import NAME, Tiny, TinyConfig
from pantile.contracts.panoptic import PanopticMap, Segment
from pantile.contracts.taxonomy import plain_taxonomy
from pantile.data import Scenes, write_coco_panoptic
from pantile.engine.checkpoint import Checkpoint, save_weights
from pantile.engine.run_record import RunRecord
from pantile.engine.task import PanopticTask
from pantile.merge import QueryMergeConfig
from pantile.models.base import ARCHITECTURES
from pantile.recipes import make_recipe

TAXONOMY = plain_taxonomy(["cat", "dog", "sky"], things=["cat", "dog"])
SIZE = (64, 96)
SEED = 1


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


class Photos(Scenes):
    """Two scenes of 60 x 90 whose first segments are of the tiny checkpoint's classes."""

    def __init__(self) -> None:
        super().__init__(2, size=(60, 90), seed=SEED)
        self.taxonomy = TAXONOMY

    def load(self, index: int) -> tuple[np.ndarray, PanopticMap]:
        image, truth = super().load(index)
        kept = tuple(Segment(segment.id, k) for k, segment in enumerate(truth.segments[: len(TAXONOMY)]))
        return image, PanopticMap(np.where(np.isin(truth.ids, [s.id for s in kept]), truth.ids, 0), kept)


def write_tiny_run(folder: Path, data: Path) -> Path:
    """What a training of the tiny checkpoint leaves behind, and the data that it names, without the training."""
    checkpoint = tiny_checkpoint()
    folder.mkdir(parents=True)
    weights = folder / "weights.safetensors"
    save_weights(weights, checkpoint.state, checkpoint.config, TAXONOMY, step=3, measured=("pq", 0.25))
    for split in ("train", "val"):
        write_coco_panoptic(Photos(), data, split)
    RunRecord(str(data), command="pantile train").save(folder)
    return folder
