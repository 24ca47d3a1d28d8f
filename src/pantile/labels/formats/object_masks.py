"""A mask PNG for each object, as sets of nuclei and cells have them.

::

    root/<image>/images/<image>.png     root/<image>/masks/*.png                (Data Science Bowl 2018)
    root/images/<split>/<image>.*       root/masks/<split>/<image>/*.png        also without split folders

A mask is the object where it is neither black nor transparent, and as large as its image. Masks in a folder of the
image's, ``masks/<image>/<class>/*.png``, are of that class; all others are of the one class of ``--classes``, else of
``object``. The order is that of the names.
"""

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image

from pantile.contracts.errors import UserError
from pantile.contracts.input_files import regular_file
from pantile.contracts.taxonomy import Taxonomy
from pantile.data.decoding import decoding
from pantile.data.files_below import files_in
from pantile.data.image_suffixes import IMAGE_SUFFIXES
from pantile.labels.photos.label_frames import Evidence, Size
from pantile.labels.reading.beside import top_of, unlabelled
from pantile.labels.reading.image_folders import choose_splits
from pantile.labels.reading.looking import MANY, files_of
from pantile.labels.reading.rasterise import NO_PIXEL, mask_to_rle
from pantile.labels.reading.tool_images import ToolImage, from_shapes, only_split, tool_split
from pantile.labels.reading.tool_shapes import mask_shape, tool_taxonomy
from pantile.labels.registry import register_reader
from pantile.labels.source import Dropped, LabelSource, ReadOptions, Shape

MASK_SUFFIXES = (".png", ".bmp", ".gif", ".tif", ".tiff")
ONE_CLASS = "object"


def _fits(src: Path) -> str | None:
    folders = [own for many in (_bowl(src, ReadOptions()) or _shared(src, ReadOptions())).values() for own in many]
    found = next((own for own in folders[:MANY] if own.is_dir() and files_of(own, ".png", 1)), None)
    return None if found is None or not _Photos(src, None).of(found) else f"masks of an image in {found}"


@register_reader("object-masks", fits=_fits)
def open_object_masks(src: Path, options: ReadOptions) -> LabelSource:
    """
    Raises:
        UserError: no masks, masks without an image, or of classes that are not told.
    """
    of_split = _bowl(src, options) or _shared(src, options)
    if not of_split:
        raise UserError(
            f"{src} has neither <image>/masks/*.png nor masks/<image>/*.png: put the masks of each image into a folder."
        )
    classes = {name for own in of_split.values() for image in own for name, _ in _masks(image)}
    taxonomy, notes = tool_taxonomy([name or ONE_CLASS for name in classes], src, options)
    if None in classes and len(taxonomy) > 1 and ONE_CLASS not in taxonomy.names:
        raise UserError(f"{src} has masks in no folder of a class, and --classes names several: keep one of them.")
    found = choose_splits(of_split, options.splits if len(of_split) > 1 else (), src)
    splits, labelled, photos = [], [], _Photos(src, options.images)
    for name, own in found.items():
        images = [_image(folder, photos.find(folder), options.images or src, taxonomy) for folder in own]
        split, more = tool_split(name, images, f"the masks in {src} are of", options)
        splits.append(split)
        labelled += [image.path for image in images]
        notes = (*notes, *more)
    if len(found) == len(of_split):
        folders, top = {path.parent for path in labelled}, top_of(src, options.images)
        notes = (*notes, *unlabelled(folders, labelled, "have no masks", top))
    return LabelSource(taxonomy, tuple(splits), notes)


def _bowl(src: Path, options: ReadOptions) -> dict[str, list[Path]]:
    """Folders of masks by split, where each image has a folder of its own."""
    tops = sorted(src.iterdir()) if src.is_dir() else []
    found = [top / "masks" for top in tops if (top / "masks").is_dir() and (top / "images").is_dir()]
    return {only_split(options): found} if found else {}


def _shared(src: Path, options: ReadOptions) -> dict[str, list[Path]]:
    """The same, where ``masks`` holds a folder for each image, or for each split."""
    top = src / "masks"
    folders = [path for path in sorted(top.iterdir()) if path.is_dir()] if top.is_dir() else []
    splits = [path for path in folders if (src / "images" / path.name).is_dir()]
    if splits:
        return {path.name: [own for own in sorted(path.iterdir()) if own.is_dir()] for path in splits}
    return {only_split(options): folders} if folders else {}


def _masks(folder: Path) -> list[tuple[str | None, Path]]:
    """Class, where a folder says it, and file of each mask of an image."""
    found = [(None, path) for path in files_in(folder, MASK_SUFFIXES, nested=False)]
    for own in sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith(".")):
        found += [(own.name, path) for path in files_in(own, MASK_SUFFIXES)]
    return found


def _image(folder: Path, photo: Path, root: Path, taxonomy: Taxonomy) -> ToolImage:
    masks = _masks(folder)
    name = photo.relative_to(root).as_posix() if photo.is_relative_to(root) else photo.name
    read = from_shapes(partial(_shapes, masks, taxonomy))
    return ToolImage(photo, name, str(folder), read, len(masks), evidence=partial(_evidence, masks))


class _Photos:
    """The image of a folder of masks; each folder of images is listed once."""

    def __init__(self, src: Path, images: Path | None) -> None:
        self._src, self._images = src, images
        self._by_stem: dict[Path, dict[str, list[Path]]] = {}

    def of(self, masks: Path) -> list[Path]:
        """All that may be the image; more than one is a fault."""
        for place in _places(masks, self._src, self._images):
            beside = self._listed(place)
            own = [path for paths in beside.values() for path in paths] if masks.name == "masks" else []
            own = own or beside.get(masks.name, [])
            if own:
                return own
        return []

    def find(self, masks: Path) -> Path:
        """The image; where it should be, if there is none.

        Raises:
            UserError: there are several.
        """
        own = self.of(masks)
        if len(own) > 1:
            raise UserError(f"{masks} may be of {own[0]} or {own[1]}: leave one image for a folder of masks.")
        name = masks.parent.name if masks.name == "masks" else masks.name
        return own[0] if own else _places(masks, self._src, self._images)[0] / f"{name}.png"

    def _listed(self, place: Path) -> dict[str, list[Path]]:
        if place not in self._by_stem:
            found: dict[str, list[Path]] = {}
            for path in files_in(place, IMAGE_SUFFIXES, nested=False):
                found.setdefault(path.stem, []).append(path)
            self._by_stem[place] = found
        return self._by_stem[place]


def _places(folder: Path, src: Path, images: Path | None) -> list[Path]:
    if folder.name == "masks":
        return [folder.parent / "images"]
    split = folder.parent.relative_to(src / "masks")
    return [images / split, images] if images else [src / "images" / split, src / split, src / "images"]


def _evidence(masks: list[tuple[str | None, Path]]) -> Evidence:
    return Evidence(sizes=(_decoded(masks[0][1]).shape,) if masks else ())


def _shapes(masks: list[tuple[str | None, Path]], taxonomy: Taxonomy, size: Size) -> Iterator[Shape | Dropped]:
    only = ONE_CLASS if ONE_CLASS in taxonomy.names else taxonomy.names[0]
    for name, path in masks:
        mask = _decoded(path)
        if mask.shape != size:
            raise UserError(
                f"{path} is {mask.shape[1]}x{mask.shape[0]} pixels but its image is {size[1]}x{size[0]}: make both the "
                "same size."
            )
        yield mask_shape(mask_to_rle(mask), name or only, taxonomy, str(path), NO_PIXEL)


def _decoded(path: Path) -> np.ndarray:
    """(H, W) bool."""
    with decoding(path), Image.open(regular_file(path)) as image:
        if image.has_transparency_data:
            pixels = np.asarray(image.convert("RGBA"))
            return (pixels[..., 3] > 0) & (pixels[..., :3] > 0).any(axis=-1)
        pixels = np.asarray(image.convert("RGB") if image.mode == "P" else image)
    return (pixels > 0).any(axis=-1) if pixels.ndim == 3 else pixels > 0
