"""One HTML page of labelled images that tells which segment lies under the pointer. It refers to nothing outside."""

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

import numpy as np
from jinja2 import Environment
from PIL import Image

from pantile.contracts.atomic import replacing
from pantile.contracts.taxonomy import ClassInfo, Taxonomy
from pantile.visualize.labelled_image import LabelledImage


@dataclass(frozen=True)
class DataPage:
    """
    Attributes:
        title: heading of the page.
        note: one line below it.
        images: in the order of the page.
        taxonomy: names, colours and kinds of the classes.
    """

    title: str
    note: str
    images: Sequence[LabelledImage]
    taxonomy: Taxonomy


def write_data_page(path: str | Path, page: DataPage) -> None:
    """Writes the page; a reader sees either the old file or the whole new one."""
    with replacing(Path(path)) as temporary:
        temporary.write_text(render_data_page(page), encoding="utf-8")


def render_data_page(page: DataPage) -> str:
    """The page as text."""
    environment = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
    environment.filters["picture"] = _picture
    source = resources.files("pantile.visualize").joinpath("templates", "data_page.html.j2").read_text("utf-8")
    segments = [segment for image in page.images for segment in image.segments]
    return environment.from_string(source).render(
        page=page,
        legend=_present(page.taxonomy, {segment.class_index for segment in segments}),
        void=any(image.void_area for image in page.images),
        crowd=any(segment.is_crowd for segment in segments),
        lookup=[_lookup(image, page.taxonomy) for image in page.images],
    )


def _present(taxonomy: Taxonomy, indices: set[int]) -> list[ClassInfo]:
    """Classes that occur, things first."""
    return [taxonomy.classes[k] for k in (*taxonomy.thing_indices, *taxonomy.stuff_indices) if k in indices]


def _lookup(image: LabelledImage, taxonomy: Taxonomy) -> dict:
    """What the script needs: run lengths in reading order rather than a picture, because some browsers return blurred
    pixels from a canvas on purpose, against fingerprinting."""
    flat = image.rows.ravel()
    starts = np.concatenate([[0], np.flatnonzero(flat[1:] != flat[:-1]) + 1])
    return {
        "width": image.rows.shape[1],
        "height": image.rows.shape[0],
        "pixels": image.size[0] * image.size[1],
        "voidArea": image.void_area,
        "rows": flat[starts].tolist(),
        "lengths": np.diff(starts, append=flat.size).tolist(),
        "segments": [
            {
                "id": segment.id,
                "name": taxonomy.names[segment.class_index],
                "kind": "thing" if taxonomy.classes[segment.class_index].is_thing else "stuff",
                "crowd": segment.is_crowd,
                "area": segment.area,
            }
            for segment in image.segments
        ],
    }


def _picture(pixels: np.ndarray) -> str:
    """A JPEG as a data URI."""
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=88)
    return "data:image/jpeg;base64," + base64.b64encode(file.getvalue()).decode()
