"""The JSON of COCO-panoptic: reads and checks it once, and keeps it compact.

What is checked here is everything that needs no pixels. ``area`` and ``bbox`` of the JSON are never read.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from pantile.contracts.errors import UserError
from pantile.contracts.file_names import is_inside
from pantile.contracts.json_fields import is_identifier, read_json
from pantile.contracts.panoptic import Segment
from pantile.contracts.segments_info import segment_rows
from pantile.contracts.shortening import short
from pantile.contracts.taxonomy import Taxonomy


@dataclass(frozen=True)
class CocoTable:
    """One JSON file: images in the file's order, segments of all images in flat arrays.

    Flat arrays rather than dicts, because data workers share them with their parent without copying.

    Attributes:
        taxonomy: the file's categories in the file's order.
        image_ids: identifiers, any JSON scalar.
        image_names: ``file_name`` of each image.
        png_names: ``file_name`` of each annotation.
        starts: (images + 1,) int64; segments of image i are rows ``starts[i]:starts[i+1]`` of the arrays below.
        segment_ids: (S,) int64, 1..2**24-1.
        segment_classes: (S,) int64 class index.
        segment_crowd: (S,) bool.
    """

    taxonomy: Taxonomy
    image_ids: list
    image_names: list[str]
    png_names: list[str]
    starts: np.ndarray
    segment_ids: np.ndarray
    segment_classes: np.ndarray
    segment_crowd: np.ndarray

    def segments_of(self, index: int) -> tuple[Segment, ...]:
        rows = slice(self.starts[index], self.starts[index + 1])
        columns = (self.segment_ids, self.segment_classes, self.segment_crowd)
        return tuple(Segment(*row) for row in zip(*(c[rows].tolist() for c in columns), strict=True))

    def keep(self, images: Sequence[int]) -> "CocoTable":
        """These images only, in this order."""
        if list(images) == list(range(len(self.image_names))):
            return self
        rows = [np.arange(self.starts[k], self.starts[k + 1]) for k in images]
        chosen = np.concatenate(rows) if rows else np.zeros(0, dtype=np.int64)
        return replace(
            self,
            image_ids=[self.image_ids[k] for k in images],
            image_names=[self.image_names[k] for k in images],
            png_names=[self.png_names[k] for k in images],
            starts=np.concatenate([[0], np.cumsum([len(own) for own in rows])]).astype(np.int64),
            segment_ids=self.segment_ids[chosen],
            segment_classes=self.segment_classes[chosen],
            segment_crowd=self.segment_crowd[chosen],
        )

    def segment_counts(self) -> list[int]:
        """Segments of each image, crowd left out."""
        so_far = np.concatenate([[0], np.cumsum(~self.segment_crowd)])
        return np.diff(so_far[self.starts]).tolist()


def read_coco_json(path: str | Path) -> CocoTable:
    """Reads ``panoptic_<split>.json``.

    Raises:
        UserError: the file is not JSON or not COCO-panoptic, an image has no annotation or two, a segment has
            id 0, an id beyond 24 bits, an id twice in one image, or a category that the file does not list.
    """
    path = Path(path)
    data = _read(path)
    taxonomy = Taxonomy.from_coco(data["categories"], source=str(path))
    annotation_of = _annotations_by_image(data, path)
    starts, ids, classes, crowd = [0], [], [], []
    for image in data["images"]:
        annotation = annotation_of[image["id"]]
        for segment_id, class_index, is_crowd in segment_rows(annotation, taxonomy.index_of_id, path):
            ids.append(segment_id)
            classes.append(class_index)
            crowd.append(is_crowd)
        starts.append(len(ids))
    return CocoTable(
        taxonomy=taxonomy,
        image_ids=[image["id"] for image in data["images"]],
        image_names=[image["file_name"] for image in data["images"]],
        png_names=[annotation_of[image["id"]]["file_name"] for image in data["images"]],
        starts=np.array(starts, dtype=np.int64),
        segment_ids=np.array(ids, dtype=np.int64),
        segment_classes=np.array(classes, dtype=np.int64),
        segment_crowd=np.array(crowd, dtype=bool),
    )


def _read(path: Path) -> dict:
    data = read_json(path)
    for key in ("images", "annotations", "categories"):
        if not isinstance(data, dict) or not isinstance(data.get(key), list):
            raise UserError(f"{path} is not COCO-panoptic: it lacks the list {key!r}.")
    for key, fields in (("images", ("id", "file_name")), ("annotations", ("image_id", "file_name", "segments_info"))):
        for position, entry in enumerate(data[key]):
            if not isinstance(entry, dict):
                raise UserError(f"{path} is not COCO-panoptic: entry {position} of {key!r} is not an object.")
            for field in fields:
                if field in entry:
                    continue
                remedy = "COCO-panoptic needs it"
                if field in ("segments_info", "file_name") and "segmentation" in entry:
                    remedy = "this is a detection JSON with one entry per object; convert it to COCO-panoptic first"
                raise UserError(f"{path}: entry {position} of {key!r} lacks the field {field!r}: {remedy}.")
            _check_entry(entry, f"{path}: entry {position} of {key!r}")
    return data


def _check_entry(entry: dict, where: str) -> None:
    """Types of an image's or annotation's fields, and names that stay in their folder."""
    name = entry["file_name"]
    if not isinstance(name, str) or not name:
        raise UserError(f"{where} has the file_name {short(name)}: write the file's name as text.")
    if not is_inside(name):
        raise UserError(f"{where} has the file_name {short(name)}, which leads out of its folder: write a plain name.")
    if "image_id" in entry and not name.lower().endswith(".png"):
        raise UserError(f"{where} has the file_name {short(name)}, which is no PNG: name the PNG of the ids.")
    for field in ("id", "image_id"):
        if field in entry and not is_identifier(entry[field]):
            raise UserError(f"{where} has the {field} {short(entry[field])}: give a whole number or a text.")
    segments = entry.get("segments_info", [])
    if not isinstance(segments, list):
        raise UserError(f"{where} has segments_info that is no list: write one object per segment.")


def _annotations_by_image(data: dict, path: Path) -> dict:
    annotation_of = {annotation["image_id"]: annotation for annotation in data["annotations"]}
    listed = {image["id"] for image in data["images"]}
    if len(annotation_of) < len(data["annotations"]):
        raise UserError(f"{path} has two annotations for one image_id: keep one annotation per image.")
    if len(listed) < len(data["images"]):
        raise UserError(f"{path} lists an image id twice: make the image ids unique.")
    for image in data["images"]:
        if image["id"] not in annotation_of:
            raise UserError(
                f"{path}: image {short(image['file_name'])} (id {short(image['id'])}) has no annotation: "
                "add one (an empty segments_info is fine) or remove the image from the JSON."
            )
    _check_unique_names(data["images"], "id", path)
    _check_unique_names([annotation_of[image["id"]] for image in data["images"]], "image_id", path)
    unknown = sorted(map(str, annotation_of.keys() - listed))
    if unknown:
        raise UserError(f"{path} annotates image_id {unknown[0][:80]}, which 'images' does not list: add or remove it.")
    return annotation_of


def _check_unique_names(entries: list[dict], key: str, path: Path) -> None:
    owner: dict[str, int | str] = {}
    for entry in entries:
        name = entry["file_name"]
        if name in owner:
            raise UserError(
                f"{path}: the image ids {short(owner[name])} and {short(entry[key])} both have the file "
                f"{short(name)}: remove one of them or correct its file_name."
            )
        owner[name] = entry[key]
