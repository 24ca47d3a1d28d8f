"""The JSONs of COCO instances: which there are, their images, annotations and categories."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from pantile.contracts.errors import UserError
from pantile.contracts.file_names import key_of
from pantile.contracts.json_fields import Fields, read_json
from pantile.labels.reading.coco_categories import MAX_WRITTEN
from pantile.labels.source import Layer, ReadOptions

OTHER = "other"  # in COCO's stuff: things


@dataclass(frozen=True)
class CocoFile:
    """A JSON of the split, its fields checked but for the annotations' own."""

    path: Path
    layer: Layer
    images: list[Fields]
    categories: list[Fields]
    annotations: dict[int | str, list[Fields]]

    def all_annotations(self) -> Iterator[Fields]:
        return chain.from_iterable(self.annotations.values())

    def has_polygons(self) -> bool:
        return any(isinstance(own.data.get("segmentation"), list) for own in self.all_annotations())


def find_jsons(src: Path, wanted: tuple[str, ...]) -> dict[str, Path]:
    if src.is_file():
        if len(wanted) > 1:
            raise UserError(f"{src} is one JSON: give one name with --split.")
        return {wanted[0] if wanted else src.stem.removeprefix("instances_"): src}
    found = jsons_in(src)
    if not found:
        raise UserError(f"{src} has no annotations/instances_<split>.json: name the JSON itself as the source.")
    return found


def jsons_in(src: Path) -> dict[str, Path]:
    """Split to JSON; empty where there is none."""
    found: dict[str, Path] = {}
    for folder in (src / "annotations", src):
        for path in sorted(folder.glob("instances_*.json")):
            found.setdefault(path.stem.removeprefix("instances_"), path)
    for path in sorted(src.glob("*/_annotations.coco.json")):
        found.setdefault(path.parent.name, path)
    return found


def read_files(path: Path, split: str) -> list[CocoFile]:
    files = [_read(path, Layer.SHAPE)]
    stuff = path.with_name(f"stuff_{split}.json")
    if stuff != path and stuff.exists():
        files.append(_read(stuff, Layer.STUFF_FILE))
        _check_same_images(*files)
    return files


def _check_same_images(things: CocoFile, stuff: CocoFile) -> None:
    """
    Raises:
        UserError: the two files mean different images by one id.
    """
    names = {image.data["id"]: image.data.get("file_name") for image in things.images}
    for image in stuff.images:
        own, other = image.data.get("file_name"), names.get(image.data["id"])
        if isinstance(own, str) and isinstance(other, str) and key_of(own) != key_of(other):
            raise UserError(
                f"{image.where} calls the image with the id {image.data['id']!r} {own!r}, but {things.path} calls it "
                f"{other!r}: give both files the same ids."
            )


def _read(path: Path, layer: Layer) -> CocoFile:
    top = Fields.of(read_json(path), str(path))
    images = top.objects("images", "image")
    ids = [image.identifier("id") for image in images]
    twice = next((i for i, count in Counter(ids).items() if count > 1), None)
    if twice is not None:
        raise UserError(f"{path} lists the image id {twice!r} twice in 'images': make the ids unique.")
    annotations: dict[int | str, list[Fields]] = {i: [] for i in ids}
    for annotation in top.objects("annotations", "annotation"):
        image_id = annotation.identifier("image_id")
        if image_id not in annotations:
            raise UserError(
                f"{annotation.where} has the image_id {image_id!r}, which 'images' does not list: add the image or "
                "remove the annotation."
            )
        annotations[image_id].append(annotation)
    return CocoFile(path, layer, images, top.objects("categories", "category"), annotations)


def all_categories(files: dict[str, list[CocoFile]], options: ReadOptions) -> list[Fields]:
    """
    Raises:
        UserError: the JSONs name a category differently.
    """
    rows: dict[int, Fields] = {}
    stuff_files = [file for own in files.values() for file in own if file.layer == Layer.STUFF_FILE]
    for file in [own[0] for own in files.values()] + stuff_files:
        for category in file.categories:
            category_id, name = category.whole("id", 0, MAX_WRITTEN), category.text("name")
            if file.layer == Layer.STUFF_FILE and name == OTHER:
                continue
            if file.layer == Layer.STUFF_FILE and "isthing" not in category:
                category = Fields(category.data | {"isthing": 0}, category.where)
            known = rows.setdefault(category_id, category)
            if known.data["name"] != name:
                raise UserError(
                    f"{category.where} calls the category id {category_id} {name!r}, but {known.where} calls it "
                    f"{known.data['name']!r}: use one list of categories."
                )
            own, before = (entry.get("isthing", "0 or 1", None) for entry in (category, known))
            settled = name in options.things or name in options.stuff or file.layer == Layer.STUFF_FILE
            if not settled and None not in (own, before) and own != before:
                raise UserError(
                    f"{category.where} and {known.where} disagree on whether {name!r} is a thing: "
                    "say it by --things or --stuff."
                )
    return list(rows.values())
