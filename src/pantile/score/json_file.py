"""Reading the JSON of COCO-panoptic files that anybody wrote: only what a score needs, and that strictly.

``area``, ``bbox``, colours and whatever else a file holds are not looked at, so nothing in them can change a score. Of
a prediction, ``iscrowd`` is not looked at either.
"""

from collections.abc import Mapping
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Annotated, Any, NoReturn, NotRequired

from pydantic import BeforeValidator, PlainValidator, Strict, TypeAdapter, ValidationError
from typing_extensions import TypedDict

from pantile.contracts.errors import UserError
from pantile.contracts.input_files import regular_file
from pantile.contracts.panoptic import MAX_ID, Segment
from pantile.contracts.shortening import short
from pantile.contracts.taxonomy import ClassInfo, Taxonomy, default_color


def _flag(value: Any) -> bool:
    """1 and 0 in the types in which files have them."""
    text = "0" if value is None else str(value).strip().lower()
    if text in ("1", "1.0", "true"):
        return True
    if text in ("0", "0.0", "false"):
        return False
    raise ValueError("it should be 0 or 1")


def image_id_of(value: Any) -> int | str:
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise ValueError("it should be a whole number or a text")
    return value


def _inside_folder(name: Any) -> Any:
    """No absolute path and no ``..``: a JSON names files of its own folder only."""
    if not isinstance(name, str):
        return name
    parts = PurePosixPath(name).parts + PureWindowsPath(name).parts
    if not name or "\0" in name or PurePosixPath(name).is_absolute() or PureWindowsPath(name).anchor or ".." in parts:
        raise ValueError("it should name a file inside the folder of PNGs")
    return name


Flag = Annotated[bool, PlainValidator(_flag)]
Whole = Annotated[int, Strict()]
Text = Annotated[str, Strict()]
FileName = Annotated[str, Strict(), BeforeValidator(_inside_folder)]


class PredictedSegment(TypedDict):
    id: Whole
    category_id: Whole


class TrueSegment(PredictedSegment):
    iscrowd: NotRequired[Flag]


class _Prediction(TypedDict):
    image_id: Annotated[int | str, PlainValidator(image_id_of)]
    file_name: FileName
    segments_info: list[PredictedSegment]


class _Truth(_Prediction):
    segments_info: list[TrueSegment]


class Category(TypedDict):
    id: Whole
    name: Text
    isthing: Flag


class _Categories(TypedDict):
    categories: list[Category]


class _TruthFile(_Categories):
    images: NotRequired[Any]
    annotations: list[_Truth]


class _PredictionFile(TypedDict):
    info: NotRequired[Any]
    images: NotRequired[Any]
    annotations: list[_Prediction]
    categories: NotRequired[Any]


class PanopticTable:
    """The annotations of one file: which PNG belongs to which image, and the table of each.

    Args:
        path: the file, for messages.
        content: of the file; ``annotations`` as validated, ``images`` as they are.
        taxonomy: the classes by which ``category_id`` is read.

    Attributes:
        image_ids: of each annotation.
        png_names: of each annotation, inside the folder of PNGs.
        image_names: of the photo of each annotation; None unless ``images`` names all of them.
        per_class: whether ``info.segments`` is "per class": a segment is all pixels of its class, of things too.

    Raises:
        UserError: two annotations of one image, an id twice in one image, an id outside 1..2**24-1, or a category that
            the taxonomy lacks.
    """

    def __init__(self, path: Path, content: dict, taxonomy: Taxonomy) -> None:
        annotations = content["annotations"]
        self.image_ids = [annotation["image_id"] for annotation in annotations]
        self.png_names = [annotation["file_name"] for annotation in annotations]
        self._segments = [segment_rows(path, annotation, taxonomy) for annotation in annotations]
        self.image_names = _image_names(content.get("images"), self.image_ids)
        info = content.get("info")
        self.per_class = isinstance(info, dict) and info.get("segments") == "per class"
        seen: set[int | str] = set()
        for image_id in self.image_ids:
            if image_id in seen:
                raise UserError(f"{path} has two annotations for image_id {short(image_id)}: keep one per image.")
            seen.add(image_id)

    def segments_of(self, index: int) -> tuple[Segment, ...]:
        return tuple(Segment(*row) for row in self._segments[index])


def read_truth(path: Path) -> tuple[Taxonomy, PanopticTable]:
    """A ground-truth file.

    Raises:
        UserError: the file is not COCO-panoptic, or see ``PanopticTable``.
    """
    content = read_as(path, _TRUTH)
    taxonomy = taxonomy_of(path, content["categories"])
    return taxonomy, PanopticTable(path, content, taxonomy)


def read_predictions(path: Path, taxonomy: Taxonomy) -> PanopticTable:
    """A file of predictions; it needs no ``images`` and no ``categories``, and its ids are those of the ground truth.

    Raises:
        UserError: the file is not COCO-panoptic, or names a category id differently, or see ``PanopticTable``.
    """
    content = read_as(path, _PREDICTIONS)
    check_names(path, content.get("categories"), taxonomy)
    return PanopticTable(path, content, taxonomy)


def read_categories(path: Path) -> Taxonomy:
    """The ``categories`` of any COCO-panoptic file, or a list of them alone.

    Raises:
        UserError: there are none.
    """
    content = read_as(path, _CATEGORIES)
    return taxonomy_of(path, content if isinstance(content, list) else content["categories"])


_TRUTH = TypeAdapter(_TruthFile)
_PREDICTIONS = TypeAdapter(_PredictionFile)
_CATEGORIES = TypeAdapter(_Categories | list[Category])


def read_as(path: Path, kind: TypeAdapter, form: str = "COCO-panoptic") -> Any:
    """The content of a JSON file, checked.

    Args:
        form: the format in words, for the message.

    Raises:
        UserError: the file cannot be read, is no JSON, or holds something else; names the first mistake.
    """
    try:
        return kind.validate_json(regular_file(path).read_bytes())
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror}): name a {form} JSON.") from None
    except ValidationError as error:
        raise UserError(f"{path} {_sentence(error, form)}") from None


def _sentence(error: ValidationError, form: str) -> str:
    """The first mistake, where it is and what should be there."""
    first = error.errors(include_url=False)[0]
    if first["type"] == "json_invalid":
        return f"is not valid JSON ({first['msg'].removeprefix('Invalid JSON: ')}): write it anew."
    where = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in first["loc"]).lstrip(".")
    if first["type"] == "missing":
        parent, _, field = where.rpartition(".")
        return f"is not {form}: {parent or 'it'} lacks the field {field!r}, so add it."
    wanted = first["msg"].removeprefix("Value error, ").replace("Input should", "it should")
    return f"is not {form}: {where or 'the file'} is {short(first['input'], 60)}, but {wanted}."


def segment_rows(path: Path, annotation: dict, taxonomy: Taxonomy) -> list[tuple[int, int, bool]]:
    index_of_id, segments = taxonomy.index_of_id, annotation["segments_info"]
    rows = [
        (segment["id"], index_of_id.get(segment["category_id"], -1), segment.get("iscrowd", False))
        for segment in segments
    ]
    if rows:
        ids, classes, _ = zip(*rows, strict=True)
        if min(ids) < 1 or max(ids) > MAX_ID or min(classes) < 0 or len(set(ids)) < len(ids):
            _refuse_row(f"{path}: annotation {short(annotation['file_name'])}", segments, index_of_id)
    return rows


def _refuse_row(where: str, segments: list[dict], index_of_id: Mapping[int, int]) -> NoReturn:
    """Names the first segment that cannot be, or says that two share an id."""
    for segment in segments:
        segment_id, category = segment["id"], segment["category_id"]
        if segment_id == 0:
            raise UserError(f"{where} has a segment with id 0: 0 means void on disk, so give the segment another id.")
        if not 0 < segment_id <= MAX_ID:
            raise UserError(f"{where} has a segment with id {segment_id}: ids are whole numbers from 1 to {MAX_ID}.")
        if category not in index_of_id:
            raise UserError(
                f"{where}, segment {segment_id} has the category_id {category}, which the ground truth's categories do "
                "not list: use the ids of the ground truth."
            )
    raise UserError(f"{where} uses a segment id twice: give every segment of an image its own id.")


def _image_names(images: Any, image_ids: list[int | str]) -> list[str] | None:
    """``file_name`` of the images; None unless all are named."""
    rows = [row for row in images if isinstance(row, dict)] if isinstance(images, list) else []
    name_of = {row["id"]: row.get("file_name") for row in rows if isinstance(row.get("id"), int | str)}
    names = [name_of.get(image_id) for image_id in image_ids]
    return names if all(isinstance(name, str) and name.strip("./\\") for name in names) else None


def taxonomy_of(path: Path, categories: list[dict]) -> Taxonomy:
    if any(category["id"] < 0 for category in categories):
        raise UserError(f"{path} has a category with a negative id: use ids from 0.")
    try:
        return Taxonomy(
            tuple(ClassInfo(c["name"], c["isthing"], c["id"], default_color(k)) for k, c in enumerate(categories))
        )
    except UserError as error:
        raise UserError(f"{path}: {error}") from None


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
