"""The JSON of a COCO-panoptic split, read leniently: entries that make sense become pairs, the others findings.

``data.read_coco_json`` stops at the first mistake; a check goes on.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from pantile.contracts.file_names import crossed_names, is_inside
from pantile.contracts.flags import as_flag
from pantile.contracts.json_fields import Fields, is_identifier, is_whole, read_json
from pantile.contracts.segments_info import row_fault
from pantile.contracts.shortening import short as shorten
from pantile.contracts.taxonomy import Taxonomy
from pantile.data.coco_panoptic_files import files_of_split
from pantile.labels.checks.findings import Finding

SHOWN = 60  # characters of a value


@dataclass(frozen=True)
class Pair:
    """An image entry and its annotation.

    Attributes:
        image, annotation: as the JSON has them.
        image_path, png_path: the files, which may not exist.
    """

    image: dict
    annotation: dict
    image_path: Path
    png_path: Path


@dataclass(frozen=True)
class SplitTable:
    """
    Attributes:
        name: of the split.
        data: the whole JSON.
        taxonomy: its categories.
        things: category id to whether it is a thing.
        pairs: the entries that make sense.
        findings: about the others, and about files that no entry names.
    """

    name: str
    data: dict
    taxonomy: Taxonomy
    things: dict[int, bool]
    pairs: list[Pair]
    findings: list[Finding]


def read_split(root: Path, split: str) -> SplitTable:
    """
    Args:
        root: the folder that holds ``annotations``, or the JSONs themselves.
        split: its name on disk.

    Raises:
        UserError: the JSON is damaged, lacks one of its lists, or its categories are wrong: nothing can be checked.
    """
    files = files_of_split(root, split)
    json_path = files.json_path
    top = Fields.of(read_json(json_path), str(json_path))
    images, annotations = top.items("images"), top.items("annotations")
    taxonomy = Taxonomy.from_coco(top.items("categories"), str(json_path))
    things = {info.id: info.is_thing for info in taxonomy.classes}
    reader = _Reader(root, json_path, files.image_folder(partial(_names, images)), files.png_folder)
    pairs = reader.pairs(reader.images(images), reader.annotations(annotations))
    reader.tell_unlisted(reader.image_folder, images)
    reader.tell_unlisted(reader.png_folder, annotations)
    return SplitTable(split, top.data, taxonomy, things, pairs, reader.findings)


def usable_rows(rows: list, categories: Iterable[int]) -> tuple[dict[int, dict], list[tuple[str, Any, str]]]:
    """Rows of segments that have a meaning, and what is wrong with the others.

    Args:
        rows: ``segments_info``.
        categories: ids of the categories.

    Returns:
        Segment id to a copy of its row with ``iscrowd`` 0 or 1, and a list of (kind, id, text).
    """
    known, good, wrong = set(categories), defaultdict(list), []
    for position, row in enumerate(rows):
        if fault := row_fault(row, known):
            wrong.append((fault.kind, fault.id, f"row {position} is {fault.text}: {fault.remedy}"))
            continue
        given = row.get("iscrowd")
        if not is_whole(given):
            told = f"iscrowd is {short(given)}, not 0 or 1" if "iscrowd" in row else "iscrowd is missing"
            wrong.append(("crowd-form", row["id"], told))
        good[row["id"]].append(row | {"iscrowd": int(bool(as_flag(given)))})
    usable = {}
    for segment_id, same in good.items():
        meanings = {(row["category_id"], row["iscrowd"]) for row in same}
        if len(same) > 1:
            told = f"{len(same)} rows have it" + ("" if len(meanings) == 1 else " and contradict each other")
            wrong.append(("id-repeated", segment_id, told))
        if len(meanings) == 1:
            usable[segment_id] = same[0]
    return usable, wrong


def listed_ids(rows: list) -> set[int]:
    """Every id that some row has, whatever else is wrong with the row."""
    return {row["id"] for row in rows if isinstance(row, dict) and is_whole(row.get("id"))}


def short(value: Any) -> str:
    """A value of the JSON for a message: one line, without what a terminal would obey."""
    if isinstance(value, str) and len(value) <= SHOWN and value.isascii() and value.isalnum():
        return value
    text = shorten(value, SHOWN).encode("ascii", "backslashreplace").decode()
    return text if len(text) <= SHOWN else f"{text[: SHOWN - 3]}..."


class _Reader:
    """Pairs the entries of one JSON and collects what is wrong with them."""

    def __init__(self, root: Path, json_path: Path, image_folder: Path, png_folder: Path) -> None:
        self.image_folder, self.png_folder = image_folder, png_folder
        self.findings: list[Finding] = []
        self._faulty: set[int | str] = set()  # ids of image entries that cannot be used, told already
        self._root = root
        self._json = json_path.relative_to(root).as_posix()

    def images(self, entries: list) -> dict[int | str, dict]:
        """Image id to the one entry that has it."""
        sound = [e for k, e in enumerate(entries) if self._is_sound(e, "id", self.image_folder, f"images[{k}]")]
        return self._unique(sound, "id", "duplicate-image-id", lambda entry: entry["file_name"])

    def annotations(self, entries: list) -> dict[int | str, dict | None]:
        """Image id to its annotation, or to None where several contradict each other or none can be used."""
        sound, ids = [], []
        for k, entry in enumerate(entries):
            where = f"annotations[{k}]"
            if isinstance(entry, dict) and is_identifier(entry.get("image_id")):
                ids.append(entry["image_id"])
            if not self._is_sound(entry, "image_id", self.png_folder, where):
                continue
            if not isinstance(entry.get("segments_info"), list):
                self._tell("bad-entry", entry["image_id"], f"{where} has no list segments_info")
            elif not entry["file_name"].lower().endswith(".png"):
                self._tell(
                    "bad-entry", entry["image_id"], f"{where} names {short(entry['file_name'])}, which is no PNG"
                )
            else:
                sound.append(entry)
        return dict.fromkeys(ids) | self._unique(sound, "image_id", "duplicate-annotation", repr)

    def pairs(self, images: dict, annotations: dict) -> list[Pair]:
        """Images with annotation, in the order of the images; a file name counts once."""
        for image_id, annotation in annotations.items():
            if annotation is not None and image_id not in images and image_id not in self._faulty:
                self._tell("no-image-entry", image_id, "is annotated, but 'images' does not list it")
        pairs, names = [], ({}, {})
        for image_id, image in images.items():
            if image_id not in annotations:
                self._tell("no-annotation", image_id, f"{short(image['file_name'])} has no annotation")
            annotation = annotations.get(image_id)
            if annotation is None:
                continue
            own = (image["file_name"], annotation["file_name"])
            twice = [(name, seen[name]) for name, seen in zip(own, names, strict=True) if name in seen]
            for name, other in twice:
                self._tell("duplicate-file-name", image_id, f"{short(name)} belongs to the image {short(other)} too")
            if twice:
                continue
            for name, seen in zip(own, names, strict=True):
                seen[name] = image_id
            pairs.append(Pair(image, annotation, self.image_folder / own[0], self.png_folder / own[1]))
        self._tell_crossed(pairs)
        return pairs

    def tell_unlisted(self, folder: Path, entries: list) -> None:
        """Files of a folder that no entry names."""
        names = {str(entry.get("file_name")) for entry in entries if isinstance(entry, dict)}
        for path in sorted(folder.iterdir()) if folder.is_dir() else []:
            if path.is_file() and not path.name.startswith(".") and path.name not in names:
                self.findings.append(
                    Finding("file-unlisted", path.relative_to(self._root).as_posix(), None, f"{self._json} lacks it")
                )

    def _tell_crossed(self, pairs: list[Pair]) -> None:
        """Images whose name is that of another image's label: ``image_id`` may pair the wrong ones. Told once."""
        images, labels = ([getattr(pair, kind)["file_name"] for pair in pairs] for kind in ("image", "annotation"))
        if crossed := crossed_names(images, labels):
            one = crossed[0][0]
            text = f"{len(crossed)} images have a label that is named like another image, such as {short(images[one])}"
            self._tell("names-crossed", None, f"{text} with {short(labels[one])}")

    def _unique(self, entries: list[dict], key: str, kind: str, meaning: Callable[[dict], str]) -> dict:
        groups = defaultdict(list)
        for entry in entries:
            groups[entry[key]].append(entry)
        unique = {}
        for own, same in groups.items():
            agree = len({meaning(entry) for entry in same}) == 1
            for entry in same[1:]:
                told = "says the same once more" if agree else "contradicts another entry of this id"
                self._tell("entry-repeated" if agree else kind, own, f"{short(entry['file_name'])} {told}")
            if agree:
                unique[own] = same[0]
            elif kind == "duplicate-annotation":
                unique[own] = None
            else:
                self._faulty.add(own)
        return unique

    def _is_sound(self, entry: Any, key: str, folder: Path, where: str) -> bool:
        if not isinstance(entry, dict):
            self._tell("bad-entry", None, f"{where} is not an object")
            return False
        if not is_identifier(entry.get(key)):
            self._tell("bad-entry", None, f"{where}.{key} is {short(entry.get(key))}, not a whole number or a text")
            return False
        name = entry.get("file_name")
        if not is_inside(name):
            told = f"{where}.file_name is {short(name)}, not the name of a file inside {folder.name}"
            self._tell("bad-entry", entry[key], told)
            if key == "id":
                self._faulty.add(entry[key])
            return False
        return True

    def _tell(self, kind: str, own: int | str | None, text: str) -> None:
        self.findings.append(Finding(kind, self._json, own, text))


def _names(entries: list) -> Iterator[str]:
    return (e["file_name"] for e in entries if isinstance(e, dict) and is_inside(e.get("file_name")))
