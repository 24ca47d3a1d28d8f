"""The bands of the images: what a ``dataset.yaml`` says of them, in the fields of a model's config."""

import warnings
from dataclasses import replace
from typing import TypeVar

from pantile.contracts.errors import UserError
from pantile.data.dataset import PanopticDataset
from pantile.data.described_images import DESCRIPTION, RGB, DescribedImages
from pantile.data.reading import AS_STORED, Reading
from pantile.data.subset import Subset

HALF_SCALE = 127.5

#: a model's config: a dataclass with ``in_channels``, ``image_mean`` and ``image_std``, the latter on the 0..255 scale
Model = TypeVar("Model")


def description_of(dataset: PanopticDataset) -> DescribedImages | None:
    """What the data set's ``dataset.yaml`` says of its images; None where it has none, which means RGB."""
    return getattr(_whole(dataset), "description", None)


def reading_for(dataset: PanopticDataset) -> Reading:
    """Pages, bands and range as ``dataset.yaml`` says them."""
    described = description_of(dataset)
    return AS_STORED if described is None else described.reading


def settle_reading(dataset: PanopticDataset, own: Reading, channels: int) -> None:
    """Has images read as ``dataset.yaml`` says, or as the model's ``own`` where that file says nothing.

    Warns:
        UserWarning: both say something, and not the same.
    """
    described = reading_for(dataset)
    if described not in (AS_STORED, own) and own != AS_STORED:
        warnings.warn(
            f"{DESCRIPTION} of the data reads its images with {said(described)}, the model was trained with "
            f"{said(own)}: the former is taken.",
            stacklevel=3,
        )
    read_as(dataset, own if described == AS_STORED else described, channels)


def said(reading: Reading) -> str:
    """Such as ``range: (0, 3000)``."""
    fields = {name: value for name, value in vars(reading).items() if value is not None}
    return ", ".join(f"{name}: {value}" for name, value in fields.items()) or "bands and values as they are"


def read_as(dataset: PanopticDataset, reading: Reading, channels: int) -> None:
    """From here on the images of a data set are read so; generated ones stay as they are."""
    whole = _whole(dataset)
    if hasattr(whole, "reading"):
        whole.reading, whole.channels = reading, channels


def _whole(dataset: PanopticDataset) -> PanopticDataset:
    while isinstance(dataset, Subset):
        dataset = dataset.dataset
    return dataset


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


def check_reading(images: Reading, dataset: PanopticDataset) -> None:
    """
    Raises:
        UserError: the run's config reads images otherwise than ``dataset.yaml`` says.
    """
    described = reading_for(dataset)
    if described not in (AS_STORED, images):
        raise UserError(
            f"{DESCRIPTION} says {said(described)}, but the run's images.* say {said(images)}: let them agree, or "
            "start a new run."
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
