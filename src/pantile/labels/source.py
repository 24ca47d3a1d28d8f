"""What a reader gives: classes, splits, and for each image shapes to paint, or a map that is painted already."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path

from pantile.contracts.panoptic import PanopticMap
from pantile.contracts.taxonomy import Taxonomy
from pantile.labels.photos.label_frames import Framed


class Layer(IntEnum):
    """Which shapes lie over which, whatever ``--overlap`` says; that rule decides within a layer.

    Stuff that comes in a file of its own was drawn as the ground on which things stand. All shapes of one file, crowd
    among them, are of one layer.
    """

    STUFF_FILE = 0
    SHAPE = 1


@dataclass(frozen=True)
class Shape:
    """One annotation that covers at least one pixel.

    Attributes:
        mask: pycocotools' compressed run lengths, of the image's size.
        class_index: in the source's taxonomy; None for a region that the tool declares void.
        what: the annotation in messages, such as ``"annotation 12"``.
        is_crowd: a region of things that are not separated.
        group: shapes of one class with the same group are one segment; None for a segment of its own.
        layer: see ``Layer``.
    """

    mask: dict
    class_index: int | None
    what: str
    is_crowd: bool = False
    group: int | str | None = None
    layer: Layer = Layer.SHAPE


@dataclass(frozen=True)
class Dropped:
    """An annotation that becomes no segment.

    Attributes:
        class_name: as the file says.
        reason: for the report; the same words for the same cause, so that they add up.
        where: file and annotation.
    """

    class_name: str
    reason: str
    where: str


@dataclass(frozen=True)
class LeftOut:
    """What a reader saw and does not give, so that nothing vanishes without a word.

    Attributes:
        what: ``"images"``, ``"annotations"``, ``"classes"`` or ``"files"``.
        count: how many.
        text: the sentence for the report, with the number in it.
    """

    what: str
    count: int
    text: str

    def __str__(self) -> str:
        return self.text


Note = str | LeftOut


@dataclass(frozen=True)
class ImageLabels:
    """The labels of one image.

    Attributes:
        size: (height, width).
        shapes: in the file's order, which is what ``last-on-top`` goes by.
        base: a finished map below the shapes; None for void everywhere.
        dropped: annotations that are not among the shapes.
        pooled_crowd: crowd of the base is what the format leaves without a number, so one region may be many things.
        framed: the photo's orientation, and how the labels lie on it.
    """

    size: tuple[int, int]
    shapes: tuple[Shape, ...] = ()
    base: PanopticMap | None = None
    dropped: tuple[Dropped, ...] = ()
    pooled_crowd: bool = False
    framed: Framed | None = None


@dataclass(frozen=True)
class SourceImage:
    """
    Attributes:
        path: the file; it is copied, never opened for writing.
        name: path below the split's folder, with "/".
        id: of the image in COCO's JSON.
    """

    path: Path
    name: str
    id: int | str


@dataclass(frozen=True)
class SourceSplit:
    """
    Attributes:
        name: of the split in the target.
        images: in the source's order.
        read: index of an image to its labels; raises UserError for whatever is wrong with them.
        videos: images are frames, each video's in order of time and named ``<video>/<file>``, whose ids are the same
            thing in all frames of a video.
    """

    name: str
    images: tuple[SourceImage, ...]
    read: Callable[[int], ImageLabels]
    videos: bool = False


@dataclass(frozen=True)
class LabelSource:
    """An opened folder of labels.

    Attributes:
        taxonomy: the classes of all splits.
        splits: at least one.
        notes: what the reader assumed, one sentence each, and what it left out, for the report.
    """

    taxonomy: Taxonomy
    splits: tuple[SourceSplit, ...]
    notes: tuple[Note, ...] = ()


@dataclass(frozen=True)
class ReadOptions:
    """What a person says about a source that its files do not.

    Attributes:
        splits: which splits; empty for all that the source has.
        classes: file with the classes, see ``class_list.read_classes``.
        images: the folder of images where it is not at its usual place.
        things, stuff: names of classes, where the format has no such flag.
        skip_missing: images of which a file is missing are left out, which a note of the source says.
        orientation: ``"upright"`` or ``"stored"``: what labels of photos with an orientation tag lie on, where they do
            not tell; of labels that are coordinates, for all such photos.
        outline: ``"centres"`` or ``"edges"``: what polygons run along, see ``reading.outlines``; None for what the
            files tell, else edges.
        scratch: a folder that lives as long as the conversion, for photos that come within labels.
    """

    splits: tuple[str, ...] = ()
    classes: Path | None = None
    images: Path | None = None
    things: tuple[str, ...] = ()
    stuff: tuple[str, ...] = ()
    skip_missing: bool = False
    orientation: str | None = None
    outline: str | None = None
    scratch: Path | None = None
