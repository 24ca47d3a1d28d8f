"""Predictions that fit a ground truth: ids and file names of its images, ids of its categories by class name."""

import hashlib
import warnings
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Annotated

from pydantic import Strict, TypeAdapter, ValidationError
from typing_extensions import TypedDict

from pantile.contracts.errors import UserError
from pantile.contracts.input_files import regular_file
from pantile.contracts.taxonomy import Taxonomy
from pantile.predict.images import ImageFile

_SHOWN = 3  # names of each list that is told


class _Image(TypedDict):
    id: Annotated[int, Strict()] | Annotated[str, Strict()]
    file_name: Annotated[str, Strict()]


class _File(TypedDict):
    images: list[_Image]
    categories: list[dict]


_FILE = TypeAdapter(_File)


@dataclass(frozen=True)
class GroundTruth:
    """What predictions take from a COCO-panoptic JSON.

    Attributes:
        path: the file.
        ids: ``file_name`` of each image to its id.
        taxonomy: its categories.
    """

    path: Path
    ids: dict[str, int | str]
    taxonomy: Taxonomy

    @property
    def digest(self) -> str:
        """Changes with ids, names and categories."""
        return hashlib.blake2b(repr((self.ids, self.taxonomy.to_coco())).encode(), digest_size=10).hexdigest()


def read_ground_truth(path: str | Path) -> GroundTruth:
    """Reads ``images`` and ``categories``; annotations may be missing, as for the images of a test split.

    Raises:
        UserError: no such file, not COCO-panoptic, or two images of one name or id.
    """
    path = Path(path)
    try:
        content = _FILE.validate_json(regular_file(path).read_bytes())
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror}): name the JSON of the ground truth.") from None
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(map(str, first["loc"])) or "the file"
        raise UserError(f"{path} is not COCO-panoptic ({where}: {first['msg']}): write it anew.") from None
    ids = {image["file_name"]: image["id"] for image in content["images"]}
    if len(ids) < len(content["images"]) or len(set(ids.values())) < len(ids):
        raise UserError(f"{path} lists an image's file_name or id twice: make them unique.")
    outside = [name for name in ids if PurePosixPath(name).is_absolute() or not {"", ".."}.isdisjoint(name.split("/"))]
    if outside:
        raise UserError(f"{path} has the file_name {outside[0]!r}, which leads out of its folder: write a plain name.")
    return GroundTruth(path, ids, Taxonomy.from_coco(content["categories"], source=str(path)))


def name_like(images: Sequence[ImageFile], truth: GroundTruth) -> list[ImageFile]:
    """The images that the ground truth has, under its names.

    An image is found by its name below the given folder, else by its file name, else by that without ending; where
    those are not in the JSON, as in the one that Cityscapes' scripts write, by the image's id at the start of its name.

    Raises:
        UserError: none is found, one fits several entries, or two fit the same.

    Warns:
        UserWarning: how many images the ground truth lacks, and how many of its images were not given.
    """
    owner: dict[str, ImageFile] = {}
    surplus = []
    ways = [(_index(truth.ids, key), key) for key in (str, _file_name, _stem)]
    by_id = {str(own): name for name, own in truth.ids.items() if isinstance(own, str)}
    for image in images:
        entries = next((index[key(image.name)] for index, key in ways if key(image.name) in index), None)
        if entries is None:
            by_start = _by_start(_stem(image.name), by_id)
            entries = [] if by_start is None else [by_start]
        if len(entries) > 1:
            raise UserError(
                f"{image.path} may be {entries[0]} or {entries[1]} of {truth.path}: give the folder that holds their "
                "folders, with --recursive."
            )
        if not entries:
            surplus.append(image.name)
        elif entries[0] in owner:
            raise UserError(f"{image.path} and {owner[entries[0]].path} are both {entries[0]} of {truth.path}.")
        else:
            owner[entries[0]] = image
    if not owner:
        raise UserError(f"{truth.path} names none of the {len(images)} images ({_some(surplus)}): give its images.")
    named = [ImageFile(image.path, name) for name, image in owner.items()]
    if len({image.stem for image in named}) < len(named):
        raise UserError(f"{truth.path} has images whose names differ in the ending only: their PNGs would be one file.")
    missing = [name for name in truth.ids if name not in owner]
    for names, what in ((surplus, "given images are not in"), (missing, "images were not given of")):
        if names:
            warnings.warn(f"{len(names)} {what} {truth.path} and are not predicted: {_some(names)}.", stacklevel=2)
    return named


def taxonomy_like(own: Taxonomy, truth: GroundTruth) -> Taxonomy:
    """The model's classes with the ids that the ground truth gives their names.

    Raises:
        UserError: the ground truth lacks a class of the model, or calls a thing stuff.
    """
    by_name = {info.name: info for info in truth.taxonomy.classes}
    missing = [name for name in own.names if name not in by_name]
    if missing:
        raise UserError(
            f"{truth.path} lacks {len(missing)} of the model's {len(own)} classes ({_some(missing)}): their segments "
            "would have no category; give the ground truth of a data set with the model's classes."
        )
    other = [info.name for info in own.classes if info.is_thing != by_name[info.name].is_thing]
    if other:
        raise UserError(f"{truth.path} and the model do not agree whether {_some(other)} are things: correct isthing.")
    return Taxonomy(tuple(replace(info, id=by_name[info.name].id) for info in own.classes))


def _index(names: dict[str, int | str], key: Callable[[str], str]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = defaultdict(list)
    for name in names:
        found[key(name)].append(name)
    return dict(found)


def _by_start(stem: str, by_id: dict[str, str]) -> str | None:
    """``aachen_000000_000019_leftImg8bit`` is the image of id ``aachen_000000_000019``."""
    parts = stem.split("_")
    starts = ("_".join(parts[:count]) for count in range(len(parts), 0, -1))
    return next((by_id[start] for start in starts if start in by_id), None)


def _file_name(name: str) -> str:
    return PurePosixPath(name).name


def _stem(name: str) -> str:
    return PurePosixPath(name).stem


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:_SHOWN]) + (", ..." if len(names) > _SHOWN else "")
