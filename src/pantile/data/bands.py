"""The bands of the images: what a ``dataset.yaml`` says of them, in the fields of a model's config."""

from dataclasses import replace
from typing import TypeVar

from pantile.contracts.errors import UserError
from pantile.data.dataset import PanopticDataset
from pantile.data.description import DESCRIPTION, DescribedFolder, Description
from pantile.data.subset import Subset

RGB = 3
HALF_SCALE = 127.5

#: a model's config: a dataclass with ``in_channels``, ``image_mean`` and ``image_std``, the latter on the 0..255 scale
Model = TypeVar("Model")


def description_of(dataset: PanopticDataset) -> Description | None:
    """What the data set's ``dataset.yaml`` says; None where it has none, which means RGB."""
    while isinstance(dataset, Subset):
        dataset = dataset.dataset
    return dataset.description if isinstance(dataset, DescribedFolder) else None


def for_data(model: Model, dataset: PanopticDataset) -> Model:
    """The config of a model for the images of a data set.

    Where ``dataset.yaml`` gives no mean or std, the model keeps its own if it has as many bands, and otherwise takes
    half the scale, which brings images to -1..1. A data set without the file leaves the model as it is.
    """
    described = description_of(dataset)
    if described is None:
        return model
    same = model.in_channels == described.channels
    half = (HALF_SCALE,) * described.channels
    mean, std = (model.image_mean, model.image_std) if same else (half, half)
    return replace(
        model, in_channels=described.channels, image_mean=described.mean or mean, image_std=described.std or std
    )


def check_bands(model: Model, dataset: PanopticDataset) -> None:
    """
    Raises:
        UserError: the model takes other images than the data set has, or its own fields do not agree.
    """
    for field in ("image_mean", "image_std"):
        values = getattr(model, field)
        if len(values) != model.in_channels:
            raise UserError(
                f"model.{field} has {len(values)} values, but model.in_channels is {model.in_channels}: "
                "give one per channel."
            )
    described = description_of(dataset)
    channels = described.channels if described else RGB
    if channels != model.in_channels:
        said = f"{DESCRIPTION} says channels: {channels}" if described else "RGB, as no dataset.yaml says otherwise"
        raise UserError(
            f"The model takes images of {model.in_channels} channel(s) (model.in_channels), but the data's have "
            f"{channels} ({said}): train a model for these images, or name other data."
        )
