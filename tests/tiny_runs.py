"""Configs of runs that take a second."""

from pantile.engine.config import RunConfig
from pantile.recipes import make_recipe


def make_tiny_config(recipe: str = "remax_nano") -> RunConfig:
    config = make_recipe(recipe)
    config.augment.crop = config.evaluation_size = (65, 65)
    config.criterion.instance_samples = config.criterion.semantic_samples = 64
    training = config.training
    training.steps, training.effective_batch, training.workers = 4, 4, 0
    training.validate_every, training.validation_images, training.log_every = 0.5, 2, 1
    training.precision = "fp32"
    return config
