"""DescribedFolder: images and label PNGs with a ``dataset.yaml`` that says what a COCO JSON would say.

::

    root/dataset.yaml
    root/images/<split>/<name>.jpg           or another ending of IMAGE_SUFFIXES; <name> may be folders and a name
    root/semantic/<split>/<name>.png         8 bits, the class id
    root/instances/<split>/<name>.png        optional; 16 bits: the number of the thing, 0 where not separated

The file lists the classes; everything else has a default::

    classes:
      - {name: window, thing: true, id: 1, color: [70, 200, 230]}
      - {name: wall, thing: false}           # the id is the position from 1 where no class has one
    channels: 3                              # and what else ``described_images`` says of the images

Values 0 and 255 of a semantic PNG are void unless a class has that id. A thing is a pair of class and number, so
numbers may count per class or per image; without instance PNGs every region of a thing class is crowd.
"""

import os
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, StrictBool, StrictInt, StrictStr

from pantile.contracts.errors import NoSplit, UserError
from pantile.contracts.panoptic import VOID_ID, PanopticMap, Segment
from pantile.contracts.taxonomy import ClassInfo, Taxonomy, default_color
from pantile.data.described_images import DESCRIPTION, DescribedImages, ImageFields, described_images, read_fields
from pantile.data.files_below import images_by_stem
from pantile.data.label_files import GREY_16, INDEXED_8, read_label
from pantile.data.layouts import register_layout
from pantile.data.missing import MissingFiles
from pantile.data.paired_files import FileSet, PairedFiles, check_present

VOID_VALUES = (0, 255)
NUMBERS = 2**16  # that a 16-bit PNG can hold

Byte = Annotated[StrictInt, Field(ge=0, le=255)]


class _Class(BaseModel):
    model_config = ConfigDict(extra="forbid")

    name: Annotated[StrictStr, Field(min_length=1)]
    thing: StrictBool
    id: Byte | None = None
    color: Annotated[list[Byte], Field(min_length=3, max_length=3)] | None = None


class _File(ImageFields):
    classes: Annotated[list[_Class], Field(min_length=1)]


@dataclass(frozen=True)
class Description(DescribedImages):
    """What ``dataset.yaml`` says: of the images, and the classes.

    Attributes:
        taxonomy: the classes in the file's order; ids 0..255.
    """

    taxonomy: Taxonomy


def read_description(path: Path) -> Description:
    """
    Raises:
        UserError: the file cannot be read, is not YAML, or has a missing, unknown or impossible field.
    """
    content = read_fields(path, _File)
    return Description(**vars(described_images(content, path)), taxonomy=_taxonomy(content.classes, path))


def is_described(root: Path) -> bool:
    return os.path.lexists(root / DESCRIPTION)  # what is no file is told where it is read


def described_splits(root: Path) -> list[str]:
    """Names of the folders in ``semantic``, sorted."""
    top = root / "semantic"
    return sorted(path.name for path in top.iterdir() if path.is_dir()) if top.is_dir() else []


@register_layout(
    "described", "described folder", marks=DESCRIPTION, fits=is_described, splits=described_splits, precedence=1
)
class DescribedFolder(PairedFiles):
    """Images and panoptic maps of one split. Image ids are the file names without ending, with their folders.

    Args:
        root: the folder that holds ``dataset.yaml``.
        split: a folder of ``semantic``.
        skip_missing: leaves out images of which a file is missing, and labels without image, with a warning.

    Attributes:
        description: what the file says; ``bands.for_data`` gives its channels, mean and std to a model's config.

    Raises:
        UserError: a wrong description, no such split, or an image or a label without its partner.
    """

    _how_to_say = f"write `orientation: stored` into {DESCRIPTION}"

    def __init__(self, root: str | Path, split: str = "train", skip_missing: bool = False) -> None:
        root = Path(root)
        self.description = read_description(root / DESCRIPTION)
        splits = described_splits(root)
        if split not in splits:
            if splits:
                raise NoSplit(f"{root} has no split {split!r}", f"one of {', '.join(splits)}")
            raise UserError(f"{root} has no split {split!r}: put label PNGs into semantic/<split>.")
        self._semantic = FileSet(root / "semantic" / split, ".png", depth=None)
        self._instances = FileSet(root / "instances" / split, ".png", depth=None)
        self._image_paths = images_by_stem(root / "images" / split)
        super().__init__(self.description.taxonomy, sorted(self._image_paths), FileSet(root / "images" / split, ""))
        self.channels, self.reading = self.description.channels, self.description.reading
        self._keys = sorted(self._check_partners(root / DESCRIPTION, skip_missing))
        self.orientation = self.description.orientation

    def _check_partners(self, description: Path, skip_missing: bool) -> set[str]:
        """Every image has its labels and every label its image. Returns the stems that do."""
        images, folder = set(self._image_paths), self._images.folder
        if not images:
            raise UserError(f"{folder} has no image: put the images of the labels there.")
        kept = check_present(self._semantic, images, f"labels of the images in {folder}", skip_missing)
        alone = sorted(self._semantic.keys() - images)
        if alone and not skip_missing:
            raise UserError(
                f"{self._semantic.path(alone[0])} has no image of that name in {folder} ({len(alone)} such labels): "
                "add the image or remove the label, or leave them out with --skip-missing."
            )
        if alone:
            text = f"{len(alone)} labels without an image in {folder} were left out."
            warnings.warn(MissingFiles(text, len(alone)), stacklevel=3)
        self._separated = self._instances.folder.is_dir()
        if self._separated:
            kept = check_present(self._instances, kept, f"instance PNGs of the images in {folder}", skip_missing)
        elif self.taxonomy.thing_indices:
            warnings.warn(
                f"{self._instances.folder} does not exist, so every region of the things of {description} is crowd: "
                "nothing separates them.",
                stacklevel=3,
            )
        if not kept:
            raise UserError(f"{folder} has no image that has all its labels: restore them.")
        return kept

    def image_path(self, index: int) -> Path:
        return self._image_paths[self._keys[index]]

    def name_of(self, index: int) -> str:
        """The path below the folder of the split."""
        return self.image_path(index).relative_to(self._images.folder).as_posix()

    def image_id(self, index: int) -> str:
        return self._keys[index]

    def label_path(self, index: int) -> Path:
        return self._semantic.path(self._keys[index])

    def load_map(self, index: int) -> PanopticMap:
        """Ids count from 1 by class id, then by number.

        Raises:
            UserError: a PNG is broken or of another depth, the two differ in size, or a value is no class.
        """
        path = self.label_path(index)
        classes = read_label(path, INDEXED_8).astype(np.int64)
        if not self._separated:
            return self._to_map(classes, np.zeros_like(classes), path)
        numbers = read_label(self._instances.path(self._keys[index]), (GREY_16,)).astype(np.int64)
        if numbers.shape != classes.shape:
            raise UserError(
                f"{path} is {classes.shape[1]}x{classes.shape[0]} pixels but its instance PNG is "
                f"{numbers.shape[1]}x{numbers.shape[0]}: make both the same size."
            )
        return self._to_map(classes, numbers, path)

    def _to_map(self, classes: np.ndarray, numbers: np.ndarray, path: Path) -> PanopticMap:
        stuff = [info.id for info in self.taxonomy.classes if not info.is_thing]
        numbers = np.where(np.isin(classes, stuff), 0, numbers)  # numbers of stuff mean nothing
        codes, position = np.unique(classes * NUMBERS + numbers, return_inverse=True)
        id_of_code, segments = np.zeros(len(codes), dtype=np.int32), []
        for k, (value, number) in enumerate(divmod(code, NUMBERS) for code in codes.tolist()):
            class_index = self.taxonomy.index_of_id.get(value)
            if class_index is not None:
                is_crowd = self.taxonomy.classes[class_index].is_thing and number == 0
                segments.append(Segment(len(segments) + 1, class_index, is_crowd))
                id_of_code[k] = len(segments)
            elif value in VOID_VALUES:
                id_of_code[k] = VOID_ID
            else:
                raise UserError(
                    f"{path} has {int((classes == value).sum())} pixels of value {value}, which {DESCRIPTION} does not "
                    "list: add the class there, or paint these pixels 255 (void)."
                )
        return PanopticMap(id_of_code[position].reshape(classes.shape), tuple(segments))


def _taxonomy(classes: list[_Class], path: Path) -> Taxonomy:
    given = [entry.id for entry in classes if entry.id is not None]
    if given and len(given) < len(classes):
        missing = next(entry.name for entry in classes if entry.id is None)
        raise UserError(f"{path}: the class {missing!r} lacks an id, but others have one: give ids to all or to none.")
    if not given and len(classes) > max(VOID_VALUES):
        raise UserError(f"{path} lists {len(classes)} classes: a semantic PNG of 8 bits holds at most 255.")
    infos = [
        ClassInfo(
            entry.name,
            entry.thing,
            position + 1 if entry.id is None else entry.id,
            tuple(entry.color) if entry.color else default_color(position),
        )
        for position, entry in enumerate(classes)
    ]
    try:
        return Taxonomy(tuple(infos))
    except UserError as error:
        raise UserError(f"{path}: {error}") from None
