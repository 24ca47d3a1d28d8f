"""Label formats by name: what ``--from`` and ``--to`` of ``pantile data convert`` know.

A format registers its reader, and its writer where there is a way back, in its own file::

    @register_reader("my-format", fits=is_my_format)
    def open_my_format(src: Path, options: ReadOptions) -> LabelSource: ...

    @WRITERS.register("my-format")
    class MyFormatWriter: ...

A layout of ``pantile.data.LAYOUTS`` is read by its name without that.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Protocol, TypeVar

from pantile.contracts.panoptic import PanopticMap
from pantile.contracts.registry import Registry, calling_module
from pantile.contracts.taxonomy import Taxonomy
from pantile.data.layouts import LAYOUTS
from pantile.labels.datasets import open_layout
from pantile.labels.report import Report
from pantile.labels.source import LabelSource, ReadOptions

Open = TypeVar("Open", bound=Callable[[Path, ReadOptions], LabelSource])


class LabelWriter(Protocol):
    """Writes labels into an empty folder; made from the folder and the taxonomy.

    One that is a ``CollectedRows``, and keeps nothing else of an image, may write its images in several processes.
    One that is a ``FrameRows`` writes videos.

    Attributes:
        images: folder of the images of a split, with ``{split}`` in it.
    """

    images: str

    def write(
        self, split: str, image_name: str, image_id: int | str, panoptic: PanopticMap, report: Report
    ) -> PanopticMap:
        """Writes one image's labels and reports what the format cannot hold. Returns what it does hold."""
        ...

    def finish(self, split: str) -> None:
        """Writes what a split has once."""
        ...


@dataclass(frozen=True)
class LabelReader:
    """
    Attributes:
        open: folder and options to a source; raises UserError for whatever is wrong with it.
        options: fields of ``ReadOptions`` that it takes; about the rest its files speak for themselves.
        coordinates: labels are coordinates, and may tell themselves in which frame of a photo.
        described: a ``dataset.yaml`` in the folder is Pantile's; False where the format has a file of that name.
        fits: a path to what gives it away as of this format, such as the name of a file; None for others. It raises
            nothing. A reader without it, as of a variant of another, is never taken by itself.
    """

    open: Callable[[Path, ReadOptions], LabelSource]
    options: tuple[str, ...] = ("things", "stuff", "classes", "images")
    coordinates: bool = False
    described: bool = True
    fits: Callable[[Path], str | None] | None = None


READERS: Registry[LabelReader] = Registry("label format", "pantile.labels.formats")
WRITERS: Registry[Callable[[Path, Taxonomy], LabelWriter]] = Registry("label format to write", "pantile.labels.formats")


def register_reader(
    name: str,
    options: tuple[str, ...] = LabelReader.options,
    coordinates: bool = False,
    described: bool = True,
    fits: Callable[[Path], str | None] | None = None,
) -> Callable[[Open], Open]:
    """A decorator of ``open``; see ``LabelReader`` for the arguments."""
    home = calling_module()

    def add(opener: Open) -> Open:
        READERS.register(name, home)(LabelReader(opener, options, coordinates, described, fits))
        return opener

    return add


def readers() -> dict[str, LabelReader]:
    """Everything that can be read, by name: layouts of data sets, unless a reader has the name, and label formats."""
    layouts = {name: LabelReader(partial(open_layout, layout), options=()) for name, layout in LAYOUTS.items()}
    return layouts | dict(READERS)
