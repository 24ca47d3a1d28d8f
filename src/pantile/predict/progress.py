"""Progress bars of a job; none where ``rich`` is not installed."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from pantile.merge.tile_layout import Window

if TYPE_CHECKING:
    import rich.progress

FEW_TILES = 4  # up to so many have no bar of their own


class Progress:
    """A bar for the images, and one for the tiles of an image while they go by. This one shows nothing."""

    def start(self, total: int) -> None:
        """Before the first of ``total`` images."""

    def describe(self, text: str) -> None:
        """What is being done to the images from now on."""

    def advance(self) -> None:
        """One image is done."""

    def tiles(self, tiles: Sequence[Window]) -> Iterator[Window]:
        """The tiles of an image, one by one."""
        yield from tiles


class _Bars(Progress):
    """
    Args:
        bars: of rich, on the screen already.
    """

    def __init__(self, bars: Any) -> None:
        self.bars = bars

    def start(self, total: int) -> None:
        self.images = self.bars.add_task("predicting", total=total)

    def describe(self, text: str) -> None:
        self.bars.update(self.images, description=text)

    def advance(self) -> None:
        self.bars.advance(self.images)

    def tiles(self, tiles: Sequence[Window]) -> Iterator[Window]:
        if len(tiles) <= FEW_TILES:
            yield from tiles
            return
        bar = self.bars.add_task("tiles", total=len(tiles))
        yield from self.bars.track(tiles, task_id=bar)
        self.bars.remove_task(bar)


@contextmanager
def no_progress() -> Iterator[Progress]:
    yield Progress()


@contextmanager
def progress_bars() -> Iterator[Progress]:
    """On stderr while the block runs."""
    if find_spec("rich") is None:
        yield Progress()
        return
    with rich_bars() as bars:
        yield _Bars(bars)


def rich_bars() -> "rich.progress.Progress":
    """Bars with a description, how many are done, and the time that is left; on stderr, gone at the end."""
    from rich import progress
    from rich.console import Console

    columns = (
        progress.TextColumn("{task.description}"),
        progress.BarColumn(),
        progress.MofNCompleteColumn(),
        progress.TimeRemainingColumn(),
    )
    return progress.Progress(*columns, console=Console(stderr=True), transient=True)
