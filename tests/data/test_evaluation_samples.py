"""Evaluation samples, the loaders, and errors that come out of worker processes."""

from itertools import islice

import numpy as np
import pytest
import torch

from pantile.contracts.errors import UserError
from pantile.data.augment import AugmentConfig
from pantile.data.evaluation_samples import EvaluationSamples, collate_evaluation
from pantile.data.loading import evaluation_loader, training_loader
from pantile.data.resize import fit_to
from pantile.data.scenes import Scenes


def test_label_keeps_its_size_and_image_is_fitted() -> None:
    scenes = Scenes(3, size=(50, 80))
    samples = EvaluationSamples(scenes, (65, 97))
    for index in range(3):
        sample = samples[index]
        image, panoptic = scenes.load(index)
        expected, placement = fit_to(image, (65, 97))
        assert torch.equal(sample.image, expected)
        assert sample.placement == placement
        assert sample.placement.content == (61, 97)
        assert sample.index == index
        assert np.array_equal(sample.panoptic.ids, panoptic.ids)
        assert sample.panoptic.segments == panoptic.segments


def test_batch() -> None:
    samples = EvaluationSamples(Scenes(2, size=(50, 80)), (65, 65))
    batch = collate_evaluation([samples[0], samples[1]])
    assert batch.images.shape == (2, 3, 65, 65)
    assert len(batch) == 2
    assert batch.indices == (0, 1)
    moved = batch.to(torch.device("meta"))
    assert moved.images.device.type == "meta"
    assert moved.panoptic is batch.panoptic


@pytest.mark.parametrize("world_size", [1, 2, 3])
def test_processes_share_the_images_without_repeats(world_size: int) -> None:
    scenes = Scenes(7, size=(32, 32))
    seen = []
    for rank in range(world_size):
        loader = evaluation_loader(scenes, (33, 33), batch_size=2, rank=rank, world_size=world_size)
        seen += [index for batch in loader for index in batch.indices]
    assert sorted(seen) == list(range(7))


def test_training_loader_resumes() -> None:
    scenes, config = Scenes(5, size=(48, 48)), AugmentConfig(crop=(33, 33))
    whole = list(islice(training_loader(scenes, config, 2, seed=1), 4))
    resumed = list(islice(training_loader(scenes, config, 2, seed=1, start=4, workers=1), 2))
    for (images, targets), (images_again, targets_again) in zip(whole[2:], resumed, strict=True):
        assert torch.equal(images, images_again)
        assert torch.equal(targets.ids, targets_again.ids)
        assert targets.names == targets_again.names


class Broken(Scenes):
    def load(self, index: int):
        raise UserError(f"image {index} is broken: replace the file.")


@pytest.mark.parametrize("workers", [0, 1])
def test_a_user_error_stays_one_sentence(workers: int) -> None:
    with pytest.raises(UserError) as caught:
        next(iter(evaluation_loader(Broken(2), (33, 33), workers=workers)))
    assert str(caught.value) == "image 0 is broken: replace the file."
