"""The images of a tool's export as a split: which exist, how their photos lie, and their shapes when asked for."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from pantile.labels.photos.label_frames import Evidence, Framed, LabelFrames, Size
from pantile.labels.reading.image_folders import image_ids
from pantile.labels.reading.missing import present
from pantile.labels.reading.tool_shapes import sort_out
from pantile.labels.source import Dropped, ImageLabels, Note, ReadOptions, Shape, SourceImage, SourceSplit


@dataclass(frozen=True)
class ToolImage:
    """
    Attributes:
        path: of the photo.
        name: see ``SourceImage``.
        where: its labels in messages.
        read: how the labels lie to the labels; see ``from_shapes``.
        annotations: how many there are, which are left out with a missing photo.
        stated: (height, width) that the labels state; None where they do not.
        evidence: where they lie; asked for turned photos only.
    """

    path: Path
    name: str
    where: str
    read: Callable[[Framed], ImageLabels]
    annotations: int
    stated: Size | None = None
    evidence: Callable[[], Evidence] = Evidence


def from_shapes(shapes: Callable[[Size], Iterable[Shape | Dropped]]) -> Callable[[Framed], ImageLabels]:
    """``ToolImage.read`` from (height, width) to shapes and dropped annotations, the topmost last."""

    def read(framed: Framed) -> ImageLabels:
        found, dropped = sort_out(shapes(framed.size))
        return ImageLabels(framed.size, found, dropped=dropped, framed=framed)

    return read


def tool_split(
    name: str, images: Sequence[ToolImage], what: str, options: ReadOptions
) -> tuple[SourceSplit, tuple[Note, ...]]:
    """The split, and notes.

    Args:
        name: of the split.
        images: in the source's order.
        what: whose images, for what is said of missing ones, such as ``"export.json names"``.
        options: see ``ReadOptions``.

    Raises:
        UserError: photos are missing and may not be.
    """
    sizes = [image.annotations for image in images]
    paths = [image.path for image in images]
    kept, notes = present(paths, f"images that {what}", options.skip_missing, sizes.__getitem__)
    images = [images[k] for k in kept]
    paths = [image.path for image in images]
    ids = image_ids([path.stem for path in paths])
    found = tuple(SourceImage(*row) for row in zip(paths, [image.name for image in images], ids, strict=True))
    stated, evidence = (lambda index: images[index].stated), (lambda index: images[index].evidence())
    frames = LabelFrames(paths, stated, evidence, options.orientation)

    def read(index: int) -> ImageLabels:
        return images[index].read(frames.find(index, images[index].where))

    return SourceSplit(name, found, read), notes


def only_split(options: ReadOptions) -> str:
    """The name of the split where the format has none: the first that ``--split`` gives."""
    return options.splits[0] if options.splits else "train"
