"""What a prediction is answered as: COCO-panoptic JSON with its PNG, the PNG alone, or a picture."""

import base64
import io
import json
from collections.abc import Callable
from dataclasses import dataclass

from PIL import Image

from pantile.data.id_png import write_ids
from pantile.predict.result import PanopticResult
from pantile.serve.limits import Refused
from pantile.visualize import segment_colors


@dataclass(frozen=True)
class Answer:
    """
    Attributes:
        content_type: of ``body``.
    """

    content_type: str
    body: bytes


def json_answer(content: dict) -> Answer:
    return Answer("application/json", json.dumps(content).encode())


def as_json(result: PanopticResult, name: str, kept: str | None) -> Answer:
    """The JSON that ``PanopticResult.save`` writes, and ``png``, the file that it names, in base64.

    Args:
        kept: a key by which the image is merged again; with it come the colours of segments, by id, for a page.
    """
    content = result.coco_file(name, f"{name.rpartition('.')[0] or name}.png")
    content["png"] = base64.b64encode(_png(result)).decode()
    if kept is not None:
        colors = segment_colors(result.panoptic, result.taxonomy)
        content |= {"kept": kept, "colors": {int(number): color for number, color in colors.items()}}
    return json_answer(content)


def _as_png(result: PanopticResult, name: str, kept: str | None) -> Answer:
    return Answer("image/png", _png(result))


def _as_overlay(result: PanopticResult, name: str, kept: str | None) -> Answer:
    file = io.BytesIO()
    Image.fromarray(result.overlay()).save(file, "JPEG", quality=95)
    return Answer("image/jpeg", file.getvalue())


def _png(result: PanopticResult) -> bytes:
    file = io.BytesIO()
    write_ids(result.map, file)
    return file.getvalue()


#: by the name that a request gives
ANSWERS: dict[str, Callable[[PanopticResult, str, str | None], Answer]] = {
    "json": as_json,
    "png": _as_png,
    "overlay": _as_overlay,
}


def answer_called(name: str) -> Callable[[PanopticResult, str, str | None], Answer]:
    """
    Raises:
        Refused: there is none of that name.
    """
    if name not in ANSWERS:
        raise Refused(400, f"answer={name[:80]!r}: give one of {', '.join(ANSWERS)}.")
    return ANSWERS[name]
