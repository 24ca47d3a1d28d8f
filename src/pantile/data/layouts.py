"""LAYOUTS: folders of data sets that ``open_dataset`` recognises; each is a ``--from`` of ``pantile data convert``.

A layout registers itself where its reader is::

    @register_layout("my-format", "My format", marks="my_format.json", fits=has_marks, splits=names_of_splits)
    class MyFormat(LabelledPhotos): ...
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from pantile.contracts.registry import Registry, calling_module

if TYPE_CHECKING:
    from pantile.data.dataset import PanopticDataset

Reader = TypeVar("Reader", bound=Callable)


@dataclass(frozen=True)
class Layout:
    """A data set's folders.

    Attributes:
        title: the data set or format, for messages.
        marks: what gives it away, for messages.
        fits: whether a path has these marks.
        splits: a path that fits to the names of its splits with labels; empty where it has none.
        open: ``(path, split, skip_missing)`` to the data set, where ``skip_missing`` leaves out images of which a file
            is missing; raises UserError for whatever is wrong inside.
        precedence: where several layouts fit, that of the greatest is opened; of equals, Pantile's own.
    """

    title: str
    marks: str
    fits: Callable[[Path], bool]
    splits: Callable[[Path], Iterable[str]]
    open: Callable[[Path, str, bool], "PanopticDataset"]
    precedence: int = 0


#: the names are those of ``--from``
LAYOUTS: Registry[Layout] = Registry("data layout", "pantile.data")


def register_layout(
    name: str,
    title: str,
    *,
    marks: str,
    fits: Callable[[Path], bool],
    splits: Callable[[Path], Iterable[str]],
    precedence: int = 0,
) -> Callable[[Reader], Reader]:
    """A decorator of ``open``, a function or a class; see ``Layout`` for the arguments."""
    home = calling_module()

    def add(reader: Reader) -> Reader:
        LAYOUTS.register(name, home)(Layout(title, marks, fits, splits, reader, precedence))
        return reader

    return add


def by_precedence() -> dict[str, Layout]:
    """All layouts, in the order in which a folder is held against them."""
    foreign = LAYOUTS.foreign()
    return dict(sorted(LAYOUTS.items(), key=lambda item: (-item[1].precedence, item[0] in foreign, item[0])))


def layout_of(path: Path) -> str | None:
    """The name of the layout in which ``open_dataset`` opens a path; None where none fits."""
    return next((name for name, layout in by_precedence().items() if layout.fits(path)), None)


def existing_splits(folders: Mapping[str, Path]) -> list[str]:
    """The splits whose folder exists."""
    return [split for split, folder in folders.items() if folder.is_dir()]
