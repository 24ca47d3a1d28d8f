"""One image of a check: decodes its two files and holds the pixels against the rows."""

import hashlib
import os
from collections import defaultdict
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from pantile.contracts.errors import UserError
from pantile.contracts.panoptic import VOID_ID, PanopticMap
from pantile.data.dataset import PanopticDataset
from pantile.data.decoding import decoding
from pantile.data.described_images import DESCRIPTION, DescribedImages
from pantile.data.id_runs import IdRuns, box_of
from pantile.data.image_files import read_image, read_orientation, read_panoptic_png
from pantile.data.labelled_photos import LabelledPhotos
from pantile.data.orientation import STORED, UPRIGHT, Choice, Orientation, choose_frame, turn
from pantile.data.reading import Unsaid
from pantile.data.videos import has_videos
from pantile.labels.checks.findings import MUCH_VOID, TINY_PIXELS, Finding
from pantile.labels.checks.table import Pair, listed_ids, short, usable_rows
from pantile.labels.photos.content_hash import content_hash

DIAGONAL = np.ones((3, 3), dtype=int)  # pixels that touch at a corner are one piece


@dataclass
class ImageResult:
    """
    Attributes:
        file: the image, below the checked folder.
        findings: in the order in which they were met.
        content: hash of the decoded pixels, None where they do not decode.
        segments, pixels, void_pixels: of the map; 0 where it does not decode.
        regions: [category id, crowd or not, segments, pixels] of the map's classes.
        size: (height, width) of the map of a video's frame; None elsewhere.
        tracks: (segment id, category id, crowd or not) of a video's frame; empty elsewhere.
    """

    file: str
    findings: list[Finding] = field(default_factory=list)
    content: str | None = None
    segments: int = 0
    pixels: int = 0
    void_pixels: int = 0
    regions: list[list[int]] = field(default_factory=list)
    size: tuple[int, int] | None = None
    tracks: list[tuple[int, int, bool]] = field(default_factory=list)

    def to_dict(self) -> dict:
        return asdict(self)

    @classmethod
    def from_dict(cls, data: dict) -> "ImageResult":
        return cls(**(data | {"findings": [Finding(**finding) for finding in data["findings"]]}))

    def tell(self, kind: str, file: str, own: int | str | None, text: str) -> None:
        self.findings.append(Finding(kind, file, own, text))


@dataclass(frozen=True)
class Measured:
    """Segments of a map by id, void left out.

    Attributes:
        areas: pixels.
        boxes: [left, top, width, height].
        ids: (H, W), the map.
        slices: (rows, columns) of each segment.
        void: pixels of void.
    """

    areas: dict[int, int]
    boxes: dict[int, list[int]]
    ids: np.ndarray
    slices: dict[int, tuple[slice, slice]]
    void: int

    def pieces(self, segment_id: int) -> int:
        """Connected pieces of a segment."""
        from scipy import ndimage

        return ndimage.label(self.ids[self.slices[segment_id]] == segment_id, structure=DIAGONAL)[1]


def measure(ids: np.ndarray) -> Measured:
    """One pass over (H, W) ids; any number of segments."""
    own_runs = IdRuns.of(ids)
    areas, slices = own_runs.areas(), own_runs.slices()
    void = areas.pop(VOID_ID, 0)
    return Measured(areas, {own: box_of(place) for own, place in slices.items()}, ids, slices, void)


@dataclass(frozen=True)
class CocoImage:
    """A pair of files of a COCO-panoptic folder.

    Attributes:
        root: the checked folder.
        split: the image's.
        pair: entries and paths.
        things: category id to whether it is a thing.
        images: what the folder's ``dataset.yaml`` says of the images.
    """

    root: Path
    split: str
    pair: Pair
    things: dict[int, bool]
    images: DescribedImages | None = None

    @property
    def fingerprint(self) -> str:
        """Changes with all that the result depends on: both files' path, size and times, entries, categories."""
        files = [_stamp(path) for path in (self.pair.image_path, self.pair.png_path)]
        text = repr(
            (
                self._below(self.pair.image_path),
                files,
                self.pair.image,
                self.pair.annotation,
                self.things,
                self.images,
                TINY_PIXELS,
                MUCH_VOID,
            )
        )
        return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=20).hexdigest()

    def check(self) -> ImageResult:
        image_file, png_file = (self._below(path) for path in (self.pair.image_path, self.pair.png_path))
        result = ImageResult(image_file)
        photo = _decode(self._read_photo, self.pair.image_path, "image", image_file, result)
        ids = _decode(read_panoptic_png, self.pair.png_path, "label", png_file, result)
        image = None
        if photo is not None:
            choice = (
                None
                if ids is None
                else choose_frame(photo[1], ids.shape, self.images.orientation if self.images else None)
            )
            tell_rotation(photo[1], choice, image_file, self.pair.image["id"], result)
            image = turn(photo[0], photo[1].tag, STORED, choice.frame if choice else UPRIGHT)
            result.content = content_hash(image)
            self._check_json_size(image.shape[:2], image_file, result)
        rows, wrong = usable_rows(self.pair.annotation["segments_info"], self.things)
        for kind, own, text in wrong:
            result.tell(kind, png_file, own, text)
        if ids is None:
            return result
        if image is not None and image.shape[:2] != ids.shape:
            text = f"the image is {_size(image.shape)} pixels, the PNG {_size(ids.shape)}"
            result.tell("size-mismatch", image_file, self.pair.image["id"], text)
        measured = measure(ids)
        result.segments, result.pixels, result.void_pixels = len(measured.areas), ids.size, measured.void
        self._check_rows(rows, measured, png_file, result)
        crowd = {own for own, row in rows.items() if row["iscrowd"]}
        things = {own for own, row in rows.items() if self.things[row["category_id"]]}
        look(measured, {own: row["category_id"] for own, row in rows.items()}, crowd, things, png_file, result)
        return result

    def _read_photo(self, path: Path) -> tuple[np.ndarray, Orientation]:
        """Pixels as stored, and how to turn them."""
        said = (self.images.channels, self.images.reading) if self.images else ()
        return read_image(path, *said, frame=STORED), read_orientation(path)

    def _below(self, path: Path) -> str:
        return path.relative_to(self.root).as_posix()

    def _check_json_size(self, size: tuple[int, int], file: str, result: ImageResult) -> None:
        claimed = tuple(self.pair.image.get(key) for key in ("height", "width"))
        if claimed == (None, None):
            result.tell("no-size", file, self.pair.image["id"], "the JSON gives no height and width")
        elif not all(_equals(a, b) for a, b in zip(claimed, size, strict=True)):
            text = f"the JSON says {short(claimed[1])} x {short(claimed[0])} (width x height), the file {_size(size)}"
            result.tell("json-size", file, self.pair.image["id"], text)

    def _check_rows(self, rows: dict[int, dict], measured: Measured, file: str, result: ImageResult) -> None:
        listed = listed_ids(self.pair.annotation["segments_info"])
        for own, area in measured.areas.items():
            if own not in listed:
                result.tell("id-unlisted", file, own, f"{area} pixels have it, but no row")
        for own, row in rows.items():
            if own not in measured.areas:
                result.tell("row-without-pixels", file, own, "no pixel has it")
                continue
            if row.get("area") is None:
                result.tell("no-area", file, own, "the JSON gives none")
            elif not _equals(row["area"], measured.areas[own]):
                text = f"the JSON says {short(row.get('area'))}, the pixels {measured.areas[own]}"
                result.tell("wrong-area", file, own, text)
            box, claimed = measured.boxes[own], row.get("bbox")
            if claimed is None:
                result.tell("no-box", file, own, "the JSON gives none")
            elif not (isinstance(claimed, list) and len(claimed) == 4 and all(map(_equals, claimed, box))):
                result.tell("wrong-box", file, own, f"the JSON says {short(claimed)}, the pixels {box}")


@dataclass(frozen=True)
class OpenedImage:
    """An image of any other data set: what its reader refuses is a finding, what it gives is looked at."""

    dataset: PanopticDataset
    split: str
    index: int
    fingerprint = None  # the reader's files are not known here, so nothing is remembered

    def check(self) -> ImageResult:
        file = f"{self.split}/{self.dataset.name_of(self.index)}"
        result = ImageResult(file)
        image = _decode(self.dataset.load_image, self.index, "image", file, result)
        if image is None:
            return result
        result.content = content_hash(image)
        loaded = _decode(self.dataset.load, self.index, "label", file, result)
        if loaded is None:
            return result
        panoptic: PanopticMap = loaded[1]
        if isinstance(self.dataset, LabelledPhotos):
            found = read_orientation(self.dataset.image_path(self.index))
            own = self.dataset.image_id(self.index)
            tell_rotation(found, self.dataset.choose(found, panoptic.size), file, own, result)
        measured = measure(panoptic.ids)
        result.segments, result.pixels, result.void_pixels = len(measured.areas), panoptic.ids.size, measured.void
        classes = self.dataset.taxonomy.classes
        categories = {segment.id: classes[segment.class_index].id for segment in panoptic.segments}
        crowd = {segment.id for segment in panoptic.segments if segment.is_crowd}
        things = {segment.id for segment in panoptic.segments if classes[segment.class_index].is_thing}
        look(measured, categories, crowd, things, file, result)
        if has_videos(self.dataset):
            result.size = panoptic.size
            result.tracks = [(own, categories[own], own in crowd) for own in categories]
        return result


def tell_rotation(found: Orientation, choice: Choice | None, file: str, own: int | str, result: ImageResult) -> None:
    """A photo with an orientation tag; one whose label fits neither frame is told as such elsewhere."""
    if not found.is_turned or choice is None:
        return
    tag = f"EXIF orientation {found.tag} ({_size(found.upright)} upright)"
    lies = {UPRIGHT: "the upright picture", STORED: "the pixels as stored"}
    if choice.is_sure:
        result.tell("image-rotated", file, own, f"{tag}, and its label lies on {lies[choice.frame]}")
    else:
        both = "its label fits the upright picture and the stored pixels alike; read as upright"
        result.tell("image-rotation-unclear", file, own, f"{tag}, and {both}: say `orientation` in {DESCRIPTION}")


def look(
    measured: Measured,
    categories: dict[int, int],
    crowd: set[int],
    things: set[int],
    file: str,
    result: ImageResult,
) -> None:
    """What the map itself tells.

    Args:
        measured: its segments.
        categories: segment id to category id.
        crowd, things: ids of segments.
        file: for the findings.
        result: gets them.
    """
    if not measured.areas:
        result.tell("empty-image", file, None, "no segment at all")
    elif measured.void > MUCH_VOID * result.pixels:
        result.tell("much-void", file, None, f"{measured.void / result.pixels:.0%} of the pixels are void")
    regions: dict[tuple[int, bool], list[int]] = defaultdict(list)
    for own, area in measured.areas.items():
        if own in categories:
            regions[categories[own], own in crowd].append(own)
        if own in crowd and own not in things:
            result.tell("stuff-crowd", file, own, "stuff is flagged crowd, which training takes for void")
        if own in crowd:
            continue
        if area < TINY_PIXELS:
            result.tell("tiny-segment", file, own, f"{area} pixels")
        if own in things and (pieces := measured.pieces(own)) > 1:
            result.tell("thing-in-pieces", file, own, f"{pieces} pieces that do not touch")
    for (category, flag), ids in regions.items():
        result.regions.append([category, int(flag), len(ids), sum(measured.areas[own] for own in ids)])
        if len(ids) > 1 and flag and ids[0] in things:
            text = f"{len(ids)} crowd regions of category {category}, of which panopticapi's score counts the last only"
            result.tell("several-crowds", file, ids[0], text)
        elif len(ids) > 1 and not flag and ids[0] not in things:
            text = (
                f"stuff of category {category} in {len(ids)} segments; a model predicts one, which matches one at most"
            )
            result.tell("stuff-in-segments", file, ids[0], text)


def _decode(read: Any, source: Any, what: str, file: str, result: ImageResult) -> Any:
    """What ``read(source)`` gives, or None and a finding."""
    if isinstance(source, Path) and not os.path.exists(source):  # noqa: PTH110 - Path.exists raises for long names
        result.tell(f"{what}-missing", file, None, "there is no such file")
        return None
    try:
        with decoding(file):
            return read(source)
    except Unsaid as error:  # other pages, bands or depth than 8-bit RGB
        result.tell("image-unsaid", file, None, str(error))
        return None
    except UserError as error:
        result.tell(f"{what}-broken", file, None, str(error))
        return None


def _stamp(path: Path) -> tuple:
    """The time of the last change of anything, which no program can set, finds what size and time of content hide."""
    full = os.path.abspath(path)  # noqa: PTH100 - links keep their own name
    try:
        status = path.stat()
    except (OSError, ValueError):  # missing, or a name that no file system takes
        return (full, None)
    return (full, status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino)


def _equals(claimed: Any, true: int) -> bool:
    return isinstance(claimed, int | float) and not isinstance(claimed, bool) and claimed == true


def _size(shape: tuple[int, ...]) -> str:
    return f"{shape[1]}x{shape[0]}"
