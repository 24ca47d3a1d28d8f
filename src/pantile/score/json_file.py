"""Reading the JSON of COCO-panoptic files that anybody wrote: only what a score needs, and that strictly.

``area``, ``bbox``, colours and whatever else a file holds are not looked at, so nothing in them can change a score. Of
a prediction, ``iscrowd`` is not looked at either.
"""

from array import array
from collections import Counter
from collections.abc import Mapping
from itertools import chain
from pathlib import Path
from typing import Any, NotRequired

from pydantic import TypeAdapter
from typing_extensions import TypedDict

from pantile.contracts.errors import UserError
from pantile.contracts.json_forms import Identifier, PngName, read_json_as
from pantile.contracts.panoptic import Segment
from pantile.contracts.segments_info import segment_rows
from pantile.contracts.shortening import short
from pantile.contracts.taxonomy import Taxonomy

_FORM = "a COCO-panoptic JSON"


class _Annotation(TypedDict):
    image_id: Identifier
    file_name: PngName
    segments_info: list


class _Truth(TypedDict):
    images: NotRequired[Any]
    annotations: list[_Annotation]
    categories: list


class _Predictions(TypedDict):
    info: NotRequired[Any]
    images: NotRequired[Any]
    annotations: list[_Annotation]
    categories: NotRequired[Any]


class _Categories(TypedDict):
    categories: list


class PanopticTable:
    """The annotations of one file: which PNG belongs to which image, and the table of each.

    Args:
        path: the file, for messages.
        content: of the file; ``annotations`` as validated, ``images`` as they are.
        taxonomy: the classes by which ``category_id`` is read.
        is_truth: whether ``iscrowd`` counts.

    Attributes:
        image_ids: of each annotation.
        png_names: of each annotation, inside the folder of PNGs.
        image_names: of the photo of each annotation; None unless ``images`` names all of them.
        per_class: whether ``info.segments`` is "per class": a segment is all pixels of its class, of things too.

    Raises:
        UserError: two annotations of one image, an id twice in one image, an id outside 1..2**24-1, or a category that
            the taxonomy lacks.
    """

    def __init__(self, path: Path, content: Mapping, taxonomy: Taxonomy, is_truth: bool) -> None:
        annotations = content["annotations"]
        self.image_ids = [annotation["image_id"] for annotation in annotations]
        self.png_names = [annotation["file_name"] for annotation in annotations]
        # Numbers without objects around them: worker processes would copy each object's page when they count who
        # refers to it.
        self._segments, self._ends = array("i"), array("q", [0])  # (S * 3,): id, class index, crowd
        for annotation in annotations:
            rows = segment_rows(annotation, taxonomy.index_of_id, path, predicted=not is_truth)
            self._segments.extend(chain.from_iterable(rows))
            self._ends.append(len(self._segments))
        self.image_names = _image_names(content.get("images"), self.image_ids)
        info = content.get("info")
        self.per_class = isinstance(info, dict) and info.get("segments") == "per class"
        for what, values in (("image_id", self.image_ids), ("file_name", self.png_names)):
            if len(set(values)) < len(values):
                first = next(value for value, count in Counter(values).items() if count > 1)
                raise UserError(f"{path} has two annotations for {what} {short(first)}: keep one per image.")

    def segments_of(self, index: int) -> tuple[Segment, ...]:
        own = self._segments[self._ends[index] : self._ends[index + 1]].tolist()
        return tuple(map(Segment, own[::3], own[1::3], map(bool, own[2::3])))


def read_truth(path: Path) -> tuple[Taxonomy, PanopticTable]:
    """A ground-truth file.

    Raises:
        UserError: the file is not COCO-panoptic, or see ``PanopticTable``.
    """
    content = read_json_as(path, _TRUTH, _FORM)
    taxonomy = taxonomy_of(path, content["categories"])
    return taxonomy, PanopticTable(path, content, taxonomy, is_truth=True)


def read_predictions(path: Path, taxonomy: Taxonomy) -> PanopticTable:
    """A file of predictions; it needs no ``images`` and no ``categories``, and its ids are those of the ground truth.

    Raises:
        UserError: the file is not COCO-panoptic, or names a category id differently, or see ``PanopticTable``.
    """
    content = read_json_as(path, _PREDICTIONS, _FORM)
    check_names(path, content.get("categories"), taxonomy)
    return PanopticTable(path, content, taxonomy, is_truth=False)


def read_categories(path: Path) -> Taxonomy:
    """The ``categories`` of any COCO-panoptic file, or a list of them alone.

    Raises:
        UserError: there are none.
    """
    content = read_json_as(path, _CATEGORIES, _FORM)
    return taxonomy_of(path, content if isinstance(content, list) else content["categories"])


_TRUTH = TypeAdapter(_Truth)
_PREDICTIONS = TypeAdapter(_Predictions)
_CATEGORIES = TypeAdapter(_Categories | list)


def _image_names(images: Any, image_ids: list[int | str]) -> list[str] | None:
    """``file_name`` of the images; None unless all are named."""
    rows = [row for row in images if isinstance(row, dict)] if isinstance(images, list) else []
    name_of = {row["id"]: row.get("file_name") for row in rows if isinstance(row.get("id"), int | str)}
    names = [name_of.get(image_id) for image_id in image_ids]
    return names if all(isinstance(name, str) and name.strip("./\\") for name in names) else None


def taxonomy_of(path: Path, categories: list) -> Taxonomy:
    """Of ground truth; colours are left alone, which decide no score."""
    plain = [{k: v for k, v in c.items() if k != "color"} if isinstance(c, dict) else c for c in categories]
    return Taxonomy.from_coco(plain, str(path))


def check_names(path: Path, categories: Any, taxonomy: Taxonomy) -> None:
    """A file that lists categories must mean the same ones: shuffled ids are the usual reason for a PQ near 0."""
    for category in categories if isinstance(categories, list) else []:
        if not isinstance(category, dict) or not isinstance(category.get("id"), int):
            continue
        index = taxonomy.index_of_id.get(category["id"])
        name, flag = category.get("name"), category.get("isthing")
        if index is not None and isinstance(name, str) and name != taxonomy.names[index]:
            raise UserError(
                f"{path} calls category {category['id']} {short(name)}, but the ground truth calls it "
                f"{taxonomy.names[index]!r}: use the ids and names of the ground truth, or leave 'categories' out."
            )
        if index is not None and flag in (0, 1) and bool(flag) != taxonomy.classes[index].is_thing:
            kinds = ("stuff", "a thing")
            raise UserError(
                f"{path} calls category {category['id']} ({taxonomy.names[index]!r}) {kinds[bool(flag)]}, but the "
                f"ground truth calls it {kinds[not flag]}: use the categories of the ground truth, or leave them out."
            )
