"""Photos by what a tool calls them: its exports name paths and addresses of its own storage, not files beside them."""

import os
import re
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path, PurePosixPath
from urllib.parse import parse_qs, unquote, urlsplit

from pantile.contracts.clean_text import is_clean
from pantile.contracts.errors import UserError
from pantile.contracts.shortening import short
from pantile.data.image_suffixes import IMAGE_SUFFIXES
from pantile.labels.source import LeftOut

_UPLOADED = re.compile(r"^[0-9a-f]{8}-")  # what Label Studio puts before the names of uploaded files


class PhotoIndex:
    """All photos below a folder.

    Args:
        root: the folder.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self._by_name: dict[str, list[Path]] = defaultdict(list)
        for folder, subfolders, names in os.walk(root):
            subfolders[:] = sorted(name for name in subfolders if not name.startswith("."))
            for name in sorted(names):
                if not name.startswith(".") and name.lower().endswith(IMAGE_SUFFIXES):
                    self._by_name[name].append(Path(folder, name))

    def find(self, name: str, where: str) -> Path:
        """The photo whose path ends in the most parts of a name; one that does not exist where there is none.

        Args:
            name: a path or an address, as the tool gives it; the prefix of uploaded files may be missing from the file.
            where: file and field, for messages.

        Raises:
            UserError: no name of a file, or several photos that fit equally well.
        """
        parts = PurePosixPath(address_path(name)).parts
        if not parts or not is_clean(name) or parts[-1] in (".", "..", "/"):
            raise UserError(f"{where} names the file {short(name)}: name an image.")
        exact = self.root / address_path(name)
        if exact in self._by_name.get(parts[-1], ()):
            return exact
        for last in dict.fromkeys((parts[-1], _UPLOADED.sub("", parts[-1]))):
            fits = self._by_name.get(last, ())
            depths = [_shared_tail(path.parts[:-1], parts[:-1]) for path in fits]
            best = [path for path, depth in zip(fits, depths, strict=True) if depth == max(depths)]
            if len(best) > 1:
                raise UserError(
                    f"{where} names {short(name)}, which may be {best[0]} or {best[1]}: name the folder with --images."
                )
            if best:
                return best[0]
        return self.root / parts[-1]

    def unlabelled(self, labelled: Iterable[Path], mark: str | None = None) -> tuple[LeftOut, ...]:
        """What to report of photos that are none of those with labels.

        Args:
            labelled: these, and what is told of otherwise.
            mark: what the names of pictures of labels have in them, which are no photos.
        """
        names = [name for name in self._by_name if mark is None or mark not in name]
        beyond = {path for name in names for path in self._by_name[name]} - set(labelled)
        if not beyond:
            return ()
        text = f"{len(beyond)} images in {self.root} have no labels and were left out, first {min(beyond)}."
        return (LeftOut("images", len(beyond), text),)

    def name_of(self, path: Path) -> str:
        """The path below the folder, with slashes."""
        return path.relative_to(self.root).as_posix()


def address_path(name: str) -> str:
    """The path in an address: without host, query and percent signs. Label Studio's own storage has it in the query."""
    name = name.replace("\\", "/")
    if "://" not in name and not name.startswith("/data/"):
        return name
    address = urlsplit(name)
    local = parse_qs(address.query).get("d")
    return local[0] if local else unquote(address.path)


def _shared_tail(first: tuple[str, ...], second: tuple[str, ...]) -> int:
    """How many parts two paths have in common at their ends."""
    shared = 0
    for one, other in zip(reversed(first), reversed(second), strict=False):
        if one != other:
            break
        shared += 1
    return shared
