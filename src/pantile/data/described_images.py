"""What a ``dataset.yaml`` says of the images of its folder, whatever the layout of the labels::

    channels: 4                              # that the network takes: 3 is RGB (1 grey, 4 RGBA or CMYK)
    bands: [4, 3, 2, 1]                      # of the files, counted from 1, in the network's order; all by default
    range: [0, 3000]                         # values that become 0 and 255; or a pair per band: [[0, 3000], ...]
    pages: [1]                               # of the files, counted from 1; their bands follow each other
    mean: [127.5, 127.5, 127.5, 127.5]       # per channel, on the 0..255 scale; the model's own where it is RGB,
    std: [127.5, 127.5, 127.5, 127.5]        # else half the scale
    orientation: upright                     # or stored: what labels of photos with an orientation tag (EXIF) lie on,
                                             # where the sizes of both cannot tell, see ``LabelledPhotos``

Folders in COCO-panoptic layout may have such a file too.
"""

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, Field, StrictInt, ValidationError

from pantile.contracts.errors import UserError
from pantile.contracts.input_files import regular_file
from pantile.contracts.shortening import short
from pantile.data.reading import Reading

DESCRIPTION = "dataset.yaml"
RGB = 3
MOST_CHANNELS = 1024

Number = Annotated[float, Field(allow_inf_nan=False)]
Pair = Annotated[list[Number], Field(min_length=2, max_length=2)]
Value = Annotated[float, Field(ge=0, le=255, allow_inf_nan=False)]
Spread = Annotated[float, Field(gt=0, le=255, allow_inf_nan=False)]


Content = TypeVar("Content", bound=BaseModel)


class ImageFields(BaseModel):
    """As the file has them."""

    model_config = ConfigDict(extra="forbid")

    channels: Annotated[StrictInt, Field(ge=1, le=MOST_CHANNELS)] | None = None
    bands: Annotated[list[StrictInt], Field(min_length=1)] | None = None
    range: Pair | list[Pair] | None = None
    pages: Annotated[list[StrictInt], Field(min_length=1)] | None = None
    mean: list[Value] | None = None
    std: list[Spread] | None = None
    orientation: Literal["upright", "stored"] | None = None


class _AnyFields(ImageFields):
    """In a folder whose classes stand elsewhere."""

    classes: object = None


@dataclass(frozen=True)
class DescribedImages:
    """
    Attributes:
        channels: that are read of each image.
        mean, std: per channel, on the 0..255 scale; None where the file does not say.
        reading: pages, bands and range.
        orientation: ``"upright"``, ``"stored"``, or None where the file does not say.
    """

    channels: int
    mean: tuple[float, ...] | None
    std: tuple[float, ...] | None
    reading: Reading
    orientation: str | None


def images_beside(root: Path) -> DescribedImages | None:
    """What ``root/dataset.yaml`` says of the images; None where there is no such file.

    Raises:
        UserError: it is no YAML, or has an unknown or impossible field.
    """
    path = root / DESCRIPTION
    return described_images(read_fields(path, _AnyFields), path) if os.path.lexists(path) else None


def write_images_beside(folder: Path, described: DescribedImages | None) -> None:
    """A ``dataset.yaml`` in a copy of a folder, so that its images are read as before; none for plain RGB.

    The copy's photos have no orientation tag that its labels contradict, so nothing is said of it.
    """
    if described is None:
        return
    fields = {"channels": described.channels if described.channels != RGB else None, **vars(described.reading)}
    fields |= {"mean": described.mean, "std": described.std}
    content = {name: value for name, value in fields.items() if value is not None}
    if content:
        (folder / DESCRIPTION).write_text(yaml.safe_dump(json.loads(json.dumps(content)), sort_keys=False))


def read_fields(path: Path, kind: type[Content]) -> Content:
    """
    Raises:
        UserError: the file cannot be read, is no YAML, or has a missing, unknown or impossible field.
    """
    try:
        data = yaml.safe_load(regular_file(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror}): write one that lists the classes.") from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise UserError(f"{path} is not valid YAML ({' '.join(str(error).split())}): correct it.") from None
    try:
        return kind.model_validate(data)
    except ValidationError as error:
        raise UserError(f"{path}: {_sentence(error)}") from None


def described_images(content: ImageFields, path: Path) -> DescribedImages:
    """
    Raises:
        UserError: fields that do not agree.
    """
    channels = content.channels or (len(content.bands) if content.bands else RGB)
    for field in ("mean", "std"):
        values = getattr(content, field)
        if values is not None and len(values) != channels:
            raise UserError(
                f"{path}: {field} has {len(values)} values, but channels is {channels}: give one per channel."
            )
    mean, std = (values and tuple(values) for values in (content.mean, content.std))
    bands, pages = (values and tuple(values) for values in (content.bands, content.pages))
    values = content.range
    if values is not None:
        values = tuple(tuple(pair) if isinstance(pair, list) else pair for pair in values)
    reading = Reading(bands, values, pages)
    reading.check(str(path), channels)
    return DescribedImages(channels, mean, std, reading, content.orientation)


def _sentence(error: ValidationError) -> str:
    """The first mistake: where it is and what should be there."""
    first = error.errors(include_url=False)[0]
    where = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in _path(first["loc"])).lstrip(".")
    if first["type"] == "missing":
        return f"the field {where} is missing, so add it."
    if first["type"] == "extra_forbidden":
        return f"the field {where} is not known: remove it or correct its name."
    wanted = first["msg"].replace("Input should", "it should")
    return f"{where or 'the file'} is {short(first['input'], 60)}, but {wanted[0].lower()}{wanted[1:]}."


def _path(places: tuple[int | str, ...]) -> list[int | str]:
    """Pydantic names the kind of list between the field and the index where there are several."""
    return [part for part in places if isinstance(part, int) or "[" not in part]
